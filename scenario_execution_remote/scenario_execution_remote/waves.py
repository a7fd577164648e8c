# SPDX-License-Identifier: Apache-2.0
"""One message per tick and server: the first action that is ticked takes along those that will be ticked after it.

The worker ticks them in the tree's order and stops at the first that does not stay RUNNING, because what the tree does
then is for the tree to say. So the order of calls is exactly that of local execution, and a tick in which nothing ends
costs one round trip for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .link import Pending
from .protocol import messages


class Member(Protocol):
    """What a wave needs of a remote node."""

    number: int

    def can_follow(self) -> bool:
        """Whether it is RUNNING, waits for nothing, and does not look at what other actions leave on the blackboard."""

    def follow(self, tick: Tick) -> None:
        """*tick* ticks this node as well."""


class Tick:
    """A tick on its way, of one action or of several.

    Attributes:
        number: Of the tree's tick in which it was sent.
        pending: The call.
    """

    def __init__(self, number: int, pending: Pending, actions: Sequence[int]) -> None:
        self.number = number
        self.pending = pending
        self._places = {action: place for place, action in enumerate(actions)}

    def has_left_running(self, action: int) -> bool:
        """Whether the answer is here and says that *action* stayed RUNNING."""
        answer = self.pending.result
        if isinstance(answer, messages.Ticked):
            return self._places[action] < answer.running
        return answer is not None and answer.fault is None and answer.status == "RUNNING"

    def has_missed(self, action: int) -> bool:
        """Whether the answer is here and *action* was not ticked, because one before it did not stay RUNNING."""
        answer = self.pending.result
        return isinstance(answer, messages.Ticked) and self._places[action] > answer.running

    def result_of(self, action: int) -> messages.Result | None:
        """What became of *action*; None if it stayed RUNNING in company, or if the call failed."""
        answer = self.pending.result
        if isinstance(answer, messages.Ticked):
            return answer.result if self._places[action] == answer.running else None
        return answer


class Waves:
    """The order in which the remote actions of one server are ticked, learnt from the tick before.

    Args:
        send: Sends a TickAll for these actions and returns the pending call.
    """

    def __init__(self, send: Callable[[list[int]], Pending]) -> None:
        self._send = send
        self._tick = -1
        self._this: list[Member] = []  # in the order in which they were ticked
        self._last: list[Member] = []
        self._places: dict[int, int] = {}  # in _last

    def enter(self, member: Member, tick: int) -> None:
        """*member* is being ticked, in the tree's tick number *tick*."""
        if tick != self._tick:
            self._tick = tick
            self._last, self._this = self._this, []
            self._places = {one.number: place for place, one in enumerate(self._last)}
        self._this.append(member)

    def begin(self, member: Member) -> Tick:
        """Tick *member*, and with it all that will come after it in this tick of the tree."""
        place = self._places.get(member.number)
        candidates = self._last[place + 1 :] if place is not None else []
        followers = [one for one in candidates if one.can_follow()]
        actions = [member.number, *(one.number for one in followers)]
        tick = Tick(self._tick, self._send(actions), actions)
        for one in followers:
            one.follow(tick)
        return tick
