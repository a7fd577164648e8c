# SPDX-License-Identifier: Apache-2.0
"""The commands of se-remote that ask a server something: doctor, ping, actions."""

from __future__ import annotations

import functools
import json
import math
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scenario_execution_keys.command_line import keys_dir_option
from scenario_execution_keys.store import KeyStore

from .checkup import Line, Mark
from .config import PARAMETERS, RemoteSettings
from .doctor import LIST_WITHIN_S, examine
from .endpoint import Endpoint
from .errors import RemoteError
from .offered import OfferedAction, offered_by
from .protocol.messages import ListActions, TickAll
from .security import Security, security_for
from .visit import Visit

SETUP_TIMEOUT_S = next(float(p.default or 0) for p in PARAMETERS if p.name == "setup_timeout")
PING_COUNT = 4  # as many as show whether it varies, and over in a second
PING_EVERY_S = 0.2

timeout_option = click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0.1, max=86_400), default=SETUP_TIMEOUT_S, show_default=True,
    metavar="SECONDS", help="As the scenario's setup_timeout.",
)  # fmt: skip
server_key_option = click.option(
    "--server-key", default="", metavar="KEY", help="As the scenario's server_key, instead of the known servers."
)
json_option = click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")


def ends_with_its_error(command: Callable[..., None]) -> Callable[..., None]:
    """A command that says an error in its own words and ends with its exit code."""

    @functools.wraps(command)
    def wrapped(*words: Any, **options: Any) -> None:
        try:
            command(*words, **options)
        except RemoteError as error:
            click.echo(f"se-remote: {shown(str(error))}", err=True)
            sys.exit(error.exit_code)

    return wrapped


def shown(text: str) -> str:
    """*text* on one line, with everything escaped that could steer a terminal: a server may have written it."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@click.command("doctor")
@click.argument("endpoint")
@json_option
@server_key_option
@timeout_option
@keys_dir_option
def doctor(endpoint: str, as_json: bool, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """Say why remote(ENDPOINT) works or not, step by step.

    The exit code is that of what is wrong, 0 if nothing is.
    """
    lines: list[Line] = []
    _settings("localhost", server_key)  # a wrong endpoint is a step like others, a wrong option is not
    store = KeyStore.open(keys_dir)
    for line in examine(endpoint, store, server_key=server_key, timeout_s=timeout_s):
        lines.append(line)
        if not as_json and not line.is_unreached:
            click.echo(f"{line.mark.value:<4}  {line.step.value:<10}  {shown(line.text)}")
    code = next((line.exit_code for line in lines if line.mark is Mark.FAILED), 0)
    if as_json:
        steps = [line.as_json() for line in lines]
        click.echo(json.dumps({"endpoint": endpoint, "ok": code == 0, "exit_code": code, "steps": steps}, indent=2))
    elif unreached := [line.step.value for line in lines if line.is_unreached]:
        click.echo(f"{Mark.SKIPPED.value:<4}  not reached: {', '.join(unreached)}")
    sys.exit(code)


@click.command("ping")
@click.argument("endpoint")
@click.option("-c", "--count", type=click.IntRange(min=1), default=PING_COUNT, show_default=True, help="How often.")
@json_option
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def ping(endpoint: str, count: int, as_json: bool, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """Take the time to ENDPOINT and back.

    'link' is answered by the server's front: network and encryption. 'program' is answered by the process in which
    actions run, as a tick of an action that does nothing would be.
    """
    link_s: list[float] = []
    program_s: list[float] = []
    with visit_to(endpoint, server_key, "se-remote ping", timeout_s, keys_dir) as visit:
        visit.connect()
        visit.open()
        _take_time(visit, timeout_s)  # the worker starts and both sides warm up: no part of a round trip
        for number in range(1, count + 1):
            link_s.append(visit.beat(timeout_s))
            program_s.append(_take_time(visit, timeout_s))
            if not as_json:
                click.echo(f"{number}: link {_ms(link_s[-1])} ms, program {_ms(program_s[-1])} ms")
            if number < count:
                visit.rest(PING_EVERY_S)
    tell_remarks(visit)
    if as_json:
        document = {"endpoint": endpoint, "link_s": link_s, "program_s": program_s}
        click.echo(json.dumps(document | {"summary": {"link": _summary(link_s), "program": _summary(program_s)}}))
        return
    for name, times_s in (("link", link_s), ("program", program_s)):
        told = ", ".join(f"{word} {_ms(value)}" for word, value in _summary(times_s).items())
        click.echo(f"{name:<8} {len(times_s)} round trips in ms: {told}")


@click.command("actions")
@click.argument("endpoint")
@json_option
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def actions(endpoint: str, as_json: bool, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """List the actions that you may run at ENDPOINT, with their arguments."""
    with visit_to(endpoint, server_key, "se-remote actions", timeout_s, keys_dir) as visit:
        visit.connect()
        visit.open()
        answer = visit.call(lambda number: ListActions(call=number), LIST_WITHIN_S)
    tell_remarks(visit)
    offered = offered_by(answer)
    if as_json:
        document = {"endpoint": endpoint, "globs": answer.globs, "actions": [action.as_json() for action in offered]}
        click.echo(json.dumps(document, indent=2))
        return
    for action in offered:
        click.echo(shown(_described(action)))
    if not offered:
        click.echo("none: the server has no actions, or this key may run none of them", err=True)


def _described(action: OfferedAction) -> str:
    source = f"{action.distribution} {action.version}".strip() or "an unknown package"
    if action.trouble:
        return f"{action.key}  cannot be used: {action.trouble}  [{source}]"
    init = ", ".join(action.init_arguments or ())
    execute = "" if action.execute_arguments is None else f", execute({', '.join(action.execute_arguments)})"
    return f"{action.key}  __init__({init}){execute}  [{source}]"


def _settings(endpoint: str, server_key: str) -> RemoteSettings:
    """The settings of a ``remote(...)`` with these arguments.

    Raises:
        click.UsageError: they cannot be.
    """
    try:
        return RemoteSettings.from_arguments({"endpoint": endpoint, "server_key": server_key})
    except RemoteError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def visit_to(text: str, server_key: str, program: str, timeout_s: float, keys_dir: Path | None) -> Visit:
    """A session of its own with the server that an endpoint names, not connected yet."""
    endpoint, security = target_of(text, server_key, KeyStore.open(keys_dir))
    return Visit(endpoint, security, program=program, timeout_s=timeout_s)


def target_of(text: str, server_key: str, store: KeyStore) -> tuple[Endpoint, Security]:
    """The server that an endpoint names, and how to speak to it."""
    settings = _settings(text, server_key)
    endpoint = Endpoint.parse(settings.endpoint)
    security = security_for(endpoint, settings, store)
    if security.warning is not None:
        click.echo(f"se-remote: {security.warning}", err=True)
    return endpoint, security


def tell_remarks(visit: Visit) -> None:
    """Say what the server has said of its own key."""
    for remark in visit.remarks:
        click.echo(f"se-remote: {remark.text}", err=True)


def _take_time(visit: Visit, within_s: float) -> float:
    return visit.timed(lambda number: TickAll(call=number, actions=[], now_s=None), within_s)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


def _summary(times_s: list[float]) -> dict[str, float]:
    return {
        "min": min(times_s, default=math.nan),
        "median": statistics.median(times_s),
        "max": max(times_s, default=math.nan),
    }


INQUIRY_COMMANDS: tuple[click.Command, ...] = (doctor, ping, actions)
