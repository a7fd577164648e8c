# SPDX-License-Identifier: Apache-2.0
"""The control socket of a running server: its owner asks, it answers with one line of JSON, and nobody waits for
anybody.

Why a socket of its own: ``docs/decisions/0010-control-socket.md``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import stat
import struct
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_runtime_path

from scenario_execution_server.errors import ControlError

PREFIX, SUFFIX = "server-", ".sock"
RUNTIME_VARIABLE = "XDG_RUNTIME_DIR"
REQUEST_LIMIT_BYTES = 4096  # a question is twenty bytes long
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024  # of a server with thousands of sessions
_CONNECTIONS = 8  # at a time; people and monitors, and none of them stays
_IDLE_S = 5.0  # whoever has not asked, or not read, by then is hung up on
ASK_WITHIN_S = 3.0  # a server answers within one turn of its loop
_PATH_LIMIT_BYTES = 107  # sun_path has 108 bytes on Linux, the last one is zero
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def runtime_folder() -> Path:
    """The folder of this user's control sockets."""
    base = os.environ.get(RUNTIME_VARIABLE)
    if base:
        return Path(base) / "scenario_execution"
    with warnings.catch_warnings():  # it warns where there is no such variable, which is usual in containers
        warnings.simplefilter("ignore")
        return user_runtime_path("scenario_execution")


def ensure_private(folder: Path) -> None:
    """Make the folder, or make sure that nobody else can put a socket there.

    Raises:
        ControlError: It cannot be had.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.lstat(folder)
    except OSError as error:
        raise ControlError(f"the folder {folder} cannot be made: {error.strerror}", _mend()) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise ControlError(f"{folder} is not a folder of this user", _mend())
    if status.st_mode & 0o077:
        os.chmod(folder, 0o700)


def _mend() -> str:
    return f"Set {RUNTIME_VARIABLE} to a folder of your own"


class ControlSocket:
    """The server's end. Its descriptor is readable when there is something to do; `serve` does it and never blocks.

    Args:
        folder: Where the socket shall be.
        answer: Answers a question, as JSON can hold it.
    """

    def __init__(self, folder: Path, answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        ensure_private(folder)
        clear_stale(folder)
        self.path = folder / f"{PREFIX}{os.getpid()}{SUFFIX}"
        if len(os.fsencode(self.path)) > _PATH_LIMIT_BYTES:
            raise ControlError(f"{self.path} is too long for a socket", _mend())
        self._answer = answer
        self._guests: dict[int, _Guest] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._epoll = select.epoll()
        hidden = self.path.with_suffix(".new")
        try:
            self._listener.setblocking(False)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden)
            old = os.umask(0o177)
            try:
                self._listener.bind(str(hidden))
            finally:
                os.umask(old)
            self._listener.listen(_CONNECTIONS)
            # Only now at its name: whoever finds it there can connect, and whom it refuses is dead.
            os.rename(hidden, self.path)
            self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        except OSError as error:
            self._listener.close()
            self._epoll.close()
            raise ControlError(f"the control socket {self.path} cannot be made: {error.strerror}", _mend()) from error

    def fileno(self) -> int:
        """One descriptor for everything: the listener and who is connected to it."""
        return self._epoll.fileno()

    def serve(self) -> None:
        """Do what is due."""
        for fd, _ in self._epoll.poll(0):
            if fd == self._listener.fileno():
                self._welcome()
            elif fd in self._guests:
                self._attend(self._guests[fd])

    def tick(self) -> None:
        """Hang up on whoever only sits there."""
        now_s = time.monotonic()
        for guest in list(self._guests.values()):
            if now_s - guest.since_s > _IDLE_S:
                self._dismiss(guest)

    def close(self) -> None:
        """Hang up on everybody and remove the socket."""
        for guest in list(self._guests.values()):
            self._dismiss(guest)
        self._epoll.close()
        self._listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _welcome(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again, or out of descriptors: it is not worth a server
            return
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(credentials)
        if len(self._guests) >= _CONNECTIONS or uid not in (os.geteuid(), 0):
            connection.close()
            return
        connection.setblocking(False)
        guest = _Guest(connection)
        self._guests[connection.fileno()] = guest
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _attend(self, guest: _Guest) -> None:
        try:
            if guest.outgoing:
                guest.outgoing = guest.outgoing[guest.connection.send(guest.outgoing) :]
                if not guest.outgoing:
                    self._dismiss(guest)
                return
            data = guest.connection.recv(REQUEST_LIMIT_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        guest.incoming += data
        if not data or len(guest.incoming) > REQUEST_LIMIT_BYTES:
            self._dismiss(guest)
        elif b"\n" in guest.incoming:
            guest.outgoing = memoryview(self._reply(guest.incoming.partition(b"\n")[0]))
            self._epoll.modify(guest.connection.fileno(), select.EPOLLOUT)

    def _reply(self, line: bytes) -> bytes:
        try:
            question = json.loads(line)
        except (ValueError, RecursionError):
            question = None
        if isinstance(question, dict):
            answer = self._answer(question)
        else:
            answer = {"error": "a question is one line with a JSON object"}
        return json.dumps(answer).encode() + b"\n"

    def _dismiss(self, guest: _Guest) -> None:
        del self._guests[guest.connection.fileno()]
        self._epoll.unregister(guest.connection.fileno())
        guest.connection.close()


class _Guest:
    """Somebody connected to the control socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.since_s = time.monotonic()
        self.incoming = b""
        self.outgoing: memoryview | bytes = b""


# -- the other end ---------------------------------------------------------------------------------------------------


def sockets(folder: Path) -> list[Path]:
    """The control sockets there, of living and dead servers."""
    try:
        if os.lstat(folder).st_uid not in (os.geteuid(), 0):
            return []
        return sorted(path for path in folder.iterdir() if path.name.startswith(PREFIX) and path.suffix == SUFFIX)
    except OSError:
        return []


def clear_stale(folder: Path) -> None:
    """Remove the sockets of servers that are dead."""
    for path in sockets(folder):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            if probe.connect_ex(str(path)) == errno.ECONNREFUSED:
                os.unlink(path)


def ask(path: Path, question: Mapping[str, Any], within_s: float = ASK_WITHIN_S) -> dict[str, Any] | None:
    """The answer of the server behind a control socket; None if it is not there or gives none."""
    deadline_s = time.monotonic() + within_s
    data = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(within_s)
            connection.connect(str(path))
            connection.sendall(json.dumps(dict(question)).encode() + b"\n")
            while b"\n" not in data and len(data) < ANSWER_LIMIT_BYTES:
                connection.settimeout(max(0.01, deadline_s - time.monotonic()))
                more = connection.recv(65536)
                if not more:
                    return None
                data += more
        answer = json.loads(data)
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def ask_all(question: Mapping[str, Any], folder: Path | None = None) -> list[dict[str, Any]]:
    """The answers of all running servers of this user; sockets of dead ones are removed on the way."""
    return ask_each(question, folder)[0]


def ask_each(question: Mapping[str, Any], folder: Path | None = None) -> tuple[list[dict[str, Any]], list[Path]]:
    """As `ask_all`, and with the sockets of servers that are there and give no answer: stopped, or stuck."""
    folder = folder or runtime_folder()
    clear_stale(folder)
    found = {path: ask(path, question) for path in sockets(folder)}
    clear_stale(folder)  # one that ended while it was asked is no riddle
    answers = [answer for answer in found.values() if answer is not None]
    return answers, [path for path in sockets(folder) if found.get(path, {}) is None]


def process_of(path: Path) -> str:
    """The process id of the server that made a control socket."""
    return path.name.removeprefix(PREFIX).removesuffix(SUFFIX)
