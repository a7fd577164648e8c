# SPDX-License-Identifier: Apache-2.0
"""How much of files a session may carry: what is too much is refused, what is too fast waits. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from scenario_execution_remote.files.figures import amount

_BURST_S = 1.0  # of the rate may pass at once: a result of a few kilobytes shall not wait
_DEBT_BYTES = 10**9  # a thousand chunks that nobody has waited for yet; a meter that says more is not to be believed


class QuotaExceededError(Exception):
    """A file is more than the session may carry; the sentence names what is used up and the next step."""


class Meter(Protocol):
    """Until when, on the clock of :meth:`Quota.pause_s`, what has passed is paid for."""

    def advance(self, step: Callable[[float], float]) -> float:
        """Replace it by what *step* makes of it, and return that; of all who share it, one at a time."""


class OwnMeter:
    """Of one session alone."""

    def __init__(self) -> None:
        self._until_s = float("-inf")

    def advance(self, step: Callable[[float], float]) -> float:
        """See :class:`Meter`."""
        self._until_s = step(self._until_s)
        return self._until_s


class Quota:
    """One session's, both ways together; without limits until :meth:`limit` sets some."""

    def __init__(self) -> None:
        self._total_bytes: int | None = None
        self._count: int | None = None
        self._rate_bytes_s: int | None = None
        self._mend: Callable[[str, int], str] | None = None
        self._used_bytes = 0
        self._used_count = 0
        self._meter: Meter = OwnMeter()

    def limit(
        self,
        *,
        total_bytes: int | None = None,
        count: int | None = None,
        rate_bytes_s: int | None = None,
        mend: Callable[[str, int], str] | None = None,
        meter: Meter | None = None,
    ) -> None:
        """From now on, these count, for what was carried before as well.

        Args:
            total_bytes: Of all files; None for any number.
            count: Of files; None for any number.
            rate_bytes_s: How fast; None for as fast as it goes.
            mend: Says as the end of a sentence what to do about a limit, ``total`` or ``count``, if so much is needed.
            meter: Of all who share the rate; None if nobody else does.
        """
        self._total_bytes = total_bytes
        self._count = count
        self._rate_bytes_s = rate_bytes_s
        self._mend = mend
        self._meter = meter or self._meter

    def add(self, name: str, size_bytes: int) -> None:
        """A file is about to be carried.

        Raises:
            QuotaExceededError: it may not; then it does not count.
        """
        if self._count is not None and self._used_count >= self._count:
            raise QuotaExceededError(
                f"{ascii(name)} is one more than the {self._count} files that this session may carry"
                f"{self._ending('count', self._used_count + 1)}"
            )
        self._check_total(name, size_bytes)
        self._used_bytes += max(0, size_bytes)  # a peer may have said anything
        self._used_count += 1

    def grow(self, name: str, size_bytes: int) -> None:
        """A file that was added turns out to be so much larger.

        Raises:
            QuotaExceededError: it may not be carried.
        """
        if size_bytes > 0:
            self._check_total(name, size_bytes)
            self._used_bytes += size_bytes

    def pause_s(self, size_bytes: int, now_s: float) -> float:
        """Bytes are about to be carried: how long to wait before, in seconds."""
        rate = self._rate_bytes_s
        if rate is None:
            return 0.0
        latest_s = now_s + _DEBT_BYTES / rate

        def pay(paid_s: float) -> float:
            return min(max(paid_s, now_s - _BURST_S), latest_s) + size_bytes / rate

        return max(0.0, self._meter.advance(pay) - now_s)

    def _check_total(self, name: str, size_bytes: int) -> None:
        if self._total_bytes is not None and self._used_bytes + size_bytes > self._total_bytes:
            left = amount(self._total_bytes - self._used_bytes)
            raise QuotaExceededError(
                f"{ascii(name)} has {amount(size_bytes)}, and {left} are left of the {amount(self._total_bytes)} that "
                f"this session may carry{self._ending('total', self._used_bytes + size_bytes)}"
            )

    def _ending(self, limit: str, needed: int) -> str:
        return f"; {self._mend(limit, needed)}" if self._mend is not None else ""
