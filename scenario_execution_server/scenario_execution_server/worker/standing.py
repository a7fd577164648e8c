# SPDX-License-Identifier: Apache-2.0
"""Ticks that the worker repeats by itself while an action stays RUNNING: whose turn it is, and when. No clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scenario_execution_remote.protocol import messages

ALIVE_EVERY_S = 1.0  # how often the client hears that the worker still gets round; a fraction of any execution_timeout


@dataclass
class _Standing:
    call: messages.Tick
    period_s: float
    began_s: float
    next_s: float


class StandingTicks:
    """The actions that the worker goes on ticking, each with its own period.

    Attributes:
        calls: By action.
    """

    def __init__(self) -> None:
        self.calls: dict[int, _Standing] = {}
        self._next_alive_s = 0.0

    def add(self, call: messages.Tick, now_s: float) -> None:
        """Repeat *call*, from one period after *now_s* on."""
        if call.period_s is not None:
            if not self.calls:
                self._next_alive_s = now_s + ALIVE_EVERY_S
            self.calls[call.action] = _Standing(call, call.period_s, now_s, now_s + call.period_s)

    def drop(self, action: int) -> None:
        """Do not tick *action* again."""
        self.calls.pop(action, None)

    def due(self, now_s: float) -> list[messages.Tick]:
        """The calls to repeat now, in the order in which they were added. A turn that was missed is not made up for.

        Scenario time goes on in them as it does here: the client, who has the clock, is not asked meanwhile.
        """
        due = [one for one in self.calls.values() if one.next_s <= now_s]
        for one in due:
            one.next_s = max(one.next_s + one.period_s, now_s)
        return [
            one.call if one.call.now_s is None else replace(one.call, now_s=one.call.now_s + now_s - one.began_s)
            for one in due
        ]

    def is_alive_due(self, now_s: float) -> bool:
        """Whether the client should hear now that the worker gets round."""
        if not self.calls or now_s < self._next_alive_s:
            return False
        self._next_alive_s = now_s + ALIVE_EVERY_S
        return True

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until something is due; None if nothing ever will be."""
        if not self.calls:
            return None
        soonest_s = min(min(one.next_s for one in self.calls.values()), self._next_alive_s)
        return max(0.0, soonest_s - now_s)
