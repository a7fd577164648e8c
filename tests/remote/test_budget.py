# SPDX-License-Identifier: Apache-2.0
"""What a tick may wait, with a clock moved by hand."""

from __future__ import annotations

import pytest

from scenario_execution_remote.budget import TickBudget
from scenario_execution_remote.config import WAIT_SHARE


def test_before_the_first_tick_nothing_may_be_waited() -> None:
    assert TickBudget(0.1).left_s(5.0, WAIT_SHARE) == 0.0


def test_a_tick_may_wait_its_share_of_the_period_and_no_longer() -> None:
    budget = TickBudget(0.1)
    budget.begin(1.0)
    assert budget.left_s(1.0, WAIT_SHARE) == pytest.approx(WAIT_SHARE * 0.1)
    assert budget.left_s(1.03, WAIT_SHARE) == pytest.approx(0.02)
    assert budget.left_s(1.06, WAIT_SHARE) == 0.0


def test_the_share_is_that_of_the_whole_tick_and_not_of_each_action() -> None:
    budget = TickBudget(0.1)
    budget.begin(1.0)
    first = budget.left_s(1.0, WAIT_SHARE)
    assert budget.left_s(1.0 + first, WAIT_SHARE) == pytest.approx(0.0, abs=1e-9)


def test_who_may_wait_longer_waits_longer_from_the_same_beginning() -> None:
    budget = TickBudget(0.1)
    budget.begin(1.0)
    assert [budget.left_s(1.04, share) for share in (0.0, 0.5, 1.0)] == pytest.approx([0.0, 0.01, 0.06])


def test_every_tick_has_its_share_anew_however_long_the_one_before_took() -> None:
    budget = TickBudget(0.1)
    budget.begin(1.0)
    budget.begin(9.0)
    assert budget.left_s(9.0, WAIT_SHARE) == pytest.approx(WAIT_SHARE * budget.period_s)


def test_ticks_are_counted_from_one() -> None:
    budget = TickBudget(0.1)
    numbers = [budget.number]
    for now_s in (1.0, 1.0, 1.1):
        budget.begin(now_s)
        numbers.append(budget.number)
    assert numbers == [0, 1, 2, 3]
