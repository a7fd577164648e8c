# SPDX-License-Identifier: Apache-2.0
"""`se-server check`: what would keep the server from starting, or clients from working, said without starting."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from scenario_execution_keys.command_line import keys_dir_option
from scenario_execution_keys.errors import KeyNotFoundError, KeysError
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession, announced
from scenario_execution_remote.protocol.messages import Permit
from scenario_execution_server.audit_file import default_audit_path
from scenario_execution_server.config import ENVIRONMENT_PREFIX, ServerSettings, options
from scenario_execution_server.control import ensure_private, runtime_folder
from scenario_execution_server.errors import ControlError, LibraryError, ProblemsError, SettingsError
from scenario_execution_server.journal import escaped
from scenario_execution_server.listener import check_library
from scenario_execution_server.worker.offer import offer

OK, WARNING, PROBLEM = "ok", "warn", "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing that was looked at.

    Attributes:
        what: Its heading.
        mark: `OK`, `WARNING` or `PROBLEM`.
        text: What was found.
        mend: What to do, empty if nothing.
    """

    what: str
    mark: str
    text: str
    mend: str = ""


@click.command("check", context_settings={"ignore_unknown_options": False})
@click.argument("server_options", nargs=-1, metavar="[-- SERVER OPTIONS]")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
@keys_dir_option
def check(server_options: tuple[str, ...], as_json: bool, keys_dir: Path | None) -> None:
    """Look at keys, settings and plug-ins without starting the server.

    Behind -- stand the options that scenario_execution_server shall be started with. The exit code is 0 if nothing is
    wrong.
    """
    found: list[Found] = []
    for one in _everything(server_options, keys_dir):
        found.append(one)
        if not as_json:
            tail = f". {one.mend}" if one.mend else ""
            click.echo(escaped(f"{one.mark:<4}  {one.what:<9}  {one.text}{tail}"))
    problems = [one for one in found if one.mark == PROBLEM]
    if as_json:
        rows = [
            {"what": one.what, "status": one.mark.lower(), "text": one.text, "next": one.mend or None} for one in found
        ]
        click.echo(json.dumps({"ok": not problems, "found": rows}, indent=2))
    if problems:
        raise ProblemsError(f"{len(problems)} of {len(found)} things are not as they have to be", problems[0].mend)


def _everything(server_options: tuple[str, ...], keys_dir: Path | None) -> Iterator[Found]:
    settings: ServerSettings | None = None
    for one in _settings_found(server_options):
        if isinstance(one, ServerSettings):
            settings = one
        else:
            yield one
    if keys_dir is None and settings is not None:
        keys_dir = settings.keys_dir
    yield from _keys(KeyStore.open(keys_dir), is_needed=settings is None or settings.curve)
    yield _library()
    yield from _folders(settings)
    yield from _plugins()


def _settings_found(server_options: tuple[str, ...]) -> Iterator[Found | ServerSettings]:
    # Here and not above: that module makes the whole command line, of which this is a part.
    from scenario_execution_server.cli import serve

    known = {name for option in options() for name in option.environment}
    for name in sorted(set(os.environ) - known):
        if name.startswith(ENVIRONMENT_PREFIX):
            yield Found(
                what="settings", mark=PROBLEM, text=f"the variable {name} is none of the server's",
                mend="Run: scenario_execution_server --help",
            )  # fmt: skip
    try:
        with serve.make_context("scenario_execution_server", list(server_options)) as context:
            settings = ServerSettings(**context.params)
    except (SettingsError, click.UsageError) as error:
        text = error.what if isinstance(error, SettingsError) else error.format_message().rstrip(".")
        mend = error.mend if isinstance(error, SettingsError) else "Run: scenario_execution_server --help"
        yield Found(what="settings", mark=PROBLEM, text=text, mend=mend)
        return
    doors = ", ".join(str(getattr(door, "path", None) or f"{door.host} port {door.port}") for door in settings.doors)  # type: ignore[union-attr]
    how = "CURVE, enrolled clients only" if settings.curve else "no encryption"
    mark = WARNING if settings.exposed else OK
    yield Found(what="settings", mark=mark, text=f"it would listen on {doors}; {how}")
    yield settings


def _keys(store: KeyStore, *, is_needed: bool) -> Iterator[Found]:
    try:
        pair = store.server_pair()
        yield Found(what="keys", mark=OK, text=f"the server's key is {pair.public.fingerprint} in {store.directory}")
        plan = ServerSuccession(store).plan()
        if plan is not None:
            mend = f"To take it back, run: {store.command('se-server rotate --cancel')}"
            yield Found(what="keys", mark=OK, text=f"the next one is {announced(plan)}", mend=mend)
    except KeyNotFoundError as error:
        mark = PROBLEM if is_needed else OK
        told = error.what if is_needed else "the server has no key, and without --curve it needs none"
        yield Found(what="keys", mark=mark, text=told, mend=error.mend if is_needed else "")
    except KeysError as error:
        yield Found(what="keys", mark=PROBLEM, text=error.what, mend=error.mend)
    try:
        clients = store.authorised_clients()
        known = store.known_server("localhost", 1)
    except KeysError as error:
        yield Found(what="keys", mark=PROBLEM, text=error.what, mend=error.mend)
        return
    for entry in clients.refused:
        text = f"the client {entry.name} does not count: {entry.error.what}"
        yield Found(what="clients", mark=PROBLEM, text=text, mend=entry.error.mend)
    names = ", ".join(sorted(client.name for client in clients.by_key.values()))
    if names:
        yield Found(what="clients", mark=OK, text=f"{len(clients.by_key)} enrolled: {names}")
    elif is_needed:
        mend = f"Run: {store.command('se-server invite NAME')}"
        yield Found(what="clients", mark=WARNING, text="nobody is enrolled, so nobody could come in", mend=mend)
    if known is None and is_needed:
        text = "scenarios on this machine do not know this server; that matters only if there are some"
        yield Found(what="keys", mark=WARNING, text=text)


def _library() -> Found:
    try:
        warning = check_library()
    except LibraryError as error:
        return Found(what="libzmq", mark=PROBLEM, text=error.what, mend=error.mend)
    return Found(what="libzmq", mark=WARNING if warning else OK, text=warning or "it is new enough and has CURVE")


def _folders(settings: ServerSettings | None) -> Iterator[Found]:
    folder = runtime_folder()
    try:
        ensure_private(folder)
        yield Found(what="folders", mark=OK, text=f"{folder} for the control socket")
    except ControlError as error:
        text = f"`se-server status` will not work: {error.what}"
        yield Found(what="folders", mark=WARNING, text=text, mend=error.mend)
    if settings is not None and settings.no_audit:
        return
    path = (settings.audit_log if settings is not None else None) or default_audit_path()
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if os.access(nearest, os.W_OK) and (nearest == path or nearest.is_dir()):
        yield Found(what="folders", mark=OK, text=f"{path} for the audit log")
    else:
        mend = "Choose another --audit-log, or --no-audit"
        yield Found(what="folders", mark=PROBLEM, text=f"the audit log {path} cannot be written", mend=mend)


def _plugins() -> Iterator[Found]:
    offered = offer(0, Permit(client="", actions=["*"], mend="")).offered
    sources: dict[str, list[str]] = defaultdict(list)
    for key, value, distribution, version, _, _, trouble in offered:
        sources[key].append(f"'{value}' of {distribution} {version}".rstrip())
        if trouble:
            text = f"the action {key} of {distribution} {version} cannot be used: {trouble}"
            mend = f"Run: python -c 'import {value.partition(':')[0]}'"
            yield Found(what="plug-ins", mark=PROBLEM, text=text, mend=mend)
    for key, several in sources.items():
        if len(several) > 1:
            text = f"the name {key} is ambiguous: {', '.join(several)}; version 1 clients cannot use it"
            yield Found(what="plug-ins", mark=PROBLEM, text=text, mend="Uninstall all but one")
    good = sorted({entry[0] for entry in offered if not entry[6]})
    yield Found(what="plug-ins", mark=OK if good else WARNING, text=f"{len(good)} can be used: {', '.join(good)}")
