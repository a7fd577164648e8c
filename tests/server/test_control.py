# SPDX-License-Identifier: Apache-2.0
"""The control socket: its owner's alone, found by itself, and never in anybody's way."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_server import control
from scenario_execution_server.control import ControlSocket, ask, ask_all, clear_stale, runtime_folder, sockets
from scenario_execution_server.errors import ControlError


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one, as sockets need."""
    made = Path(tempfile.mkdtemp(prefix="se-"))
    yield made / "run"
    shutil.rmtree(made)


def echo(question: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"asked": dict(question)}


@contextmanager
def serving(folder: Path, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]] = echo) -> Iterator[ControlSocket]:
    """A control socket whose server's loop runs in a thread."""
    server = ControlSocket(folder, answer)
    stop_in, stop_out = os.pipe()

    def loop() -> None:
        poll = select.poll()
        poll.register(server.fileno(), select.POLLIN)
        poll.register(stop_in, select.POLLIN)
        while stop_in not in dict(poll.poll()):
            server.serve()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield server
    finally:
        os.write(stop_out, b"x")
        thread.join()
        server.close()
        os.close(stop_in)
        os.close(stop_out)


def test_a_question_is_answered(folder: Path) -> None:
    with serving(folder) as server:
        assert ask(server.path, {"ask": "status"}) == {"asked": {"ask": "status"}}
        assert ask_all({"ask": "x"}, folder) == [{"asked": {"ask": "x"}}]
    assert list(folder.iterdir()) == []


def test_socket_and_folder_are_their_owners_alone(folder: Path) -> None:
    with serving(folder) as server:
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_answer_of_many_megabytes_arrives_whole(folder: Path) -> None:
    with serving(folder, lambda question: {"much": "x" * 5_000_000}) as server:
        answer = ask(server.path, {})
        assert answer is not None and len(answer["much"]) == 5_000_000


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"\xff\xfe\n", b"[" * 4000 + b"\n", b"\n"], ids=repr)
def test_what_is_no_question_is_told_so(folder: Path, line: bytes) -> None:
    with serving(folder) as server, socket.socket(socket.AF_UNIX) as guest:
        guest.settimeout(10)
        guest.connect(str(server.path))
        guest.sendall(line)
        assert "error" in json.loads(guest.makefile().readline())


def test_a_question_without_end_is_hung_up_on(folder: Path) -> None:
    with serving(folder) as server, socket.socket(socket.AF_UNIX) as guest:
        guest.settimeout(10)
        guest.connect(str(server.path))
        guest.sendall(b"x" * 5000)
        try:
            assert guest.recv(1) == b""
        except ConnectionResetError:
            pass  # hung up on with bytes unread


def test_who_only_sits_there_keeps_nobody_from_asking_for_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_IDLE_S", 0.0)
    server = ControlSocket(folder, echo)
    guests = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    try:
        for guest in guests:
            guest.connect(str(server.path))
            server.serve()
        assert len(server._guests) == 8
        server.tick()
        assert len(server._guests) == 0
        assert all(guest.recv(1) == b"" for guest in guests)
    finally:
        for guest in guests:
            guest.close()
        server.close()


def test_the_socket_of_a_dead_server_is_removed_and_that_of_a_living_one_is_not(folder: Path) -> None:
    with serving(folder) as server:
        dead = folder / "server-1.sock"
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(dead))
        assert sockets(folder) == sorted([dead, server.path])
        clear_stale(folder)
        assert sockets(folder) == [server.path]


def test_a_server_that_does_not_answer_is_not_waited_for_long(folder: Path) -> None:
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(folder / "server-1.sock"))
        mute.listen()
        assert ask(folder / "server-1.sock", {}, within_s=0.1) is None


def test_a_folder_that_others_can_write_is_closed_to_them(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with serving(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_is_a_link_or_a_file_is_refused(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ControlError, match="is not a folder of this user"):
        ControlSocket(folder, echo)
    folder.unlink()
    folder.touch()
    with pytest.raises(ControlError, match="XDG_RUNTIME_DIR"):
        ControlSocket(folder, echo)


def test_a_path_that_is_too_long_for_a_socket_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="too long"):
        ControlSocket(tmp_path / ("x" * 100), echo)


def test_the_folder_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert runtime_folder() == Path("/run/user/7/scenario_execution")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert runtime_folder().name == "scenario_execution"
