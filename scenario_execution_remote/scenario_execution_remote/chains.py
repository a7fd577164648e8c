# SPDX-License-Identifier: Apache-2.0
"""Actions of one server that follow each other in a sequence: the server begins the next as soon as one has succeeded.

Between the end of an action and the beginning of its neighbour in a sequence the tree does nothing, so nothing is lost
if it is not asked there, and a round trip is saved for each. The tree goes through its own steps afterwards, with the
answers that are there already. When an action does not succeed in its first tick, the server begins none of those
behind it, and the tree does so in their own turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

import py_trees
from py_trees.common import Status

from .link import Link, Pending
from .marker import Remote
from .pending import Answer
from .protocol import messages
from .protocol.wire import CannotTravelError

# How many are sent along. What is sent in vain is sent again later: so it is one as long as actions take their time,
# and twice as many each time that all of them have been of use.
_FIRST, _LEAST, _MOST = 4, 1, 32


class Member(Protocol):
    """What a chain needs of a remote node."""

    number: int
    chain: Chain | None

    def arguments_ahead(self, link: Link) -> dict[str, Any] | None:
        """What its next activation will give to it, if that is certain already and the action is on this link."""

    def log_late_fault(self, answer: Answer | None) -> None:
        """Log what it has raised in a call that nobody waits for any more."""


class Rows:
    """The rows of one server: begins them, as long as what became of those before suggests, and stops them.

    Args:
        link: To the server.
        send: Sends several calls in one message.
    """

    def __init__(self, link: Link, send: Callable[[Sequence[Any]], list[Pending]]) -> None:
        self._link = link
        self._send = send
        self._length = _FIRST

    def begin(self, node: Any, call: messages.Tick) -> Pending:
        """Send the tick that activates *node*, with those of the nodes that come right behind it.

        Raises:
            CannotTravelError: an argument of *node* has no form on the wire.
        """
        calls, behind = [call], []
        for follower, arguments in following(node, self._link, self._length):
            number = self._link.next_number()
            calls.append(replace(call, call=number, action=follower.number, arguments=arguments, after=calls[-1].call))
            behind.append(follower)
        try:
            first, *others = self._send(calls)
        except CannotTravelError:
            if not behind:
                raise
            return self._send([call])[0]  # each of the others has its own turn to say so
        if behind:
            Chain(node, first, list(zip(behind, others, strict=True)), self._was_enough)
        return first

    def forget(self, chain: Chain) -> None:
        """The server begins none of those that the tree has not come to."""
        for _, pending in self._cut(chain):
            self._link.forget(pending)

    def stop(self, node: Member, status: Status, *, if_begun: bool) -> Pending:
        """Have *node* stopped, and those behind it that the server has begun already.

        Args:
            node: Where the tree is, or has been.
            status: For its ``stop()``.
            if_begun: Whether the server may not have begun it.
        """
        chain = node.chain
        behind = self._cut(chain) if chain is not None and not chain.is_ahead(node) else []
        stops = [(node.number, status, if_begun), *((follower.number, Status.INVALID, True) for follower, _ in behind)]
        stopped, *others = self._send([
            messages.Stop(call=self._link.next_number(), action=action, status=how.name, if_begun=only_if_begun)
            for action, how, only_if_begun in stops
        ])  # fmt: skip
        for (follower, begun), other in zip(behind, others, strict=True):
            begun.abandon(follower.log_late_fault)
            other.abandon(partial(self._end_of_stop, follower, begun))
        return stopped

    def _end_of_stop(self, node: Member, begun: Pending, answer: Answer) -> None:
        """One that was sent along is stopped: if its tick has not been answered by now, it was never begun."""
        node.log_late_fault(answer)
        self._link.forget(begun)

    def _cut(self, chain: Chain) -> list[tuple[Member, Pending]]:
        self._length = _LEAST
        return chain.cut()

    def _was_enough(self) -> None:
        self._length = min(2 * self._length, _MOST)


def following(node: Any, link: Link, most: int) -> list[tuple[Any, dict[str, Any]]]:
    """The remote nodes right behind *node* in its sequence that may be begun ahead, each with its arguments."""
    found = []
    for sibling in islice(_siblings_behind(node), most):
        arguments = sibling.arguments_ahead(link) if hasattr(sibling, "arguments_ahead") else None
        if arguments is None:
            break
        found.append((sibling, arguments))
    return found


def _siblings_behind(node: py_trees.behaviour.Behaviour) -> Iterator[py_trees.behaviour.Behaviour]:
    outer = node
    while isinstance(outer.parent, Remote):
        outer = outer.parent
    parent = outer.parent
    if type(parent) is py_trees.composites.Sequence and parent.memory:  # of other kinds nobody knows what they do
        for sibling in islice(parent.children, parent.children.index(outer) + 1, None):
            while isinstance(sibling, Remote):
                sibling = sibling.decorated
            yield sibling


class Chain:
    """One action and those behind it, on their way together.

    Args:
        first: The node that the tree is at.
        begun: The call that has begun it.
        behind: The others, in order, each with its call.
        was_enough: Called when the tree has come to the last one.
    """

    def __init__(
        self, first: Member, begun: Pending, behind: Sequence[tuple[Member, Pending]], was_enough: Callable[[], None]
    ) -> None:
        self._present, self._begun = first, begun
        self._behind = deque(behind)
        self._was_enough = was_enough
        for node in (first, *(node for node, _ in behind)):
            node.chain = self

    def goes_on_with(self, node: Member) -> bool:
        """Whether *node* is the next one, and its turn has come without the tree: the one before it, where the tree has
        been until now, has succeeded in its first tick and not in a later one."""
        answer = self._begun.result
        has_succeeded = isinstance(answer, messages.Result) and answer.status == Status.SUCCESS.name
        return has_succeeded and bool(self._behind) and self._behind[0][0] is node

    def reach(self) -> Pending:
        """The tree has come to the next one: the call that has begun it, unless the server says otherwise."""
        self._present.chain = None
        self._present, self._begun = self._behind.popleft()
        if not self._behind:
            self._present.chain = None
            self._was_enough()
        return self._begun

    def is_ahead(self, node: Member) -> bool:
        """Whether the tree has not come to *node* yet."""
        return self._present is not node

    def cut(self) -> list[tuple[Member, Pending]]:
        """It ends where the tree is; those behind, which are returned, are begun in their own turn."""
        left, self._behind = list(self._behind), deque()
        for node in (self._present, *(node for node, _ in left)):
            node.chain = None
        return left
