# SPDX-License-Identifier: Apache-2.0
"""The commands of se-remote that carry files by hand: ls, get, put, rm."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from scenario_execution_keys.command_line import keys_dir_option

from .cargo import find
from .carrying import Moved, Stored, fetch, remove, store, stored_at
from .errors import CarryingError
from .files.figures import amount, moment
from .files.reporting import Reporter
from .inquiry import (
    ends_with_its_error,
    json_option,
    server_key_option,
    shown,
    tell_remarks,
    timeout_option,
    visit_to,
)

_PROGRAM = "se-remote files"  # begins as a visitor's, for whom a server with --once does not end


@click.command("ls")
@click.argument("endpoint")
@click.argument("path", default="")
@json_option
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def ls(endpoint: str, path: str, as_json: bool, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """List what ENDPOINT keeps for you: results that did not come home, and files that you have put there.

    With a PATH, everything below it.
    """
    with visit_to(endpoint, server_key, _PROGRAM, timeout_s, keys_dir) as visit:
        visit.connect()
        visit.open()
        tell_remarks(visit)
        found = stored_at(visit, path, timeout_s)
    if as_json:
        rows = [
            {
                "name": one.name, "kind": one.kind, "size_bytes": one.size_bytes,
                "time": _time(one) or None,
                "until": None if one.until_s is None else moment(one.until_s),
            }
            for one in found
        ]  # fmt: skip
        click.echo(json.dumps({"endpoint": endpoint, "files": rows}, indent=2))
        return
    for one in found:
        click.echo(_line(one))
    if not found:
        click.echo("nothing: no results that were not home are kept for this key, nor files put there", err=True)


@click.command("get")
@click.argument("endpoint")
@click.argument("path")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False), default=".")
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def get(endpoint: str, path: str, target: Path, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """Fetch PATH, as `ls` shows it, from ENDPOINT into the folder TARGET, by default the current one.

    A folder comes with all that is in it. What is there under the same name is overwritten.
    """
    with visit_to(endpoint, server_key, _PROGRAM, timeout_s, keys_dir) as visit:
        visit.connect()
        visit.open()
        tell_remarks(visit)
        try:
            target.mkdir(parents=True, exist_ok=True)
            fetched = fetch(visit, path, target, Reporter("fetched", _tell))
        except OSError as error:
            raise CarryingError(f"{target} cannot be written to: {error.strerror}") from error
    click.echo(shown(f"fetched {_much(fetched)}: {target / path.strip('/').rpartition('/')[2]}"))
    _conclude(fetched.problems)


@click.command("put")
@click.argument("endpoint")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def put(
    endpoint: str, sources: tuple[Path, ...], server_key: str, timeout_s: float, keys_dir: Path | None
) -> None:
    """Put SOURCES, files or folders, into your own folder at ENDPOINT, and say where that is.

    Scenarios can name them by that path. They stay there until you remove them. Keys are left out, and said to be.
    """
    try:
        cargo, left = find(sources, keys_dir)
    except OSError as error:
        raise CarryingError(str(error)) from error
    with visit_to(endpoint, server_key, _PROGRAM, timeout_s, keys_dir) as visit:
        visit.connect()
        welcome = visit.open()
        tell_remarks(visit)
        turn_s = welcome.watchdog_s + welcome.shutdown_timeout_s  # by then, the session of a killed `put` is gone
        try:
            paths, problems = store(visit, cargo, Reporter("put", _tell), timeout_s, turn_s, _say)
        except OSError as error:
            raise CarryingError(str(error)) from error
    for path in paths:
        click.echo(shown(path))
    _conclude(left + problems)


@click.command("rm")
@click.argument("endpoint")
@click.argument("path")
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def rm(endpoint: str, path: str, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """Remove PATH, as `ls` shows it, at ENDPOINT: a file, or a folder with all that is in it."""
    with visit_to(endpoint, server_key, _PROGRAM, timeout_s, keys_dir) as visit:
        visit.connect()
        visit.open()
        tell_remarks(visit)
        removed = remove(visit, path, timeout_s)
    click.echo(shown(f"removed {_much(removed)}: {path}"))


def _tell(_level: str, text: str) -> None:
    _say(text)


def _say(text: str) -> None:
    click.echo(f"se-remote: {text}", err=True)


def _conclude(problems: Iterable[str]) -> None:
    """End with an error if there are any."""
    told = list(problems)
    for problem in told:
        click.echo(f"se-remote: {shown(problem)}", err=True)
    if told:
        sys.exit(CarryingError.exit_code)


def _line(one: Stored) -> str:
    until = "" if one.until_s is None else f"  until {moment(one.until_s)}"
    size = "" if one.kind == "folder" else amount(one.size_bytes)
    return shown(f"{size:>11}  {_time(one):<20}  {one.name}{until}")


def _time(one: Stored) -> str:
    """When it was changed; a folder's is that of what lies in it."""
    return "" if one.kind == "folder" else moment(one.time_s)


def _much(moved: Moved) -> str:
    return f"{moved.file_count} {'file' if moved.file_count == 1 else 'files'}, {amount(moved.byte_count)}"


FILE_COMMANDS: tuple[click.Command, ...] = (ls, get, put, rm)
