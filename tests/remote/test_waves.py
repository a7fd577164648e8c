# SPDX-License-Identifier: Apache-2.0
"""Which actions are ticked along with which, learnt from the tick before; and what the answer says of each."""

from __future__ import annotations

from typing import Any

import py_trees
import pytest
from py_trees.common import Status

from scenario_execution_remote.pending import Pending
from scenario_execution_remote.protocol import messages
from scenario_execution_remote.waves import Tick, Waves


class Node:
    """A node of the tree that may be ticked along unless told otherwise."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.may_follow = True
        self.is_under_way = False
        self.ticks: list[Tick] = []

    def can_follow(self) -> bool:
        return self.may_follow

    def holds_up(self) -> bool:
        return not self.is_under_way

    def follow(self, tick: Tick) -> None:
        self.ticks.append(tick)


class Sent(list[list[int]]):
    """The waves that were sent; each stays unanswered until told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.pending: list[Pending] = []

    def __call__(self, actions: list[int]) -> Pending:
        self.append(actions)
        self.pending.append(Pending(None, lambda _pending, _timeout_s: None))
        return self.pending[-1]


def nothing_between(_first: object, _second: object) -> list[Any]:
    return []


def ticked(running: int, result: messages.Result | None = None) -> messages.Ticked:
    return messages.Ticked(call=1, running=running, result=result)


def a_result(status: str) -> messages.Result:
    return messages.Result(call=1, status=status, stopped=True, feedback="", fault=None, value=None, nodes=[])


@pytest.fixture
def sent() -> Sent:
    return Sent()


def tree_ticks(waves: Waves, tick: int, nodes: list[Node]) -> None:
    for node in nodes:
        waves.enter(node, tick)


def test_in_the_first_tick_each_goes_alone_and_in_the_next_the_first_takes_all_along(sent: Sent) -> None:
    waves, nodes = Waves(sent, nothing_between), [Node(number) for number in (3, 1, 2)]
    for node in nodes:
        waves.enter(node, 1)
        waves.begin(node)
    waves.enter(nodes[0], 2)
    tick = waves.begin(nodes[0])
    assert sent == [[3], [1], [2], [3, 1, 2]]
    assert tick.number == 2
    assert [node.ticks for node in nodes] == [[], [tick], [tick]]


def test_only_those_that_came_behind_it_and_may_are_taken_along(sent: Sent) -> None:
    waves, nodes = Waves(sent, nothing_between), [Node(number) for number in range(5)]
    tree_ticks(waves, 1, nodes)
    nodes[3].may_follow, nodes[3].is_under_way = False, True  # its last tick is, so it gets no other one
    tree_ticks(waves, 2, nodes[:2])
    waves.begin(nodes[1])
    assert sent == [[1, 2, 4]]


def test_none_is_ticked_before_one_that_stands_before_it_and_gets_a_tick_of_its_own(sent: Sent) -> None:
    waves, nodes = Waves(sent, nothing_between), [Node(number) for number in range(4)]
    tree_ticks(waves, 1, nodes)
    nodes[2].may_follow = False
    tree_ticks(waves, 2, nodes[:1])
    waves.begin(nodes[0])
    assert sent == [[0, 1]]


@pytest.mark.parametrize(("others", "wave"), [("ended", [0, 1]), ("running", [0]), ("unknown", [0])])
def test_a_wave_reaches_as_far_as_nothing_else_is_ticked_in_between(sent: Sent, others: str, wave: list[int]) -> None:
    other = py_trees.behaviours.Running("another's")
    other.status = Status.RUNNING if others == "running" else Status.SUCCESS
    waves = Waves(sent, lambda _first, _second: None if others == "unknown" else [other])
    nodes = [Node(number) for number in range(2)]
    tree_ticks(waves, 1, nodes)
    tree_ticks(waves, 2, nodes[:1])
    waves.begin(nodes[0])
    assert sent == [wave]


@pytest.mark.parametrize(
    ("second", "wave"),
    [([0, 1, 2], [0, 1, 2]), ([0, 1], [0, 1]), ([0, 2], [0, 2]), ([2, 0, 1], [2, 0, 1]), ([0, 1, 2, 3], [0, 1, 2, 3])],
    ids=str,
)
def test_the_order_is_that_of_the_tick_before_however_it_has_changed(
    sent: Sent, second: list[int], wave: list[int]
) -> None:
    waves, nodes = Waves(sent, nothing_between), [Node(number) for number in range(4)]
    tree_ticks(waves, 1, nodes[:3])
    for tick in (2, 3):  # once it has changed, and once it has stayed
        tree_ticks(waves, tick, [nodes[number] for number in second])
    first = nodes[second[0]]
    waves.enter(first, 4)
    waves.begin(first)
    assert sent == [wave]


def test_one_that_is_new_in_this_tick_goes_alone(sent: Sent) -> None:
    waves, old, new = Waves(sent, nothing_between), Node(1), Node(2)
    waves.enter(old, 1)
    waves.enter(new, 2)
    waves.begin(new)
    assert sent == [[2]]


def test_the_answer_tells_who_stayed_who_ended_and_who_was_not_reached() -> None:
    pending = Pending(None, lambda _pending, _timeout_s: None)
    tick = Tick(1, pending, [7, 8, 9])
    assert not any(tick.has_left_running(action) or tick.has_missed(action) for action in (7, 8, 9))
    ended = a_result("SUCCESS")
    pending.finish(ticked(1, ended), None)
    assert [tick.has_left_running(action) for action in (7, 8, 9)] == [True, False, False]
    assert [tick.has_missed(action) for action in (7, 8, 9)] == [False, False, True]
    assert [tick.result_of(action) for action in (7, 8, 9)] == [None, ended, None]


def test_where_all_stay_none_has_ended_or_was_missed() -> None:
    pending = Pending(None, lambda _pending, _timeout_s: None)
    tick = Tick(1, pending, [7, 8])
    pending.finish(ticked(2), None)
    for _ in range(2):  # the second time from memory
        assert [tick.has_left_running(action) for action in (7, 8)] == [True, True]
    assert not any(tick.has_missed(action) for action in (7, 8))
    assert [tick.result_of(action) for action in (7, 8)] == [None, None]


@pytest.mark.parametrize(("status", "is_running"), [("RUNNING", True), ("SUCCESS", False)])
def test_one_alone_is_told_by_its_own_result(status: str, is_running: bool) -> None:
    pending = Pending(None, lambda _pending, _timeout_s: None)
    tick = Tick(1, pending, [7])
    pending.finish(a_result(status), None)
    assert tick.has_left_running(7) is is_running
    assert not tick.has_missed(7)
