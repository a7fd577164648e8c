# SPDX-License-Identifier: Apache-2.0
"""When the action behind another one is begun without the tree being asked, and when the client has to be told."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.row import AT_MOST_S, Row

BEGAN_S = 100.0


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
    assert row.may_begin(tick(10, 1), BEGAN_S)
    return row


def ends(row: Row, call: int, status: str | None = "SUCCESS", fault: messages.Fault | None = None) -> None:
    row.ended(tick(call, call - 9), result(call, status, fault), is_said=True)


def goes_on(row: Row, call: int, after: int | None = None, now_s: float = BEGAN_S) -> bool:
    """Whether the row goes on with this call, by default behind the one before it."""
    return row.may_begin(tick(call, call - 9, call - 1 if after is None else after), now_s)


FAULT = messages.Fault(
    phase="update", type_name="ValueError", module="builtins", text="", message=None, arguments=[], traceback=""
)


def test_the_next_is_begun_when_the_one_before_it_has_succeeded(row: Row) -> None:
    ends(row, 10)
    assert goes_on(row, 11)
    ends(row, 11)
    assert goes_on(row, 12)


@pytest.mark.parametrize(
    ("status", "fault"), [("FAILURE", None), ("RUNNING", None), ("INVALID", None), (None, FAULT)], ids=str
)
def test_it_is_not_when_the_one_before_it_has_not_which_the_client_sees_by_the_answer(
    row: Row, status: str | None, fault: messages.Fault | None
) -> None:
    ends(row, 10, status, fault)
    assert not goes_on(row, 11)
    assert not goes_on(row, 12)
    assert row.is_end_known


def test_the_client_does_not_see_it_when_the_answer_to_the_one_before_comes_only_at_its_end(row: Row) -> None:
    row.ended(tick(10, 1), result(10, "RUNNING"), is_said=False)
    assert not goes_on(row, 11)
    assert not goes_on(row, 12)
    assert not row.is_end_known


def test_an_action_comes_behind_no_other_than_its_own_predecessor(row: Row) -> None:
    ends(row, 10)
    assert not goes_on(row, 20, after=19)
    assert not row.is_end_known


def test_a_tick_of_its_own_is_always_carried_out(row: Row) -> None:
    ends(row, 10, "FAILURE")
    assert row.may_begin(tick(20, 5), BEGAN_S)


@pytest.mark.parametrize(
    "urgent",
    [
        stop(1), stop(7), messages.Shutdown(call=9, action=7), messages.EndScenario(call=9, scenario=1),
        messages.EndSession(reason="bye"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_being_stopped_waits_for_no_row(row: Row, waiting: Waiting, urgent: object) -> None:
    ends(row, 10)
    waiting += [tick(11, 2, after=10), urgent]
    assert not goes_on(row, 11)
    waiting.clear()
    assert not goes_on(row, 12)
    assert not row.is_end_known


def test_a_row_does_not_go_on_for_long_without_the_tree(row: Row) -> None:
    ends(row, 10)
    assert goes_on(row, 11, now_s=BEGAN_S + 0.9 * AT_MOST_S)
    ends(row, 11)
    assert not goes_on(row, 12, now_s=BEGAN_S + 1.1 * AT_MOST_S)
    assert not row.is_end_known


def test_only_the_next_of_the_row_goes_on_with_it(row: Row) -> None:
    assert not row.goes_on_with(tick(11, 2, after=10))
    ends(row, 10)
    assert row.goes_on_with(tick(11, 2, after=10))
    for other in (None, tick(11, 2), tick(11, 2, after=9), stop(1)):
        assert not row.goes_on_with(other)
