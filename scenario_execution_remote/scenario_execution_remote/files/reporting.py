# SPDX-License-Identifier: Apache-2.0
"""Shows how far files have come: a bar on a terminal, a line now and then in a log, and nothing if it is quick."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from scenario_execution_remote.files.progress import LARGE_BYTES, SHOWN_AFTER_S, Progress

_DRAWN_EVERY_S = 0.1  # more is not seen, and costs
_LINE_EVERY_S = 15.0  # in a log, which somebody has to read afterwards
_WIDTH = 80  # of a terminal that does not say how wide it is
_BACK, _CLEAR = "\r", "\x1b[K"


class Reporter:
    """One direction of one session, from any thread.

    Args:
        what: What becomes of the files, as ``come home``.
        tell: Takes a level and a line for the run's log.
        stream: Where a bar is drawn if it is a terminal; None for standard error as it is then.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        what: str,
        tell: Callable[[str, str], None],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._tell = tell
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._next_s = 0.0
        self._is_drawn = False

    def expect(self, size_bytes: int) -> None:
        """So much more is to be carried."""
        with self._lock:
            if self._progress is None:
                now_s = self._clock()
                self._progress = Progress(now_s)
                self._next_s = now_s + (SHOWN_AFTER_S if self._is_terminal() else _LINE_EVERY_S)
            self._progress.expect(size_bytes)

    def begin(self, name: str) -> None:
        """The next file."""
        with self._lock:
            if self._progress is not None:
                self._progress.begin(name)

    def advance(self, size_bytes: int) -> None:
        """So much of it is done."""
        with self._lock:
            now_s = self._clock()
            if self._progress is not None:
                self._progress.advance(size_bytes, now_s)
                if now_s >= self._next_s:
                    self._show(self._progress, now_s)

    def finish(self) -> None:
        """The file is complete."""
        with self._lock:
            if self._progress is not None:
                self._progress.finish()

    def end(self) -> None:
        """There is nothing more to be carried: take the bar away, and say what was large."""
        with self._lock:
            progress, self._progress = self._progress, None
            if self._is_drawn:
                self._write(_BACK + _CLEAR)
                self._is_drawn = False
            if progress is not None and progress.done_bytes >= LARGE_BYTES:
                self._tell("info", f"{self._what}: {progress.summary(self._clock())}")

    def _show(self, progress: Progress, now_s: float) -> None:
        if self._is_terminal():
            self._next_s = now_s + _DRAWN_EVERY_S
            # Behind the bar the cursor goes back, so that a line which somebody else writes begins where lines begin.
            self._write(_BACK + progress.line(now_s, self._width()) + _CLEAR + _BACK)
            self._is_drawn = True
        else:
            self._next_s = now_s + _LINE_EVERY_S
            self._tell("info", f"{self._what}: {progress.line(now_s, _WIDTH)}")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that has gone is no reason to lose files
            stream = self._stream or sys.stderr
            stream.write(text.encode("ascii", "replace").decode())
            stream.flush()

    def _is_terminal(self) -> bool:
        try:
            return (self._stream or sys.stderr).isatty()
        except (AttributeError, ValueError):  # closed, or replaced by something that is no file
            return False

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size((self._stream or sys.stderr).fileno()).columns
        except (OSError, ValueError):
            columns = 0
        return columns - 1 if columns > 1 else _WIDTH  # in the last column some terminals begin a new line
