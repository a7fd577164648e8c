# SPDX-License-Identifier: Apache-2.0
"""The command line: settings from options and environment, and everything started in the one right order."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.paths import resolve_keys_dir
from scenario_execution_keys.store import KeyStore
from scenario_execution_server.audit_file import AuditFile, default_audit_path
from scenario_execution_server.config import LOG_LEVELS, Group, Option, ServerSettings, options
from scenario_execution_server.control import ControlSocket, runtime_folder
from scenario_execution_server.custody import CacheLimits, Custody
from scenario_execution_server.doors import Doors
from scenario_execution_server.errors import ControlError, FilesDirError, ServerError, SettingsError, WorkersError
from scenario_execution_server.front import Front
from scenario_execution_server.journal import Logging, announce, event
from scenario_execution_server.keeper import Keeper
from scenario_execution_server.key_cli import main
from scenario_execution_server.launcher import LauncherError, LocalLauncher, PreloadError
from scenario_execution_server.own_limits import forbid_core_dumps, raise_descriptor_limit
from scenario_execution_server.readiness import Readiness
from scenario_execution_server.retention import Retention
from scenario_execution_server.signals import StopSignals
from scenario_execution_server.storage import Storage, default_files_dir
from scenario_execution_server.watch import Watch
from scenario_execution_server.worker.processes import UnsupportedPlatformError

__all__ = ["main", "serve"]

_PROGRAM = "scenario_execution_server"


def _octal(value: str | int) -> int:
    """Permission bits as chmod takes them: 600, 0600 or 0o600."""
    if isinstance(value, int):
        return value
    try:
        return int(value, 8)
    except ValueError:
        raise click.BadParameter(f"'{value}' is not an octal mode such as 0600") from None


class _GroupedCommand(click.Command):
    """Lists the options by purpose, in the order of the settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per group."""
        params = {param.name: param for param in self.get_params(ctx)}
        for group in Group:
            records = [params.pop(option.field).get_help_record(ctx) for option in options() if option.group is group]
            with formatter.section(group.value):
                formatter.write_dl([record for record in records if record is not None])
        with formatter.section("Other"):
            records = [param.get_help_record(ctx) for param in params.values()]
            formatter.write_dl([record for record in records if record is not None])


class _Option(click.Option):
    """Takes the text of its variable as it is; click 8.2.0 and 8.2.1 switch a flag on whatever its variable says."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The first of its variables that is not empty."""
        return next((value for name in self.envvar or () if (value := os.environ.get(name))), None)


def _click_option(option: Option) -> click.Option:
    text = option.help
    if option.default_text:
        text += f" Default: {option.default_text}."
    kinds: dict[str, Any] = {"socket_mode": _octal, "log_level": click.Choice(LOG_LEVELS)}
    kind = kinds.get(option.field, click.Path(path_type=Path) if option.type is Path else option.type)
    is_flag = option.type is bool
    return _Option(
        [option.flag, option.field],
        type=None if is_flag else kind,  # click 8.2.0 and 8.2.1 take a flag with a type for not given
        is_flag=is_flag,
        default=option.default,
        envvar=list(option.environment),
        help=text,
        metavar=option.metavar or None,
    )


def _serve(**values: Any) -> None:
    """Execute the remote actions of scenarios.

    Without options it listens on loopback, TCP port 7613, without encryption: for trying out on one machine.
    """
    try:
        settings = ServerSettings(**values)
        code = run(settings)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (KeysError, ServerError) as error:
        click.echo(f"{_PROGRAM}: {error}", err=True)
        code = error.exit_code
    sys.exit(code)


serve = _GroupedCommand(
    _PROGRAM,
    callback=_serve,
    params=[_click_option(option) for option in options()],
    help=_serve.__doc__,
    epilog=(
        "Every option can be given as an environment variable SCENARIO_EXECUTION_SERVER_OPTION, for example "
        "SCENARIO_EXECUTION_SERVER_PORT=7613; the command line has precedence. Keys: se-server --help."
    ),
)
click.version_option(version("scenario-execution-server"), prog_name=_PROGRAM)(serve)


def run(settings: ServerSettings) -> int:
    """Serve until told to stop; returns the exit code.

    Raises:
        SettingsError: If a setting does not fit this process.
        KeysError: If the server's key pair cannot be used.
        ServerError: If a door cannot be opened, or no longer be guarded.
    """
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Logging(sys.stderr, settings.log_level))
        readiness = Readiness(settings.ready_fd, os.environ)
        store = KeyStore.open(settings.keys_dir)
        server_pair = store.server_pair() if settings.curve else None
        # Before any zmq context, signal handler or limit of ours exists: its processes inherit none of these.
        storage = open_storage(settings, log, stack)
        stack.callback(close_storage, storage, log)
        launcher = stack.enter_context(contextlib.closing(start_launcher(storage.live)))
        signals = stack.enter_context(StopSignals())
        raise_descriptor_limit()
        forbid_core_dumps()
        watch = Watch(facts_of(settings, server_pair, storage.live), audit_file(settings, log))
        stack.callback(watch.close)
        doors = stack.enter_context(Doors.open(settings, store, server_pair, log, watch))
        watch.facts["endpoints"] = [listener.description.rpartition(" (")[0] for listener in doors.listeners]
        if settings.exposed:
            event(log, logging.WARNING, "anybody who reaches this server can run programs as this user (--insecure)")
        announce(log, "listening on " + ", ".join(listener.description for listener in doors.listeners))
        cache = CacheLimits(limit_bytes=settings.cache_limit_mb * 10**6, age_s=settings.cache_age_s)
        keeper = keeper_of(settings, storage)
        custody = Custody(storage, keeper, log, watch, settings.keep_results_s, settings.limits, cache, store.command)
        stack.callback(custody.close)
        open_control(watch, log)
        watch.started()
        readiness.announce()
        stack.callback(readiness.stopping)
        return Front(settings, doors, launcher, signals.fileno(), log, watch, custody).run()


def facts_of(settings: ServerSettings, server_pair: KeyPair | None, folder: Path) -> dict[str, Any]:
    """What `se-server status` tells and what does not change while the server runs."""
    return {
        "version": version("scenario-execution-server"),
        "endpoints": [],
        "server_key": server_pair.public.fingerprint if server_pair is not None else None,
        "next_server_key": None,
        "next_server_key_from": None,
        # A server that does not pass it does not come so far; without CURVE there is no door to try.
        "self_test": "passed" if settings.curve else "not needed, there is no encrypted door",
        "max_sessions": settings.max_sessions,
        "watchdog_s": settings.watchdog_s,
        "keys": str(resolve_keys_dir(settings.keys_dir)),
        "folder": str(folder),
    }


def open_storage(settings: ServerSettings, log: logging.Logger, stack: contextlib.ExitStack) -> Storage:
    """The folder for files that the settings ask for; if they ask for none and the usual one cannot be had, one that
    goes with *stack*.

    Raises:
        FilesDirError: If the one they ask for cannot be had.
    """
    if settings.files_dir is not None:
        return Storage(settings.files_dir.expanduser().absolute())
    try:
        return Storage(default_files_dir())
    except FilesDirError as error:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{_PROGRAM}-")))
        event(
            log, logging.WARNING, "results that are not home do not outlive this server",
            why=error.what, folder=base, next=error.mend,
        )  # fmt: skip
        return Storage(base)


def close_storage(storage: Storage, log: logging.Logger) -> None:
    """When no session is left."""
    for problem in storage.close():
        event(log, logging.WARNING, "trouble with files of sessions", why=problem)


def keeper_of(settings: ServerSettings, storage: Storage) -> Keeper | None:
    """Who looks after kept results, if any are to be kept."""
    if not settings.keep_results_s:
        return None
    return Keeper(storage, Retention(keep_s=settings.keep_results_s, limit_bytes=settings.keep_limit_mb * 10**6))


def audit_file(settings: ServerSettings, log: logging.Logger) -> AuditFile | None:
    """The audit log that the settings ask for."""
    if settings.no_audit:
        return None
    path = settings.audit_log.expanduser().absolute() if settings.audit_log is not None else default_audit_path()
    return AuditFile(path, lambda sentence: event(log, logging.WARNING, sentence))


def open_control(watch: Watch, log: logging.Logger) -> None:
    """Let the owner ask this server; without that, it serves all the same."""
    try:
        watch.control = ControlSocket(runtime_folder(), watch.answer)
    except ControlError as error:
        event(log, logging.WARNING, "`se-server status` cannot ask this server", why=error.what, next=error.mend)


def start_launcher(base: Path) -> LocalLauncher:
    """The launcher for workers on this machine, with their folders in `base`.

    Raises:
        WorkersError: If it does not start.
    """
    mend = "Make sure that this prints nothing: python -c 'import scenario_execution_server.worker.main'"
    try:
        return LocalLauncher(base=base)
    except PreloadError as error:
        raise WorkersError(f"{error}\n{error.traceback.rstrip()}\nNo worker can start", mend) from error
    except (LauncherError, UnsupportedPlatformError) as error:
        raise WorkersError(f"no worker can start: {error}", mend) from error
