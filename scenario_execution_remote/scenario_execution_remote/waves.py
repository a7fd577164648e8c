# SPDX-License-Identifier: Apache-2.0
"""One message per tick and server: the first action that is ticked takes along those that will be ticked after it.

The worker ticks them in the tree's order and stops at the first that does not stay RUNNING, because what the tree does
then is for the tree to say. A wave reaches as far as nothing else is ticked in between, an action here or on another
server. So the order of calls is exactly that of local execution, and a tick in which nothing ends costs one round trip
for all that follow each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Protocol

from .leaves import Node, is_due
from .link import Pending
from .protocol import messages


class Member(Protocol):
    """What a wave needs of a remote node."""

    number: int

    def can_follow(self) -> bool:
        """Whether it is RUNNING and waits for nothing."""

    def holds_up(self) -> bool:
        """Whether, where it cannot follow, it is ticked by itself in this tick, and so before what comes behind it."""

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
        self._actions = actions
        self._have_all_stayed = False  # the usual answer, after which nobody's place has to be looked up

    def has_left_running(self, action: int) -> bool:
        """Whether the answer is here and says that *action* stayed RUNNING."""
        if self._have_all_stayed:
            return True
        answer = self.pending.result
        if isinstance(answer, messages.Ticked):
            self._have_all_stayed = answer.running == len(self._actions)
            return self._have_all_stayed or self._places[action] < answer.running
        return answer is not None and answer.fault is None and answer.status == "RUNNING"

    def has_missed(self, action: int) -> bool:
        """Whether the answer is here and *action* was not ticked: one before it did not stay RUNNING, or its row ended
        before it."""
        answer = self.pending.result
        if isinstance(answer, messages.Ticked):
            return answer.running < len(self._actions) and self._places[action] > answer.running
        return answer is not None and answer.fault is None and answer.status is None

    def result_of(self, action: int) -> messages.Result | None:
        """What became of *action*; None if it stayed RUNNING in company, or if the call failed."""
        answer = self.pending.result
        if isinstance(answer, messages.Ticked):
            return answer.result if self._places[action] == answer.running else None
        return answer

    @functools.cached_property
    def _places(self) -> dict[int, int]:
        return {action: place for place, action in enumerate(self._actions)}


class Waves:
    """The order in which the remote actions of one server are ticked, learnt from the tick before.

    Args:
        send: Sends a TickAll for these actions and returns the pending call.
        between: The leaves that stand between two members in the tree; None if that cannot be said.
    """

    def __init__(
        self, send: Callable[[list[int]], Pending], between: Callable[[Member, Member], Sequence[Node] | None]
    ) -> None:
        self._send = send
        self._between = between
        self._tick = -1
        self._last: list[Member] = []  # in the order in which they were ticked
        self._places: dict[int, int] = {}  # in _last
        self._others: list[Sequence[Node] | None] = []  # before each in _last, behind the one before it
        self._same_count = 0  # so many have come in this tick as they did in the last one
        self._this: list[Member] | None = None  # the order in this tick, once it is another one than that of the last

    def enter(self, member: Member, tick: int) -> None:
        """*member* is being ticked, in the tree's tick number *tick*."""
        if tick != self._tick:
            self._tick = tick
            if self._this is not None or self._same_count < len(self._last):
                self._begin_order()
            self._same_count = 0
        if self._this is None:
            place = self._same_count
            if place < len(self._last) and self._last[place] is member:
                self._same_count = place + 1  # all there is to do while the tree stays as it is
                return
            self._this = self._last[:place]
        self._this.append(member)

    def _begin_order(self) -> None:
        if self._this is None:
            self._this = self._last[: self._same_count]  # those behind were not ticked any more
        self._last, self._this = self._this, None
        self._places = {one.number: place for place, one in enumerate(self._last)}
        self._others = [None, *map(self._between, self._last, self._last[1:])]

    def begin(self, member: Member) -> Tick:
        """Tick *member*, and with it all that will come right behind it in this tick of the tree."""
        place = self._places.get(member.number)
        followers = self._behind(place) if place is not None else []
        actions = [member.number]
        if followers:
            actions += [one.number for one in followers]
        tick = Tick(self._tick, self._send(actions), actions)
        for one in followers:
            one.follow(tick)
        return tick

    def _behind(self, place: int) -> list[Member]:
        followers: list[Member] = []
        for one, others in zip(self._last[place + 1 :], self._others[place + 1 :], strict=False):
            if others is None or (others and any(map(is_due, others))):
                break
            if one.can_follow():
                followers.append(one)
            elif one.holds_up():
                break
        return followers
