# SPDX-License-Identifier: Apache-2.0
"""How long one tick of the tree may wait for results, shared by all remote actions of a run. No clock of its own."""

from __future__ import annotations

# Half of the period: a quick action's result is there in the same tick even over Wi-Fi, and what the tree does
# besides still fits into the other half, so that a slow link never makes the runner complain about a tick that is
# too long.
WAIT_SHARE = 0.5

# An action that comes so much of a period after the last beginning is in the next tick. Less than a whole one: ticks do
# not begin exactly a period apart, and an action that comes first in its tick may come earlier in it than the other
# did. More than the half that is waited for: or a tick that has used it up would be given another one.
NEXT_TICK_SHARE = 0.75


class TickBudget:
    """The time one tick may still wait.

    The tree does not say when a tick begins. It ticks each action at most once per tick, so an action that comes a
    second time is in the next one; and so is whoever comes most of a period after the last beginning.

    Args:
        tick_period_s: The runner's tick period, in seconds.
        share: Part of the period that may be waited, between 0 and 1.
    """

    def __init__(self, tick_period_s: float, share: float = WAIT_SHARE) -> None:
        self.period_s = tick_period_s
        self._share = share
        self._began_s = float("-inf")
        self._seen: set[int] = set()
        self._number = 0

    @property
    def whole_s(self) -> float:
        """Seconds that one tick may wait altogether."""
        return self._share * self.period_s

    def enter(self, action: int, now_s: float) -> int:
        """An action is being ticked. Returns the number of the tick, counted from 1."""
        if action in self._seen or now_s - self._began_s >= NEXT_TICK_SHARE * self.period_s:
            self._seen.clear()
            self._began_s = now_s
            self._number += 1
        self._seen.add(action)
        return self._number

    def left_s(self, now_s: float) -> float:
        """Seconds that may still be waited in this tick."""
        return max(0.0, self._began_s + self.whole_s - now_s)
