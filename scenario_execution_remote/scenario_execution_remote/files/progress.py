# SPDX-License-Identifier: Apache-2.0
"""How far files have come on their way: share, rate and time left, and the line that says so. No I/O, no clock."""

from __future__ import annotations

from collections import deque

from scenario_execution_remote.files.figures import amount

SHOWN_AFTER_S = 1.0  # what is faster than that needs no explanation
LARGE_BYTES = 64 * 1000**2  # of which a line in the log says at the end that it has been carried
_RATE_OVER_S = 5.0  # long enough not to flicker, short enough to notice that the link has changed
_BAR_CHARACTERS = 20
_NAME_CHARACTERS = 30


class Progress:
    """One batch of files: from when there is something to carry until there is nothing."""

    def __init__(self, now_s: float) -> None:
        self.began_s = now_s
        self.done_bytes = 0
        self.done_count = 0
        self.total_bytes = 0
        self._name = ""
        self._steps: deque[tuple[float, int]] = deque([(now_s, 0)])  # when, and how much was done by then

    def expect(self, size_bytes: int) -> None:
        """So much more is to come."""
        self.total_bytes += size_bytes

    def begin(self, name: str) -> None:
        """The next file."""
        self._name = name

    def advance(self, size_bytes: int, now_s: float) -> None:
        """So much of it is done."""
        self.done_bytes += size_bytes
        self._steps.append((now_s, self.done_bytes))
        while len(self._steps) > 2 and self._steps[1][0] <= now_s - _RATE_OVER_S:
            self._steps.popleft()

    def finish(self) -> None:
        """The file is complete."""
        self.done_count += 1

    @property
    def share(self) -> float:
        """From 0 to 1; what comes may be more than was expected, as files grow."""
        return min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else 0.0

    def rate_bytes_s(self, now_s: float) -> float:
        """Over the last few seconds."""
        then_s, before = self._steps[0]
        return (self.done_bytes - before) / (now_s - then_s) if now_s > then_s else 0.0

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the end at this rate; None if there is none."""
        rate = self.rate_bytes_s(now_s)
        return max(0, self.total_bytes - self.done_bytes) / rate if rate else None

    def line(self, now_s: float, width: int) -> str:
        """All of it, in no more than *width* characters."""
        left_s = self.left_s(now_s)
        left = "" if left_s is None else f"  {_clock(left_s)} left"
        rest = f"{self.share:4.0%}  {amount(self.rate_bytes_s(now_s))}/s{left}"
        filled = round(self.share * _BAR_CHARACTERS)
        bar = f"[{'#' * filled}{'.' * (_BAR_CHARACTERS - filled)}]"
        room = width - len(bar) - len(rest) - 2
        line = f"{shortened(self._name, min(room, _NAME_CHARACTERS))} {bar} {rest}" if room > 0 else rest.strip()
        return line.strip()[:width]

    def summary(self, now_s: float) -> str:
        """What was carried, when it is over."""
        took_s = max(now_s - self.began_s, 0.001)
        count = f"{self.done_count} file{'' if self.done_count == 1 else 's'}"
        return f"{count}, {amount(self.done_bytes)} in {_clock(took_s)}, {amount(self.done_bytes / took_s)}/s"


def shortened(name: str, width: int) -> str:
    """*name* in that many characters, harmless on a terminal; of a long one, the end tells more."""
    shown = "".join(char if char.isprintable() else "?" for char in name)
    if len(shown) <= width:
        return shown
    return f"...{shown[len(shown) - width + 3 :]}" if width > 3 else shown[:width]


def _clock(seconds: float) -> str:
    """Minutes and seconds, and hours if there are any."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
