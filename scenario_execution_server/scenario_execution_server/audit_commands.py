# SPDX-License-Identifier: Apache-2.0
"""`se-server audit`: read the audit log, filtered, and follow it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TextIO

import click

from scenario_execution_server.audit_file import default_audit_path, rotated
from scenario_execution_server.config import ENVIRONMENT_PREFIX
from scenario_execution_server.errors import AuditLogError
from scenario_execution_server.journal import escaped
from scenario_execution_server.ledger import Happening

_LOOK_EVERY_S = 0.2  # a person does not notice, and a machine neither
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@click.command("audit")
@click.option("--client", "name", metavar="NAME", help="Only what this client did.")
@click.option(
    "--event", "kinds", multiple=True, metavar="KIND", help=f"Only these: {', '.join(Happening)}; repeatable."
)
@click.option("--since", metavar="WHEN", help="Only what is newer: a span such as 15m or 2d, or a date-time.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option("--json", "as_json", is_flag=True, help="The entries as they are: one JSON object a line.")
@click.option(
    "--audit-log", "path", type=click.Path(path_type=Path), metavar="PATH",
    envvar=f"{ENVIRONMENT_PREFIX}AUDIT_LOG", help="The file, as the server was told.",
)  # fmt: skip
def audit(
    name: str | None, kinds: tuple[str, ...], since: str | None, follow: bool, as_json: bool, path: Path | None
) -> None:
    """Say who did what on this user's servers, when, and what was refused."""
    unknown = sorted(set(kinds) - {happening.value for happening in Happening})
    if unknown:
        raise click.BadParameter(
            f"there is no kind {unknown[0]!r}; there are {', '.join(Happening)}", param_hint="--event"
        )
    since_text = "" if since is None else instant(since, datetime.now(timezone.utc))
    with contextlib.suppress(KeyboardInterrupt):  # the usual end of --follow, and no failure
        for line, entry in _entries(path or default_audit_path(), follow):
            if name is not None and entry.get("client") != name:
                continue
            if (kinds and entry.get("event") not in kinds) or str(entry.get("when", "")) < since_text:
                continue
            click.echo(line if as_json else _shown(entry))


def instant(text: str, now: datetime) -> str:
    """The moment that a person means, as entries have it: a span back from *now*, or an ISO date or date-time.

    Raises:
        click.BadParameter: it is none.
    """
    cleaned = text.strip()
    try:
        if cleaned[-1:] in _UNITS and cleaned[:-1].isdecimal():
            moment = now - timedelta(**{_UNITS[cleaned[-1]]: int(cleaned[:-1])})
        else:
            moment = datetime.fromisoformat(cleaned[:-1] + "+00:00" if cleaned[-1:] in "Zz" else cleaned)
            moment = moment.astimezone(timezone.utc)  # without time zone, that of this machine
    except (ValueError, OverflowError):
        why = f"{text!r} is no moment; 15m, 2d, 2030-01-31 and 2030-01-31T12:00:00Z are some"
        raise click.BadParameter(why, param_hint="--since") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entries(path: Path, follow: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line that is an entry, the oldest first; without end if they are followed.

    Raises:
        AuditLogError: there is no log, or it cannot be read.
    """
    # opened first and read last: what is rotated away meanwhile is read from where it was opened
    try:
        opened = [
            candidate.open(encoding="utf-8", errors="replace") for candidate in rotated(path) if candidate.exists()
        ]
    except OSError as error:
        raise AuditLogError(f"the audit log {path} cannot be read: {error.strerror}", f"Run: ls -l {path}") from error
    if not opened and not follow:
        raise AuditLogError(
            f"there is no audit log at {path}", "Start the server, or name its file: se-server audit --audit-log PATH"
        )
    try:
        for file in opened:
            yield from _read(file)
        current = opened.pop() if opened else None
        while follow:
            if current is not None:
                yield from _read(current)
            if current is None or not _is_at(path, current):
                if current is not None:
                    yield from _read(current)  # what came between the look and the rotation
                    current.close()
                current = path.open(encoding="utf-8", errors="replace") if path.exists() else None
                if current is not None:
                    continue
            time.sleep(_LOOK_EVERY_S)
        if current is not None:
            current.close()
    finally:
        for file in opened:
            file.close()


def _read(file: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    while True:
        place = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(place)  # the rest of it is being written
            return
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue  # half a line of a disk that was full
        if isinstance(entry, dict):
            yield line.rstrip("\n"), entry


def _is_at(path: Path, file: TextIO) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False
    here = os.fstat(file.fileno())
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _shown(entry: dict[str, Any]) -> str:
    head = [str(entry.get("when", "")), f"{entry.get('event', ''):<16}", str(entry.get("client") or "-")]
    rest = {name: value for name, value in entry.items() if name not in ("when", "event", "client", "server")}
    return escaped(" ".join([*head, *(f"{name}={_quoted(value)}" for name, value in rest.items())]))


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(char in ' "=' for char in text) else text
