# SPDX-License-Identifier: Apache-2.0
"""Whatever an action can do to the process it runs in, at a chosen moment."""

from __future__ import annotations

import builtins
import ctypes
import os
import select
import signal
import struct
import sys
import time

from py_trees.common import Status
from scenario_execution.actions.base_action import ActionError

from scenario_execution_probe.traced import Traced

FOR_EVER_S = 1000  # beyond the end of any test


class ProbeError(Exception):
    """An error of this package, with a constructor that nobody else can call."""

    def __init__(self, code: int, *, text: str) -> None:
        super().__init__(code)
        self.text = text

    def __str__(self) -> str:
        return f"probe error {self.args[0]}: {self.text}"


def wait_for_file(path: str) -> None:
    while not os.path.exists(path):
        select.poll().poll(5)


def do(deed: str, text: str, action: object) -> None:
    """Carry out a deed.

    Args:
        deed: An exception (``ValueError``, ``KeyError``, ``ActionError``, ``ProbeError``, ``SystemExit``,
            ``KeyboardInterrupt``), or: ``exit`` with the status `text`; ``signal`` sent to this process, by name;
            ``sleep`` for `text` seconds; ``wait`` until the file `text` exists; ``hang``, in C and without letting any
            other thread run; ``print`` the text to standard error; ``announce`` to the server, on the worker's own
            channel, a message of `text` bytes.
        text: See above; of exceptions the text.
        action: The action, for errors that name its place in the scenario.
    """
    if deed == "ActionError":
        raise ActionError(text, action=action)
    if deed == "ProbeError":
        raise ProbeError(7, text=text)
    if deed in ("ValueError", "KeyError", "SystemExit", "KeyboardInterrupt"):
        raise getattr(builtins, deed)(text)
    if deed == "exit":
        print("last words before exit", file=sys.stderr, flush=True)
        os._exit(int(text))
    elif deed == "signal":
        print(f"last words before {text}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.Signals[text])
    elif deed == "sleep":
        time.sleep(float(text))
    elif deed == "wait":
        wait_for_file(text)
    elif deed == "hang":
        ctypes.PyDLL(None).sleep(FOR_EVER_S)  # unlike CDLL, PyDLL keeps the interpreter's lock during the call
    elif deed == "print":
        print(text, file=sys.stderr)
    elif deed == "announce":
        fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
        channel = next(fd for fd in fds if os.path.realpath(f"/proc/self/fd/{fd}").count("socket:"))
        os.write(channel, struct.pack("!I", int(text)))
    else:
        raise AssertionError(f"no deed is called {deed}")


class Trouble(Traced):
    """See lib_osc/probe.osc. Which side this is, the variable PROBE_SIDE says."""

    def __init__(self, trace: str, tag: str, phase: str, deed: str, text: str, side: str, ticks: int) -> None:
        super().__init__(trace, tag)
        self._phase, self._deed, self._text, self._side, self._ticks = phase, deed, text, side, ticks
        self.at("init")

    def execute(self) -> None:
        self.started()

    def at(self, phase: str) -> None:
        here = self._side in ("any", os.environ.get("PROBE_SIDE", "client"))
        due = phase != "update" or self.tick_count == self._ticks
        if phase == self._phase and here and due:
            do(self._deed, self._text, self)

    def result(self):
        return Status.SUCCESS if self.tick_count >= self._ticks else Status.RUNNING
