# SPDX-License-Identifier: Apache-2.0
"""The launcher's end of a shepherd's control socket: what the shepherd tells, and whether it still lives."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from typing import Any

from scenario_execution_server.worker import kin

_READ_BYTES = 64 * 1024


class Control:
    """One session's shepherd; see ``worker.shepherd`` for the messages.

    Attributes:
        shepherd: Its process id, once it has told it; before that, nothing of the session runs.
        worker: The worker's process id, once it is told.
        verdict: How the session ended, once it is told.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._lines = bytearray()
        self._pidfd: int | None = None
        self._is_dead = False
        self.shepherd: int | None = None
        self.worker: int | None = None
        self.verdict: dict[str, Any] | None = None

    @property
    def fds(self) -> list[int]:
        """What to poll for reading."""
        return [fd for fd in (self._sock.fileno(), self._pidfd) if fd is not None and fd != -1]

    @property
    def is_over(self) -> bool:
        """Whether there is no shepherd, or will never be one, as of the last ``read``."""
        return self._is_dead or (self._pidfd is None and self._sock.fileno() == -1)

    def stop(self, grace_s: float) -> None:
        """Have the shepherd end the session."""
        # An error here means that it is gone, and `read` will find that. The buffer is not full: it reads always.
        with contextlib.suppress(OSError):
            self._sock.send(json.dumps({"stop": grace_s}).encode() + b"\n")
        self._signal(signal.SIGCONT)  # an action may have stopped it

    def kill(self) -> None:
        """End the shepherd, and with it the worker; what else is left becomes the launcher's."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def read(self) -> None:
        """Take in what the shepherd has told, and whether it has ended."""
        # Death first: what it told before is then all there.
        if self._pidfd is not None:
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            self._is_dead = bool(poll.poll(0))
        while self._sock.fileno() != -1:
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, _READ_BYTES, 1)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data, fds = b"", []
            for fd in fds:
                os.set_inheritable(fd, False)
                self._pidfd = fd
            if not data:
                self._sock.close()
                return
            *lines, rest = (self._lines + data).split(b"\n")
            self._lines = bytearray(rest)
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "shepherd" in message:
            self.shepherd = message["shepherd"]
            kin.add(message["shepherd"])
        self.worker = message.get("worker", self.worker)
        self.verdict = message.get("exit", self.verdict)

    def close(self) -> None:
        """Close everything; a shepherd that still lives ends its session then, after its default grace."""
        self._sock.close()
        if self._pidfd is not None:
            # The fork server has its children reaped by the kernel; when it was killed, they became ours.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
            os.close(self._pidfd)
            self._pidfd = None
        if self.shepherd is not None:
            kin.remove(self.shepherd)
