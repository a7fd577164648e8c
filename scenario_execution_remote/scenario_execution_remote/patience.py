# SPDX-License-Identifier: Apache-2.0
"""Waiting with a deadline that all parts of one connect share, and that the caller can cut short."""

from __future__ import annotations

import math
import time

import zmq

from scenario_execution_remote.errors import ConnectAbortedError


class Patience:
    """How long to go on.

    Args:
        endpoint: Canonical text, for the error.
        deadline_s: When it ends, as a value of ``time.monotonic()``.
        abort_fd: Readable if the caller wants to stop, or None.
    """

    def __init__(self, endpoint: str, deadline_s: float, abort_fd: int | None) -> None:
        self._endpoint = endpoint
        self.deadline_s = deadline_s
        self._abort_fd = abort_fd

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self.deadline_s - time.monotonic())

    def wait(self, what: zmq.Socket[bytes] | int | None, flags: int, until_s: float) -> bool:
        """Wait until *what* (a ZeroMQ socket or a descriptor) is ready, *until_s* or the deadline has come.

        Returns:
            Whether it is ready.

        Raises:
            ConnectAbortedError: the caller wants to stop.
        """
        poller = zmq.Poller()
        if what is not None:
            poller.register(what, flags)
        if self._abort_fd is not None:
            poller.register(self._abort_fd, zmq.POLLIN)
        left_s = max(0.0, min(until_s, self.deadline_s) - time.monotonic())
        if not poller.sockets:
            time.sleep(left_s)  # a poll of nothing returns at once, whatever its time-out
            return False
        ready = dict(poller.poll(math.ceil(left_s * 1000)))  # rounded up, or the last millisecond would be a busy loop
        if self._abort_fd is not None and self._abort_fd in ready:
            raise ConnectAbortedError(self._endpoint)
        return what is not None and what in ready

    def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ConnectAbortedError: the caller wants to stop.
        """
        self.wait(None, 0, time.monotonic() + seconds)
