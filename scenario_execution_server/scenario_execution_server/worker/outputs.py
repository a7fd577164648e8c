# SPDX-License-Identifier: Apache-2.0
"""The worker's own standard output and error, read where they are written: what actions and their children print.

Descriptors 1 and 2 of a worker are pipes, and their read ends are in the same process: so the output of a call can be
handed over before the call's reply, which no reader elsewhere could promise. Nothing is replaced at the level of
Python, so C libraries and child processes are heard as well. A worker that never makes an ``Outputs`` blocks when a
pipe is full (64 KiB).
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CHUNK_BYTES = 64 * 1024  # a pipe's usual capacity: one read empties it


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPipes:
    """The nonblocking read ends of the pipes behind descriptors 1 and 2."""

    stdout: int
    stderr: int


class _Here:
    """What belongs to this process: its pipes, and who reads them."""

    pipes: OutputPipes | None = None
    outputs: Outputs | None = None


def adopt(pipes: OutputPipes) -> None:
    """Make these pipes the ones that ``Outputs`` reads; called once in a new worker, before its main."""
    _Here.pipes = pipes
    _Here.outputs = None


def flush_outputs() -> bool:
    """Flush the worker's ``Outputs``, if it has made one; says whether it has."""
    if _Here.outputs is None:
        return False
    _Here.outputs.flush()
    return True


class Outputs:
    """Forwards what arrives on the worker's pipes, from a daemon thread and from ``flush``.

    Chunks of one stream are delivered in the order they were written, one at a time. Where lines or characters end is
    not looked at. A ``deliver`` that raises ``OSError`` (the front is gone) is not called again, but the pipes are
    still emptied, so that nobody blocks on them.

    Args:
        deliver: Called with ``"stdout"`` or ``"stderr"`` and the bytes, from either thread, never from both at once.
        pipes: The read ends; None: those of this worker.
    """

    def __init__(self, deliver: Callable[[str, bytes], None], *, pipes: OutputPipes | None = None) -> None:
        if pipes is None:
            pipes = _Here.pipes
            _Here.outputs = self
        if pipes is None:
            raise RuntimeError("this process is not a worker: it has no output pipes of its own")
        self._deliver: Callable[[str, bytes], None] | None = deliver
        self._streams = {pipes.stdout: "stdout", pipes.stderr: "stderr"}
        self._lock = threading.Lock()
        self._poll = select.poll()  # under the lock
        for fd in self._streams:
            self._poll.register(fd, select.POLLIN)
        self._thread = threading.Thread(target=self._forward, name="outputs", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Deliver everything that was written before this call, by this process or by others, and return then.

        Must not be called by ``deliver``.
        """
        # Not under the lock: a full pipe makes these block until the thread has read it.
        streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
        if sys.stdout is not sys.__stdout__ or sys.stderr is not sys.__stderr__:  # an action's own are there
            streams += (sys.__stdout__, sys.__stderr__)
        for stream in streams:
            if stream is not None:  # an action may have closed it, or put something of its own in its place
                try:  # not contextlib.suppress, which costs more than the flush, in every tick
                    stream.flush()
                except (OSError, ValueError):
                    pass
        with self._lock:  # and so behind what the thread is delivering
            for fd, _ in self._poll.poll(0):  # usually nothing, and then cheaper than two reads that fail
                while self._read(fd, self._streams[fd]):
                    pass

    def _read(self, fd: int, name: str) -> bool:
        """Read and deliver one chunk; says whether there may be more. The lock is held."""
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            return False
        if self._deliver is not None:
            try:
                self._deliver(name, chunk)
            except OSError:
                self._deliver = None
        return True

    def _forward(self) -> None:
        poll = select.poll()
        for fd in self._streams:
            poll.register(fd, select.POLLIN)
        open_count = len(self._streams)
        while open_count:
            for fd, event in poll.poll():
                with self._lock:
                    if not self._read(fd, self._streams[fd]) and event & select.POLLHUP and not event & select.POLLIN:
                        poll.unregister(
                            fd
                        )  # nobody can write any more; in a worker, which holds descriptors 1 and 2, never
                        open_count -= 1
