# SPDX-License-Identifier: Apache-2.0
"""Which actions may be begun behind another one without the tree, and how the tree catches up with them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence as Series
from typing import Any, cast

import py_trees
import pytest
from py_trees.common import Status
from py_trees.composites import Parallel, Selector, Sequence

from scenario_execution_remote.chains import Chain, Rows, following
from scenario_execution_remote.errors import RemoteError
from scenario_execution_remote.link import Link
from scenario_execution_remote.marker import Remote
from scenario_execution_remote.pending import Pending
from scenario_execution_remote.protocol import messages
from scenario_execution_remote.protocol.wire import CannotTravelError

LINK = cast("Link", object())
OTHER_LINK = cast("Link", object())


class Leaf(py_trees.behaviour.Behaviour):
    """A remote leaf, as far as a chain is concerned."""

    def __init__(self, number: int, link: Link = LINK, arguments: dict[str, Any] | None = None) -> None:
        super().__init__(f"leaf {number}")
        self.number = number
        self.chain: Chain | None = None
        self.link = link
        self.arguments = {"number": number} if arguments is None else arguments

    def update(self) -> py_trees.common.Status:
        raise AssertionError("nobody ticks here")

    def arguments_ahead(self, link: Link) -> dict[str, Any] | None:
        return (self.arguments or None) if link is self.link else None

    def log_late_fault(self, answer: object) -> None:
        raise AssertionError(answer)


def leaves(count: int) -> list[Leaf]:
    return [Leaf(number) for number in range(count)]


def sequence(*children: py_trees.behaviour.Behaviour, memory: bool = True) -> Sequence:
    return Sequence("sequence", memory, list(children))


def found(node: Leaf, most: int = 10) -> list[int]:
    return [one.number for one, _ in following(node, LINK, most)]


def a_call(number: int) -> Pending:
    call = messages.Tick(call=number, action=number, arguments={}, now_s=None, period_s=None, after=None)
    return Pending(call, lambda _pending, _timeout_s: None)


def a_chain(nodes: list[Leaf]) -> tuple[Chain, list[Pending]]:
    first, *pendings = [a_call(node.number) for node in nodes]
    return Chain(nodes[0], first, list(zip(nodes[1:], pendings, strict=True)), lambda: None), [first, *pendings]


def answer(pending: Pending, status: str | None = "SUCCESS") -> None:
    result = messages.Result(
        call=pending.call.call, status=status, stopped=True, feedback="", fault=None, value=None, nodes=[]
    )
    pending.finish(result, None)


class Wire:
    """A link, and what is sent over it; nothing is answered."""

    def __init__(self, largest: int = 100) -> None:
        self.sent: list[list[Any]] = []
        self.forgotten: list[int] = []
        self._numbers = itertools.count(1)
        self._largest = largest

    def next_number(self) -> int:
        return next(self._numbers)

    def forget(self, pending: Pending) -> None:
        self.forgotten.append(pending.call.call)

    def send(self, calls: Series[Any]) -> list[Pending]:
        if len(calls) > self._largest:
            raise CannotTravelError("arguments", "would take too much")
        self.sent.append(list(calls))
        return [Pending(call, lambda _pending, _timeout_s: None) for call in calls]


class Site:
    """A sequence of leaves on one server."""

    def __init__(self, count: int, largest: int = 100) -> None:
        self.wire = Wire(largest)
        link = cast("Link", self.wire)
        self.nodes = [Leaf(number, link) for number in range(count)]
        self.sequence = sequence(*self.nodes)
        self.rows = Rows(link, self.wire.send)

    def begin(self, node: Leaf) -> Pending:
        """The tree comes to *node*, which is not begun yet."""
        call = messages.Tick(
            call=self.wire.next_number(), action=node.number, arguments={}, now_s=None, period_s=None, after=None
        )
        return self.rows.begin(node, call)

    def all_succeed(self) -> list[int]:
        """The tree goes through all of them; returns how many each message has begun."""
        before = len(self.wire.sent)
        for node in self.nodes:
            if node.chain is None:
                self.begin(node)
            else:
                node.chain.reach()
        return [len(calls) for calls in self.wire.sent[before:]]


def test_those_right_behind_in_a_sequence_may_be_begun_with_their_arguments() -> None:
    first, second, third = leaves(3)
    sequence(first, second, third)
    assert following(first, LINK, 10) == [(second, {"number": 1}), (third, {"number": 2})]
    assert following(second, LINK, 10) == [(third, {"number": 2})]
    assert following(third, LINK, 10) == []


def test_no_more_of_them_are_looked_at_than_wanted() -> None:
    nodes = leaves(9)
    sequence(*nodes)
    assert found(nodes[1], 3) == [2, 3, 4]


def test_remote_around_an_action_is_looked_through_on_both_sides() -> None:
    first, second = leaves(2)
    sequence(Remote("remote", Remote("remote", first)), Remote("remote", second))
    assert found(first) == [1]


def test_a_local_action_ends_the_row() -> None:
    first, second = leaves(2)
    sequence(first, py_trees.behaviours.Success("local"), second)
    assert found(first) == []


def test_an_action_on_another_server_ends_the_row() -> None:
    first, second = Leaf(0), Leaf(1, OTHER_LINK)
    sequence(first, second)
    assert found(first) == []


def test_an_action_whose_arguments_are_not_certain_ends_the_row() -> None:
    first, second, third = Leaf(0), Leaf(1, arguments={}), Leaf(2)
    sequence(first, second, third)
    assert found(first) == []


def test_a_modifier_around_an_action_ends_the_row_as_it_may_make_something_else_of_its_result() -> None:
    first, second = leaves(2)
    sequence(py_trees.decorators.Inverter("inverter", first), second)
    assert found(first) == []
    first, second = leaves(2)
    sequence(first, py_trees.decorators.Inverter("inverter", second))
    assert found(first) == []


@pytest.mark.parametrize(
    "parent",
    [
        lambda children: Parallel("parallel", py_trees.common.ParallelPolicy.SuccessOnAll(), children),
        lambda children: Selector("selector", True, children),
        lambda children: sequence(*children, memory=False),
        lambda children: type("Special", (Sequence,), {})("special", True, children),
    ],
    ids=["parallel", "selector", "without memory", "of another class"],
)
def test_only_a_plain_sequence_with_memory_is_known_to_go_on_with_the_next(parent: Any) -> None:
    first, second = leaves(2)
    parent([first, second])
    assert found(first) == []


def test_without_a_sequence_around_it_nothing_follows() -> None:
    assert found(Leaf(0)) == []


def test_the_tree_catches_up_one_by_one() -> None:
    nodes = leaves(3)
    chain, pendings = a_chain(nodes)
    assert [chain.is_ahead(node) for node in nodes] == [False, True, True]
    assert chain.reach() is pendings[1]
    assert [node.chain for node in nodes] == [None, chain, chain]
    assert [chain.is_ahead(node) for node in nodes[1:]] == [False, True]
    assert chain.reach() is pendings[2]
    assert [node.chain for node in nodes] == [None, None, None]


def test_a_cut_sets_those_behind_free_and_tells_which_they_were() -> None:
    nodes = leaves(4)
    chain, pendings = a_chain(nodes)
    chain.reach()
    assert chain.cut() == [(nodes[2], pendings[2]), (nodes[3], pendings[3])]
    assert [node.chain for node in nodes] == [None] * 4


@pytest.mark.parametrize("status", ["SUCCESS", "RUNNING", "FAILURE", None])
def test_the_row_goes_on_with_the_next_one_if_the_first_tick_before_it_has_succeeded(status: str | None) -> None:
    nodes = leaves(3)
    chain, pendings = a_chain(nodes)
    assert not any(map(chain.goes_on_with, nodes))  # nobody knows yet
    answer(pendings[0], status)
    assert [chain.goes_on_with(node) for node in nodes] == [False, status == "SUCCESS", False]


def test_the_row_does_not_go_on_when_the_link_is_lost() -> None:
    nodes = leaves(2)
    chain, pendings = a_chain(nodes)
    pendings[0].finish(None, RemoteError("lost"))
    assert not chain.goes_on_with(nodes[1])


def test_each_is_sent_with_its_own_arguments_and_the_call_that_it_comes_after() -> None:
    site = Site(3)
    site.begin(site.nodes[0])
    (calls,) = site.wire.sent
    assert [(call.call, call.action, call.after) for call in calls] == [(1, 0, None), (2, 1, 1), (3, 2, 2)]
    assert [call.arguments for call in calls] == [{}, {"number": 1}, {"number": 2}]


def test_twice_as_many_go_along_each_time_that_all_were_of_use_up_to_a_limit() -> None:
    site = Site(100)
    assert site.all_succeed() == [5, 9, 17, 33, 33, 3]


def test_behind_an_action_that_takes_its_time_one_goes_along_and_what_was_sent_in_vain_is_not_waited_for() -> None:
    site = Site(9)
    site.begin(site.nodes[0])
    chain = site.nodes[0].chain
    assert chain is not None
    site.rows.forget(chain)
    assert site.wire.forgotten == [2, 3, 4, 5]
    assert [node.chain for node in site.nodes] == [None] * 9
    site.begin(site.nodes[1])
    assert [len(calls) for calls in site.wire.sent] == [5, 2]


def test_without_any_behind_it_there_is_no_row() -> None:
    site = Site(1)
    site.begin(site.nodes[0])
    assert site.nodes[0].chain is None


def test_a_stop_is_for_those_behind_as_well_if_they_have_begun() -> None:
    site = Site(3)
    site.begin(site.nodes[0])
    stopped = site.rows.stop(site.nodes[0], Status.FAILURE, if_begun=False)
    stops = site.wire.sent[-1]
    assert [(call.action, call.status, call.if_begun) for call in stops] == [
        (0, "FAILURE", False), (1, "INVALID", True), (2, "INVALID", True),
    ]  # fmt: skip
    assert stopped.call is stops[0]
    assert [node.chain for node in site.nodes] == [None] * 3


def test_an_action_that_the_tree_has_left_behind_is_stopped_alone() -> None:
    site = Site(3)
    site.begin(site.nodes[0])
    chain = site.nodes[1].chain
    assert chain is not None
    chain.reach()
    site.rows.stop(site.nodes[0], Status.INVALID, if_begun=False)
    assert [call.action for call in site.wire.sent[-1]] == [0]
    assert chain.is_ahead(site.nodes[2])


def test_those_that_make_the_message_too_large_go_in_their_own_turn() -> None:
    site = Site(3, largest=1)
    assert site.all_succeed() == [1, 1, 1]


def test_what_alone_cannot_travel_is_said() -> None:
    site = Site(1, largest=0)
    with pytest.raises(CannotTravelError):
        site.begin(site.nodes[0])
