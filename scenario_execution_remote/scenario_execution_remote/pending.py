# SPDX-License-Identifier: Apache-2.0
"""A call on its way, which anybody may wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from .errors import RemoteError
from .protocol import messages

Answer = messages.Result | messages.Ticked
_MAKING = threading.Lock()  # of an event, by two threads that wait for the same call
Listen = Callable[["Pending", float | None], None]


class Pending:
    """A call on its way.

    Args:
        call: The call.
        listen: Lets whoever waits do the listening, see ``link``; returns when this is done or time is up.

    Attributes:
        result: The answer, or None while there is none.
        error: Why there will be none, or None.
        is_done: Whether there is a result or an error.
        place: Of the result among all of its link, counted from 1; 0 while there is none.
        sent_s: When it was sent, as a value of ``time.monotonic()``.
    """

    def __init__(self, call: Any, listen: Listen) -> None:
        self.call = call
        self.sent_s = time.monotonic()
        self.result: Answer | None = None
        self.error: RemoteError | None = None
        self.is_done = False
        self.place = 0
        self._listen = listen
        self._done: threading.Event | None = None  # most calls are waited for by who listens, and need none
        self._late: list[Callable[[Answer], None]] = []

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until done; None waits without limit. Returns whether it is."""
        if not self.is_done and (timeout_s is None or timeout_s > 0.0):
            self._listen(self, timeout_s)
        return self.is_done

    def wait_for_another(self, timeout_s: float | None) -> None:
        """Wait while another thread listens."""
        with _MAKING:
            done = self._done = self._done or threading.Event()
        if not self.is_done:  # asked behind the assignment, and set before the other thread looks for an event
            done.wait(timeout_s)

    def abandon(self, late: Callable[[Answer], None]) -> None:
        """Nobody waits any more: *late* gets the result when it comes, once; in the thread that listens, or at once."""
        self._late.append(late)
        if self.is_done:
            self._tell_late()

    def finish(self, result: Answer | None, error: RemoteError | None) -> None:
        """Set the outcome; for the thread that listens."""
        self.result, self.error = result, error
        self.is_done = True
        if self._done is not None:
            self._done.set()
        if self._late:
            self._tell_late()

    def _tell_late(self) -> None:
        while self._late and self.result is not None:
            try:
                late = self._late.pop()
            except IndexError:  # the other thread was quicker
                return
            late(self.result)
