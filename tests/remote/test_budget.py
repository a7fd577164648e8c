# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scenario_execution_remote.budget import NEXT_TICK_SHARE, WAIT_SHARE, TickBudget

PERIOD_S = 0.1
BEGAN_S = 1000.0


@pytest.fixture
def budget() -> TickBudget:
    return TickBudget(PERIOD_S)


def test_before_any_tick_there_is_nothing_to_wait(budget: TickBudget) -> None:
    assert budget.left_s(BEGAN_S) == 0.0


def test_a_tick_may_wait_its_share_of_the_period_and_no_longer(budget: TickBudget) -> None:
    budget.enter(1, BEGAN_S)
    assert budget.left_s(BEGAN_S) == pytest.approx(WAIT_SHARE * PERIOD_S)
    assert budget.left_s(BEGAN_S + 0.02) == pytest.approx(WAIT_SHARE * PERIOD_S - 0.02)
    assert budget.left_s(BEGAN_S + WAIT_SHARE * PERIOD_S) == pytest.approx(0.0, abs=1e-9)
    assert budget.left_s(BEGAN_S + PERIOD_S) == 0.0


def test_all_actions_of_one_tick_share_what_may_be_waited(budget: TickBudget) -> None:
    ticks = {budget.enter(action, BEGAN_S + 0.01 * action) for action in range(4)}
    assert ticks == {1}
    assert budget.left_s(BEGAN_S + 0.03) == pytest.approx(WAIT_SHARE * PERIOD_S - 0.03)


def test_an_action_that_comes_again_begins_a_tick_however_soon(budget: TickBudget) -> None:
    budget.enter(1, BEGAN_S)
    assert budget.enter(1, BEGAN_S + 0.001) == 2
    assert budget.left_s(BEGAN_S + 0.001) == pytest.approx(WAIT_SHARE * PERIOD_S)


@pytest.mark.parametrize(("share", "tick"), [(NEXT_TICK_SHARE - 0.01, 1), (NEXT_TICK_SHARE + 0.01, 2), (5.0, 2)])
def test_another_action_begins_a_tick_once_most_of_a_period_has_passed(
    budget: TickBudget, share: float, tick: int
) -> None:
    budget.enter(1, BEGAN_S)
    assert budget.enter(2, BEGAN_S + share * PERIOD_S) == tick


def test_a_tick_that_comes_a_little_early_is_a_tick(budget: TickBudget) -> None:
    budget.enter(1, BEGAN_S)
    budget.enter(2, BEGAN_S + PERIOD_S * 0.98)
    assert budget.left_s(BEGAN_S + PERIOD_S * 0.98) == pytest.approx(WAIT_SHARE * PERIOD_S)


def test_a_tick_that_has_waited_all_it_may_is_not_taken_for_the_next_one() -> None:
    assert WAIT_SHARE < NEXT_TICK_SHARE < 1


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_can_be_chosen(share: float) -> None:
    budget = TickBudget(PERIOD_S, share)
    budget.enter(1, BEGAN_S)
    assert budget.left_s(BEGAN_S) == pytest.approx(share * PERIOD_S)
    assert budget.whole_s == pytest.approx(share * PERIOD_S)


def test_ticks_are_counted(budget: TickBudget) -> None:
    assert [budget.enter(1, BEGAN_S + number) for number in range(3)] == [1, 2, 3]
