# SPDX-License-Identifier: Apache-2.0
"""Runs of the engine's command line, in processes of their own that need not load the engine first.

Loading it and parsing its libraries takes two seconds of a run, which most tests are not about.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAM = Path(__file__).with_name("engine_program.py")


class Run:
    """A run that is going on, with the part of the interface of `subprocess.Popen` that is needed."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self._buffer = b""
        self._answers.settimeout(None)
        self.pid = int(self._line())
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit status, or None as long as it runs."""
        try:
            return self.wait(0.001)
        except TimeoutError:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; returns the exit status, negative for a signal.

        Raises:
            TimeoutError: it still runs.
        """
        if self._code is None:
            self._answers.settimeout(timeout)
            self._code = int(self._line())
        return self._code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it, if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            data = self._answers.recv(100)
            if not data:
                raise AssertionError("the process that runs the engine has ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class Engine:
    """A process that runs one command line after the other.

    Args:
        environment: Of that process; what its interpreter looks at when it starts counts for all runs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, str(theirs.fileno())], env=dict(environment), pass_fds=[theirs.fileno()]
            )

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stdout: Path, stderr: Path,
        nap_s: float | None,
    ) -> Run:  # fmt: skip
        """Start a run; the one before must have ended. With `nap_s`, it sleeps only so long between ticks."""
        request = {
            "arguments": list(arguments), "environment": dict(environment), "folder": str(folder), "stdout": str(stdout),  # noqa: E501
            "stderr": str(stderr), "nap_s": nap_s,
        }  # fmt: skip
        self._socket.sendall(f"{json.dumps(request)}\n".encode())
        return Run(self._socket)

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self.process.kill()
        self.process.wait()


class Engines:
    """As many of them as there are runs at the same time, from one thread.

    Args:
        environment: See `Engine`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._all: list[Engine] = []
        self._free: list[Engine] = []

    def take(self) -> Engine:
        """One that nobody uses."""
        if not self._free:
            self._free.append(Engine(self._environment))
            self._all += self._free
        return self._free.pop()

    def give_back(self, engine: Engine) -> None:
        """Its run has ended."""
        self._free.append(engine)

    def close(self) -> None:
        """End them all."""
        for engine in self._all:
            engine.close()
