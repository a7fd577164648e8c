# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT as something to poll: a descriptor that becomes readable, one byte for each signal."""

from __future__ import annotations

import os
import signal
import socket
from types import FrameType, TracebackType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Context in which the stop signals interrupt nothing and are written to a descriptor instead.

    To be entered in the main thread, after every process that must have the default dispositions was started.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)  # as set_wakeup_fd demands: a handler must never wait
        self._old_handlers: dict[int, object] = {}
        self._old_fd = -1

    def fileno(self) -> int:
        """The descriptor: each byte read from it is the number of a signal."""
        return self._reader.fileno()

    def __enter__(self) -> StopSignals:
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            self._old_handlers[number] = signal.signal(number, _ignore)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned before
        signal.set_wakeup_fd(self._old_fd)
        self._reader.close()
        self._writer.close()


def _ignore(number: int, frame: FrameType | None) -> None:
    """The byte in the descriptor says it all; without a Python handler the default one would end the process."""


def raised(descriptor: int) -> int:
    """How many stop signals came since the last call."""
    try:
        return len(os.read(descriptor, 512))
    except BlockingIOError:
        return 0
