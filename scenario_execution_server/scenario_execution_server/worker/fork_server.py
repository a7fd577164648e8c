# SPDX-License-Identifier: Apache-2.0
"""The fork server as the launcher sees it: a process to send orders to, replaced when it was killed."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from scenario_execution_server.worker import kin
from scenario_execution_server.worker.zygote import MESSAGE_BYTES

# A cold start from a slow disk takes seconds; after a minute something hangs, and saying so beats waiting on.
PRELOAD_LIMIT_S = 60.0

# The fork server's environment lacks these: settings of the server, some with the paths of secrets, are not for
# actions.
_OWN_ENVIRONMENT_PREFIX = "SCENARIO_EXECUTION_"

# Not ``-m``: then the current folder comes first on ``sys.path``, for actions as well, and every process that an action
# starts with ``multiprocessing`` imports the fork server again as its main module.
_PROGRAM = (
    "import sys; sys.path[:1] = [] if sys.path[0] == '' else sys.path[:1]; "
    "from scenario_execution_server.worker.zygote import main; main()"
)

# What a front changes for itself; a fork server that is started later must not hand that on.
_OWN_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)

_END_LIMIT_S = 1.0  # it has nothing to do but to end; a busy machine may need a moment


class ForkServer:
    """Starts ``worker.zygote`` and talks to it. Nothing blocks but ``await_ready`` and ``close``.

    Args:
        worker_main: What a worker runs, as ``module:function``.
        preload: Modules to import besides.
    """

    def __init__(self, worker_main: str, preload: Sequence[str]) -> None:
        self._settings = {
            "worker_main": worker_main,
            "preload": list(preload),
            "limits": [[which, resource.getrlimit(which)[0]] for which in _OWN_LIMITS],
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self.failure = ""  # why the present one, or the one before, could not import what it should

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def fd(self) -> int | None:
        """What to poll for reading, while it runs."""
        return None if self._link is None else self._link.fileno()

    def start(self) -> None:
        """Start it; it takes orders at once, and carries them out when it is ready.

        Raises:
            OSError: there is no process or no descriptor for it.
        """
        self.failure = ""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_OWN_ENVIRONMENT_PREFIX)
        }
        link, link_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as undo:
            undo.callback(link.close)
            with link_end, kin.starting():
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _PROGRAM, str(link_end.fileno())],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # what an import prints belongs into the server's log
                    pass_fds=[link_end.fileno()],
                    start_new_session=True,  # Ctrl-C on the server's terminal is for the server
                )
                kin.add(self._process.pid)
            link.send(json.dumps(self._settings).encode())
            link.setblocking(False)
            undo.pop_all()
        self._link = link

    def await_ready(self) -> dict[str, Any]:
        """Wait for its first message: ``{"ready": true}`` or ``{"failed": why, "traceback": text}``; ``{}`` at its end.

        Raises:
            TimeoutError: it says nothing.
        """
        assert self._link is not None
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if not poll.poll(PRELOAD_LIMIT_S * 1000):
            raise TimeoutError(f"the fork server was not ready within {PRELOAD_LIMIT_S:.0f} s")
        return self.read()

    def read(self) -> dict[str, Any]:
        """Read what it says, if anything, and notice its end."""
        message: dict[str, Any] = {}
        while self._link is not None:
            try:
                data = self._link.recv(MESSAGE_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:  # it ended with orders unread; comes once, and before what it said last
                continue
            if not data:
                self.close()
                break
            message = json.loads(data)
            self.failure = message.get("failed", "")
        return message

    def send(self, order: dict[str, Any], fds: list[int]) -> None:
        """Have it, or if it was killed a new one, start a session.

        Args:
            order: The fields of ``worker.shepherd.Order``.
            fds: The worker's end of the channel, and the shepherd's end of its control socket.

        Raises:
            OSError: the order could not be handed over.
        """
        data = json.dumps(order).encode()
        if self._link is not None:
            try:
                socket.send_fds(self._link, [data], fds)
                return
            except (BrokenPipeError, ConnectionResetError):
                self.close()
        self.start()
        assert self._link is not None
        socket.send_fds(self._link, [data], fds)

    def close(self) -> None:
        """End it; the sessions it started go on."""
        if self._link is not None:
            self._link.close()
            self._link = None
        if self._process is not None:
            try:
                self._process.wait(timeout=_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            kin.remove(self._process.pid)
            self._process = None
