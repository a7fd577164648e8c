# SPDX-License-Identifier: Apache-2.0
"""How whoever started the server hears that it listens."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_server.errors import SettingsError
from scenario_execution_server.readiness import Readiness


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def test_a_newline_is_written_to_the_descriptor_which_is_then_closed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    readiness = Readiness(writer, {})
    readiness.announce()
    assert os.read(reader, 10) == b"\n"
    assert os.read(reader, 10) == b"", "the reader sees the end"


def test_child_processes_do_not_inherit_the_descriptor(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    os.set_inheritable(writer, True)
    readiness = Readiness(writer, {})
    assert not os.get_inheritable(writer)
    readiness.announce()


def test_a_standard_stream_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    Readiness(1, {}).announce()
    print("still here", flush=True)
    assert capfd.readouterr().out == "\nstill here\n"


def test_a_reader_that_is_gone_is_no_reason_not_to_serve() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Readiness(writer, {}).announce()


def test_a_descriptor_that_is_not_open_is_refused_at_once() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with pytest.raises(SettingsError, match=f"descriptor {writer} cannot be written to"):
        Readiness(writer, {})
    with pytest.raises(SettingsError, match=f"descriptor {reader} cannot be written to"):
        Readiness(reader, {})
    os.close(reader)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_ready_and_stopping(tmp_path: Path, abstract: bool) -> None:
    name = f"@{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if abstract else name)
        manager.settimeout(10)
        readiness = Readiness(None, {"NOTIFY_SOCKET": name})
        readiness.announce()
        assert manager.recv(100) == b"READY=1"
        readiness.stopping()
        assert manager.recv(100) == b"STOPPING=1"


def test_no_action_can_speak_to_systemd_for_the_server() -> None:
    environment = {"NOTIFY_SOCKET": "/run/systemd/notify", "PATH": "/bin"}
    Readiness(None, environment)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("name", ["/nonexistent/notify", "@nobody-listens-here", "x" * 200])
def test_a_manager_that_does_not_listen_is_no_reason_not_to_serve(name: str) -> None:
    Readiness(None, {"NOTIFY_SOCKET": name}).announce()
