# SPDX-License-Identifier: Apache-2.0
"""Ticks that a worker repeats by itself: when, in which order, and at which scenario time."""

from __future__ import annotations

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.standing import ALIVE_EVERY_S, StandingTicks


def tick(action: int = 1, *, now_s: float | None = None, period_s: float = 0.1) -> messages.Tick:
    return messages.Tick(call=action, action=action, arguments=None, now_s=now_s, period_s=period_s, after=None)


def test_a_tick_is_due_once_in_each_period_until_its_action_is_dropped() -> None:
    standing = StandingTicks()
    standing.add(tick(), 10.0)
    assert standing.due(10.05) == []
    assert len(standing.due(10.11)) == 1
    assert standing.due(10.15) == []
    standing.drop(1)
    assert standing.due(20.0) == []
    assert standing.wait_s(20.0) is None


def test_turns_that_were_missed_are_not_made_up_for() -> None:
    standing = StandingTicks()
    standing.add(tick(), 10.0)
    assert len(standing.due(15.0)) == 1
    assert len(standing.due(15.0)) == 1  # the one that is due now
    assert standing.due(15.05) == []


def test_what_was_added_first_is_ticked_first() -> None:
    standing = StandingTicks()
    standing.add(tick(2), 10.0)
    standing.add(tick(1), 10.0)
    assert [call.action for call in standing.due(11.0)] == [2, 1]


def test_scenario_time_goes_on_between_the_ticks() -> None:
    standing = StandingTicks()
    standing.add(tick(now_s=50.0), 10.0)
    (call,) = standing.due(13.0)
    assert call.now_s == 53.0


def test_without_a_scenario_clock_there_is_none() -> None:
    standing = StandingTicks()
    standing.add(tick(), 10.0)
    (call,) = standing.due(13.0)
    assert call.now_s is None


def test_the_client_hears_now_and_then_that_the_worker_gets_round() -> None:
    standing = StandingTicks()
    assert not standing.is_alive_due(0.0)
    standing.add(tick(), 10.0)
    assert not standing.is_alive_due(10.0)
    assert standing.is_alive_due(10.0 + ALIVE_EVERY_S)
    assert not standing.is_alive_due(10.0 + ALIVE_EVERY_S)
