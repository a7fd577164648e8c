# SPDX-License-Identifier: Apache-2.0
"""When an action that comes right behind another one is begun without the tree being asked."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.row import Row


def tick(call: int, action: int, after: int | None = None) -> messages.Tick:
    return messages.Tick(call=call, action=action, arguments={}, now_s=None, period_s=None, after=after)


def result(call: int, status: str | None, fault: messages.Fault | None = None) -> messages.Result:
    return messages.Result(call=call, status=status, stopped=True, feedback="", fault=fault, value=None, nodes=[])


def stop(action: int) -> messages.Stop:
    return messages.Stop(call=99, action=action, status="INVALID", if_begun=False)


class Waiting(list[Any]):
    """The calls that have come meanwhile."""

    def __call__(self, kinds: frozenset[type]) -> list[Any]:
        return [call for call in self if type(call) in kinds]


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def row(waiting: Waiting) -> Row:
    """One whose first action, number 1, has been begun with call 10."""
    row = Row(waiting)
    assert row.may_begin(tick(10, 1))
    return row


FAULT = messages.Fault(
    phase="update", type_name="ValueError", module="builtins", text="", message=None, arguments=[], traceback=""
)


def test_the_next_is_begun_when_the_one_before_it_has_succeeded(row: Row) -> None:
    row.ended(tick(10, 1), result(10, "SUCCESS"))
    assert row.may_begin(tick(11, 2, after=10))
    row.ended(tick(11, 2, after=10), result(11, "SUCCESS"))
    assert row.may_begin(tick(12, 3, after=11))


@pytest.mark.parametrize(
    "end", [result(10, "FAILURE"), result(10, "RUNNING"), result(10, "INVALID"), result(10, None, FAULT)], ids=str
)
def test_it_is_not_when_the_one_before_it_has_not_and_neither_are_those_behind(row: Row, end: messages.Result) -> None:
    row.ended(tick(10, 1), end)
    assert not row.may_begin(tick(11, 2, after=10))
    assert not row.may_begin(tick(12, 3, after=11))


def test_an_action_comes_behind_no_other_than_its_own_predecessor(row: Row) -> None:
    row.ended(tick(10, 1), result(10, "SUCCESS"))
    assert not row.may_begin(tick(20, 5, after=19))


def test_a_tick_of_its_own_is_always_carried_out(row: Row) -> None:
    row.ended(tick(10, 1), result(10, "FAILURE"))
    assert row.may_begin(tick(20, 5))


@pytest.mark.parametrize(
    "end", [stop(1), messages.EndScenario(call=9, scenario=1), messages.EndSession(reason="bye")], ids=str
)
def test_nothing_more_is_begun_for_a_tree_that_is_being_stopped(row: Row, waiting: Waiting, end: object) -> None:
    row.ended(tick(10, 1), result(10, "SUCCESS"))
    waiting += [tick(11, 2, after=10), end]
    assert not row.may_begin(tick(11, 2, after=10))
    waiting.clear()
    assert not row.may_begin(tick(12, 3, after=11))


def test_that_another_action_is_stopped_keeps_none_from_beginning(row: Row, waiting: Waiting) -> None:
    row.ended(tick(10, 1), result(10, "SUCCESS"))
    waiting.append(stop(7))
    assert row.may_begin(tick(11, 2, after=10))


def test_that_any_that_was_begun_in_the_row_is_stopped_ends_it(row: Row, waiting: Waiting) -> None:
    row.ended(tick(10, 1), result(10, "SUCCESS"))
    assert row.may_begin(tick(11, 2, after=10))
    row.ended(tick(11, 2, after=10), result(11, "SUCCESS"))
    waiting.append(stop(1))
    assert not row.may_begin(tick(12, 3, after=11))


def test_only_the_next_of_the_row_goes_on_with_it(row: Row) -> None:
    assert not row.goes_on_with(tick(11, 2, after=10))
    row.ended(tick(10, 1), result(10, "SUCCESS"))
    assert row.goes_on_with(tick(11, 2, after=10))
    for other in (None, tick(11, 2), tick(11, 2, after=9), stop(1)):
        assert not row.goes_on_with(other)
