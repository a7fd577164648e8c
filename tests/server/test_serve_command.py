# SPDX-License-Identifier: Apache-2.0
"""The command line of the server: options, environment, order, exit codes; and the real command as a process."""

from __future__ import annotations

import inspect
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from scenario_execution_keys import errors as key_errors
from scenario_execution_keys.store import KeyStore
from scenario_execution_server import cli, errors
from scenario_execution_server.config import Group, ServerSettings, options

DEADLINE_S = 60.0  # starting imports the engine in a second process, which takes seconds on a busy machine
TIME = re.compile(r"^\S+Z ", re.MULTILINE)


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs the command without serving; returns the settings it would serve with."""
    taken: list[ServerSettings] = []

    def run(settings: ServerSettings) -> int:
        taken.append(settings)
        return 0

    monkeypatch.setattr(cli, "run", run)

    def settings_of(*arguments: str, **environment: str) -> ServerSettings:
        result = CliRunner().invoke(cli.serve, arguments, env=environment)
        assert result.exit_code == 0, result.output
        return taken.pop()

    yield settings_of


# -- options and environment -------------------------------------------------------------------------------------------

VALUES: dict[str, tuple[str, object]] = {
    "host": ("127.0.0.2", "127.0.0.2"),
    "port": ("1234", 1234),
    "socket": ("/run/se.sock", Path("/run/se.sock")),
    "socket_mode": ("660", 0o660),
    "curve": ("1", True),
    "insecure": ("true", True),
    "keys_dir": ("/etc/se/keys", Path("/etc/se/keys")),
    "watchdog_s": ("2.5", 2.5),
    "connect_timeout_s": ("60", 60.0),
    "shutdown_timeout_s": ("0", 0.0),
    "max_sessions": ("3", 3),
    "once": ("yes", True),
    "files_dir": ("/srv/files", Path("/srv/files")),
    "keep_results_s": ("3600", 3600.0),
    "keep_limit_mb": ("500", 500),
    "file_limits": ("total=1G", "total=1G"),
    "cache_limit_mb": ("100", 100),
    "cache_age_s": ("60", 60.0),
    "audit_log": ("/var/log/se/audit.jsonl", Path("/var/log/se/audit.jsonl")),
    "no_audit": ("1", True),
    "ready_fd": ("5", 5),
    "log_level": ("debug", "debug"),
}


@pytest.mark.parametrize("option", options(), ids=lambda option: option.field)
def test_every_option_can_be_given_on_the_command_line_and_in_the_environment(settings_of: Any, option: Any) -> None:
    text, value = VALUES[option.field]
    arguments = [option.flag] if option.type is bool else [option.flag, text]
    assert getattr(settings_of(*arguments), option.field) == value
    for name in option.environment:
        assert getattr(settings_of(**{name: text}), option.field) == value
    assert getattr(settings_of(), option.field) == option.default


@pytest.mark.parametrize("off", ["0", "false", "no", "off", ""])
def test_a_flag_that_its_variable_switches_off_is_off(settings_of: Any, off: str) -> None:
    for option in options():
        if option.type is bool:
            assert getattr(settings_of(**{option.environment[0]: off}), option.field) is False


def test_the_command_line_counts_before_the_environment(settings_of: Any) -> None:
    assert settings_of("--port", "1", SCENARIO_EXECUTION_SERVER_PORT="2").port == 1


def test_the_servers_own_name_for_the_keys_folder_counts_before_the_common_one(settings_of: Any) -> None:
    names = {"SCENARIO_EXECUTION_SERVER_KEYS_DIR": "/own", "SCENARIO_EXECUTION_KEYS_DIR": "/common"}
    assert settings_of(**names).keys_dir == Path("/own")


def test_an_empty_variable_counts_as_not_given(settings_of: Any) -> None:
    empty = {name: "" for option in options() for name in option.environment}
    assert settings_of(**empty) == ServerSettings()


@pytest.mark.parametrize("mode", ["600", "0600", "0o600"])
def test_a_mode_is_octal_as_chmod_takes_it(settings_of: Any, mode: str) -> None:
    assert settings_of("--socket-mode", mode).socket_mode == 0o600


WRONG: dict[str, tuple[list[str], dict[str, str], str]] = {
    "no such option": (["--prot", "1"], {}, "--prot"),
    "no number": (["--port", "http"], {}, "--port"),
    "no port": (["--port", "70000"], {}, "not a TCP port"),
    "no mode": (["--socket-mode", "rw"], {}, "octal mode such as 0600"),
    "open to the world without keys": (["--host", "0.0.0.0"], {}, "--insecure"),
    "endless": (["--watchdog", "inf"], {}, "--watchdog"),
    "a level from the environment": ([], {"SCENARIO_EXECUTION_SERVER_LOG_LEVEL": "loud"}, "--log-level"),
    "a flag from the environment": ([], {"SCENARIO_EXECUTION_SERVER_CURVE": "perhaps"}, "--curve"),
    "an argument": (["7613"], {}, "7613"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_exits_with_2_and_names_what_is_wrong(case: str) -> None:
    arguments, environment, named = WRONG[case]
    result = CliRunner().invoke(cli.serve, arguments, env=environment)
    assert result.exit_code == 2
    assert named in result.output


def test_the_help_lists_every_option_under_its_heading() -> None:
    text = CliRunner().invoke(cli.serve, ["--help"]).output
    sections = re.split(r"^([A-Z][a-z ]+):$", text, flags=re.MULTILINE)
    by_heading = dict(zip(sections[1::2], sections[2::2], strict=True))
    for group in Group:
        expected = [option.flag for option in options() if option.group is group]
        assert re.findall(r"^  (--[a-z-]+)", by_heading[group.value], re.MULTILINE) == expected
    assert "--version" in by_heading["Other"]


def test_it_tells_its_version() -> None:
    result = CliRunner().invoke(cli.serve, ["--version"])
    assert result.output.startswith("scenario_execution_server, version ")


# -- exit codes --------------------------------------------------------------------------------------------------------


def test_every_error_that_ends_the_server_has_an_exit_code_of_its_own_apart_from_those_of_the_keys() -> None:
    def codes(module: Any, root: type) -> list[int]:
        kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, root)]
        return [kind.exit_code for kind in kinds]

    all_codes = codes(errors, errors.ServerError) + codes(key_errors, key_errors.KeysError)
    assert len(set(all_codes)) == len(all_codes)
    assert not {0, 1} & set(all_codes)
    assert all(code < 64 for code in all_codes), "not mistaken for a signal, nor for sysexits.h"


def test_the_tree_of_errors_in_the_documentation_is_the_tree_in_the_code() -> None:
    documented = dict(re.findall(r"[├└]─ (\w+) .*?\b(\d+)  ", errors.__doc__ or ""))
    for name, code in documented.items():
        assert getattr(errors, name).exit_code == int(code)
    subclasses = {kind.__name__ for kind in errors.ServerError.__subclasses__()}
    assert subclasses == set(documented)


def test_without_a_key_pair_curve_exits_with_the_code_of_the_keys_and_says_what_to_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.serve, ["--curve", "--port", "0", "--keys-dir", str(tmp_path / "none")])
    assert result.exit_code == key_errors.KeyNotFoundError.exit_code
    assert f"se-server keygen --keys-dir {tmp_path / 'none'}" in result.output


# -- the order in which everything is started --------------------------------------------------------------------------


def test_processes_are_started_before_any_socket_handler_or_limit_and_ended_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []

    class Part:
        listeners = ()

        def __init__(self, name: str) -> None:
            self.name = name
            happened.append(name)

        def close(self) -> None:
            happened.append(f"end of {self.name}")

        def fileno(self) -> int:
            return -1

        def __enter__(self) -> Part:
            return self

        def __exit__(self, *error: object) -> None:
            self.close()

        def run(self) -> int:
            return 7

    monkeypatch.setattr(cli, "start_launcher", lambda base: Part("processes"))
    monkeypatch.setattr(cli, "StopSignals", lambda: Part("signals"))
    monkeypatch.setattr(cli, "raise_descriptor_limit", lambda: happened.append("limit"))
    monkeypatch.setattr(cli, "forbid_core_dumps", lambda: happened.append("no dumps"))
    monkeypatch.setattr(cli.Doors, "open", lambda *arguments: Part("doors"))
    monkeypatch.setattr(cli, "Front", lambda *arguments: Part("front"))
    assert cli.run(ServerSettings(keys_dir=tmp_path)) == 7
    assert happened == [
        "processes", "signals", "limit", "no dumps", "doors", "front", "end of doors", "end of signals",
        "end of processes",
    ]  # fmt: skip


def test_a_launcher_that_does_not_start_exits_with_a_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**arguments: object) -> None:
        raise cli.PreloadError("no module named x", "Traceback\n  line\n")

    monkeypatch.setattr(cli, "LocalLauncher", fail)
    result = CliRunner().invoke(cli.serve, ["--port", "0", "--keys-dir", str(tmp_path)])
    assert result.exit_code == 26
    assert "no module named x" in result.output


# -- the real command --------------------------------------------------------------------------------------------------

SERVE = "from scenario_execution_server.cli import serve; serve(prog_name='scenario_execution_server')"


class Running:
    """The command as a process, once it listens."""

    def __init__(self, process: subprocess.Popen[str], ready: str) -> None:
        self.process = process
        self.ready = ready

    def end(self, *signals: signal.Signals) -> tuple[int, list[str]]:
        """Send signals, and return the exit code and the lines of the log without their times."""
        for number in signals:
            self.process.send_signal(number)
        _, text = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, TIME.sub("", text).splitlines()


@contextmanager
def running(folder: Path, *arguments: str, code: str = SERVE) -> Iterator[Running]:
    keys = folder / "keys"
    if not keys.exists():
        KeyStore(keys).create_server_pair()
    reader, writer = os.pipe()
    command = [sys.executable, "-c", code, "--keys-dir", str(keys), "--ready-fd", str(writer), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCENARIO_EXECUTION")}
    with open(reader) as ready, tempfile.TemporaryDirectory(prefix="se-") as own:
        environment |= {"XDG_STATE_HOME": own, "XDG_RUNTIME_DIR": own}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[writer], env=environment)
        os.close(writer)
        try:
            yield Running(process, ready.read())
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_on_one_line_where_it_listens_and_a_signal_ends_it_with_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, "--curve", "--port", "0", "--socket", str(tmp_path / "door")) as server:
        assert server.ready == "\n"
        assert (tmp_path / "door").is_socket()
        code, lines = server.end(number)
    fingerprint = KeyStore(tmp_path / "keys").server_pair().public.fingerprint
    assert code == 0
    assert re.fullmatch(
        rf"INFO listening on tcp://\*:\d+ \(CURVE, server key {fingerprint}\), "
        rf"ipc://{tmp_path}/door \(mode 0600, uid {os.geteuid()}\)",
        lines[0],
    )
    assert sorted(os.listdir(tmp_path)) == ["keys"]


def test_two_signals_end_it_too(tmp_path: Path) -> None:
    with running(tmp_path, "--port", "0") as server:
        code, _ = server.end(signal.SIGTERM, signal.SIGTERM)
    assert code == 0


def test_insecure_warns_at_start(tmp_path: Path) -> None:
    with running(tmp_path, "--port", "0", "--host", "0.0.0.0", "--insecure", "--log-level", "warning") as server:
        _, lines = server.end(signal.SIGTERM)
    assert lines[:1] == ["WARNING anybody who reaches this server can run programs as this user (--insecure)"], lines
    assert lines[1].startswith("INFO listening on tcp://0.0.0.0:")


def test_a_port_that_is_taken_ends_it_with_22_and_one_sentence(tmp_path: Path) -> None:
    with running(tmp_path, "--port", "0") as first:
        port = first_port(first)
        with running(tmp_path, "--port", str(port)) as second:
            assert second.ready == ""
            code, lines = second.end()
        assert code == 22
        assert lines == [
            f"scenario_execution_server: port {port} is in use already. Stop the other server, or choose another --port"
        ]


def first_port(server: Running) -> int:
    assert server.process.stderr is not None
    line = server.process.stderr.readline()
    return int(re.search(r":(\d+) \(", line)[1])  # type: ignore[index]


FAILING = """
from scenario_execution_server import authenticator, clients, doors
from scenario_execution_server.cli import serve
"""
DEAD = """
def refresh(self):
    if self.listeners:
        self.doorkeeper.pipe.send(b"TERMINATE")
        self.doorkeeper.thread.join()
doors.Doors.refresh = refresh
serve()
"""
STUCK = """
import threading
authenticator.ANSWER_WITHIN_S = 0.1
authenticator._JOIN_WITHIN_S = 0.1
objection = clients.Admission.objection
def hang(self, domain, mechanism, address):
    if domain == "scenario-execution.alive":
        threading.Event().wait()
    return objection(self, domain, mechanism, address)
clients.Admission.objection = hang
serve()
"""
OPEN = """
authenticator.Doorkeeper.callback = lambda self, domain, key: True
serve()
"""


@pytest.mark.parametrize("code", [DEAD, STUCK], ids=["dead", "stuck"])
def test_an_authenticator_that_no_longer_answers_ends_it_with_25(tmp_path: Path, code: str) -> None:
    with running(tmp_path, "--curve", "--host", "127.0.0.1", "--port", "0", code=FAILING + code) as server:
        assert server.ready == "\n"
        exit_code, lines = server.end()
    assert exit_code == 25
    assert "nobody could come in any more. Start the server again" in lines[-1]


def test_a_door_that_lets_strangers_in_ends_it_with_24_before_it_serves(tmp_path: Path) -> None:
    with running(tmp_path, "--curve", "--host", "127.0.0.1", "--port", "0", code=FAILING + OPEN) as server:
        assert server.ready == ""
        exit_code, lines = server.end()
    assert exit_code == 24
    assert "a client with a key that nobody enrolled was let in. Nothing was served" in lines[-1]
    assert not any("listening" in line for line in lines)
