# SPDX-License-Identifier: Apache-2.0
"""How long one tick of the tree may wait for results, shared by all remote actions of a run. No clock of its own."""

from __future__ import annotations

# Half of the period: a quick action's result is there in the same tick even over Wi-Fi, and what the tree does
# besides still fits into the other half, so that a slow link never makes the runner complain about a tick that is
# too long.
WAIT_SHARE = 0.5


class TickBudget:
    """The time one tick may still wait.

    Args:
        tick_period_s: The runner's tick period, in seconds.
        share: Part of the period that may be waited, between 0 and 1.

    Attributes:
        period_s: The tick period, in seconds.
        number: Of the tree's current tick, counted from 1; 0 before the first.
    """

    def __init__(self, tick_period_s: float, share: float = WAIT_SHARE) -> None:
        self.period_s = tick_period_s
        self.number = 0
        self._share = share
        self._began_s = float("-inf")

    @property
    def whole_s(self) -> float:
        """Seconds that one tick may wait altogether."""
        return self._share * self.period_s

    def begin(self, now_s: float) -> None:
        """A tick of the tree begins."""
        self.number += 1
        self._began_s = now_s

    def left_s(self, now_s: float) -> float:
        """Seconds that may still be waited in this tick."""
        return max(0.0, self._began_s + self.whole_s - now_s)
