# SPDX-License-Identifier: Apache-2.0
"""How long one tick of the tree may wait for results, shared by all remote actions of a run. No clock of its own."""

from __future__ import annotations


class TickBudget:
    """The time one tick may still wait. It runs from the tick's beginning, whoever waits.

    Args:
        tick_period_s: The runner's tick period, in seconds.

    Attributes:
        period_s: The tick period, in seconds.
        number: Of the tree's current tick, counted from 1; 0 before the first.
    """

    def __init__(self, tick_period_s: float) -> None:
        self.period_s = tick_period_s
        self.number = 0
        self._began_s = float("-inf")

    def begin(self, now_s: float) -> None:
        """A tick of the tree begins."""
        self.number += 1
        self._began_s = now_s

    def left_s(self, now_s: float, share: float) -> float:
        """Seconds that may still be waited in this tick."""
        return max(0.0, self._began_s + share * self.period_s - now_s)
