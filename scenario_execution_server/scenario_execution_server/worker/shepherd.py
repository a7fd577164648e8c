# SPDX-License-Identifier: Apache-2.0
"""The process that watches over one session: it starts the worker, and nothing the worker started outlives it.

It adopts every process the worker's descendants leave behind, so that a daemon that detached itself is its child like
any other. It ends the session when the front asks for it, when the front is gone, or when the worker is; then it
kills what is left, removes the session's folder, reports once, and exits. It holds no reference to the fork server it
came from, and does not need it.

Control messages are JSON lines. From the front: ``{"stop": seconds of grace}``. To the front: ``{"shepherd": pid}``
with a pidfd of it, ``{"worker": pid}``, ``{"exit": {...}}``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from scenario_execution_server.worker import entry, keeping, outputs, processes

OUTPUT_TAIL_BYTES = 64 * 1024  # of what nobody read: enough for a traceback, and all that a pipe of usual size holds

# What a pipe is read for at most at the end: an action may have enlarged it, up to 1 MiB without privileges.
_DRAIN_LIMIT_BYTES = 1024 * 1024

# Killing a tree takes tens of milliseconds. What is there after this long is not ours to kill (sudo) or hangs in the
# kernel.
_SWEEP_LIMIT_S = 5.0

_RETRY_S = 1.0  # how often what could not be killed is tried again; it costs next to nothing

_BROKEN = 70  # EX_SOFTWARE of <sysexits.h>: an error in this module


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a session is started with.

    Attributes:
        session: The session.
        folder: Its folder.
        lost_grace_s: What the worker is given to end by itself when nobody says how long: the front is gone, or
            SIGTERM came.
    """

    session: str
    folder: Path
    lost_grace_s: float


def run_shepherd(
    main: entry.WorkerMain, order: Order, link: socket.socket, channel: socket.socket, control: socket.socket
) -> NoReturn:
    """Turn this process, just forked from the fork server, into the session's shepherd; ends the process.

    Args:
        main: What the worker runs.
        order: What the session is started with.
        link: The fork server's own socket, which is not for us.
        channel: The worker's end of its channel to the front.
        control: The shepherd's end of its socket to the front.
    """
    code = _BROKEN
    try:
        link.close()
        _Shepherd(main, order, channel, control).run()
        code = 0
    except BaseException:  # noqa: BLE001 - the top of a process: nothing may return into the fork server's code above
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


class _Shepherd:
    def __init__(self, main: entry.WorkerMain, order: Order, channel: socket.socket, control: socket.socket) -> None:
        self._main = main
        self._order = order
        self._channel = channel
        self._control = control
        self._control_open = True
        self._lines = bytearray()
        self._worker: int | None = None
        self._status: tuple[int, int] | None = None  # si_code and si_status of the worker
        self._deadline: float | None = None
        self._overdue = False
        self._pipes: outputs.OutputPipes | None = None

    def run(self) -> None:
        os.setsid()
        os.chdir("/")  # it needs no folder, and must not keep one from being removed or unmounted
        processes.name_process("se-shepherd")
        processes.adopt_orphans()
        self._signals = self._catch_signals()
        lock = keeping.hold(self._order.folder)  # whoever finds what a killed server has left shall not take it
        self._say_hello()
        try:
            self._start_worker()
        except OSError as error:
            self._finish({"reason": "start_failed", "detail": f"the worker could not be started: {error}"})
            return
        self._tell({"worker": self._worker})
        self._watch()
        left = processes.end_children(limit_s=_SWEEP_LIMIT_S, on_reaped=self._on_reaped)
        self._finish(self._verdict(left))
        if lock is not None:
            os.close(lock)
        while left:  # they are reported; but they are still ours, and nobody else's
            time.sleep(_RETRY_S)
            left = processes.end_children(limit_s=_RETRY_S)

    def _catch_signals(self) -> int:
        """Ignore what is not meant for a shepherd; have SIGCHLD and SIGTERM arrive as bytes on a descriptor."""
        readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)  # a full pipe wakes as well as a fuller one
        for number in signal.valid_signals():
            if number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, lambda *_: None)  # only a signal with a handler is written to the descriptor
            elif number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return readable

    def _say_hello(self) -> None:
        own = os.pidfd_open(os.getpid())  # made here, it cannot be another's, however short this process lives
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self._control, [json.dumps({"shepherd": os.getpid()}).encode() + b"\n"], [own])
        os.close(own)
        self._control.setblocking(False)

    def _start_worker(self) -> None:
        stdout, stdout_end = os.pipe2(os.O_CLOEXEC)
        stderr, stderr_end = os.pipe2(os.O_CLOEXEC)
        self._pipes = outputs.OutputPipes(stdout=stdout, stderr=stderr)
        for fd in (stdout, stderr):
            os.set_blocking(fd, False)
        shepherd = os.getpid()
        # Blocked until the worker has its own dispositions: a signal to it must not land in a handler of ours.
        everything = signal.valid_signals()
        signal.pthread_sigmask(signal.SIG_BLOCK, everything)
        worker = os.fork()
        if worker == 0:
            entry.run_worker(
                self._main,
                shepherd=shepherd,
                channel=self._channel,
                session=self._order.session,
                folder=self._order.folder,
                pipes=self._pipes,
                stdout=stdout_end,
                stderr=stderr_end,
            )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, everything)
        self._worker = worker
        self._channel.close()
        os.close(stdout_end)
        os.close(stderr_end)

    def _watch(self) -> None:
        """Return when the worker is dead, or has to be killed; reap what it left behind meanwhile."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        self._reap()  # the worker may have died before the first poll, and its signal with it
        while self._status is None:
            timeout_ms = None
            if self._deadline is not None:
                left_s = self._deadline - time.monotonic()
                if left_s <= 0:
                    self._overdue = True
                    return
                timeout_ms = left_s * 1000 + 1  # poll rounds down; a millisecond late is better than a spin
            for fd, _ in poll.poll(timeout_ms):
                if fd == self._signals:
                    if signal.SIGTERM in os.read(fd, 4096):
                        self._end_within(self._order.lost_grace_s)
                    self._reap()
                else:
                    self._read_control()
                    if not self._control_open:
                        poll.unregister(fd)
                        self._end_within(self._order.lost_grace_s)

    def _end_within(self, grace_s: float) -> None:
        deadline = time.monotonic() + max(0.0, grace_s)
        self._deadline = deadline if self._deadline is None else min(self._deadline, deadline)

    def _read_control(self) -> None:
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._control_open = False
            return
        *lines, rest = (self._lines + data).split(b"\n")
        self._lines = bytearray(rest)
        for line in lines:
            self._end_within(float(json.loads(line)["stop"]))

    def _reap(self) -> None:
        while True:
            try:
                result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                return
            if result is None:
                return
            self._on_reaped(result.si_pid, result.si_code, result.si_status)

    def _on_reaped(self, pid: int, code: int, status: int) -> None:
        if pid == self._worker and self._status is None:
            self._status = (code, status)

    def _verdict(self, left: list[processes.ProcessInfo]) -> dict[str, Any]:
        exit_code: int | None = None
        number: int | None = None
        if self._status is not None:
            code, status = self._status
            if code == os.CLD_EXITED:
                exit_code = status
            else:
                number = status
        if self._overdue and exit_code is None:  # else it made it in the last moment
            reason, detail = "killed", "the worker did not end within its grace and was killed"
        elif number is not None:
            reason, detail = "crashed", f"the worker was ended by {_signal_name(number)}"
        elif exit_code:
            reason, detail = "crashed", f"the worker exited with status {exit_code}"
        else:
            reason, detail = "finished", "the worker exited"
        if left:
            names = ", ".join(f"{info.pid} ({info.name}, state {info.state})" for info in left)
            detail += f"; these processes could not be killed: {names}"
        return {
            "reason": reason,
            "code": exit_code,
            "signal": number,
            "detail": detail,
            "left": [info.pid for info in left],
        }

    def _finish(self, verdict: dict[str, Any]) -> None:
        """Report the end; with everything dead, what is in the pipes now is all that will ever be."""
        output = b""
        if self._pipes is not None:
            output = _drain(self._pipes.stdout) + _drain(self._pipes.stderr)
        verdict["is_home"] = not verdict.get("left") and keeping.are_home(self._order.folder)
        problem = keeping.retire(self._order.folder)
        if problem:
            verdict["detail"] += f"; {problem}"
        verdict["output"] = base64.b64encode(output[-OUTPUT_TAIL_BYTES:]).decode()
        self._tell({"exit": verdict})

    def _tell(self, message: dict[str, Any]) -> None:
        self._control.setblocking(True)  # the front reads always, or is dead
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(json.dumps(message).encode() + b"\n")
        self._control.setblocking(False)


def _drain(fd: int) -> bytes:
    data = bytearray()
    while len(data) < _DRAIN_LIMIT_BYTES:
        try:
            chunk = os.read(fd, OUTPUT_TAIL_BYTES)
        except BlockingIOError:
            break
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals between the first and the last have no name
        return f"signal {number}"
