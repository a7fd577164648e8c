# SPDX-License-Identifier: Apache-2.0
"""How much a session may carry."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.files.quota import Quota, QuotaExceededError


def limited(**limits: Any) -> Quota:
    quota = Quota()
    quota.limit(**limits)
    return quota


def test_without_limits_everything_may_be_carried_at_once() -> None:
    quota = Quota()
    quota.add("x", 10**15)
    assert quota.pause_s(10**15, 0.0) == 0.0


def test_the_file_that_would_be_too_much_is_refused_by_name_with_what_is_left_and_the_next_step() -> None:
    quota = limited(total_bytes=2_000_000, mend=lambda limit, needed: f"ask for {limit}={needed}")
    quota.add("a", 1_500_000)
    left = r"'b' has 600.0 kB, and 500.0 kB are left of the 2.0 MB .*; ask for total=2100000"
    with pytest.raises(QuotaExceededError, match=left):
        quota.add("b", 600_000)


def test_a_file_that_was_refused_does_not_count() -> None:
    quota = limited(total_bytes=10, count=1)
    with pytest.raises(QuotaExceededError):
        quota.add("large", 11)
    quota.add("small", 10)


def test_one_file_more_than_the_count_is_refused() -> None:
    quota = limited(count=2)
    quota.add("a", 0)
    quota.add("b", 0)
    with pytest.raises(QuotaExceededError, match="'c' is one more than the 2 files"):
        quota.add("c", 0)


def test_a_second_of_the_rate_passes_at_once_and_the_rest_waits() -> None:
    quota = limited(rate_bytes_s=100)
    assert quota.pause_s(100, 5.0) == 0.0
    assert quota.pause_s(50, 5.0) == 0.5
    assert quota.pause_s(50, 5.5) == 0.5


def test_who_was_slow_for_long_may_not_be_fast_for_longer_than_a_second() -> None:
    quota = limited(rate_bytes_s=100)
    quota.pause_s(1, 0.0)
    assert quota.pause_s(200, 1000.0) == 1.0


def test_a_file_that_turns_out_larger_counts_with_all_it_has() -> None:
    quota = limited(total_bytes=10)
    quota.add("a", 4)
    quota.grow("a", 6)
    with pytest.raises(QuotaExceededError, match="'b' has 1 bytes, and 0 bytes are left"):
        quota.add("b", 1)


def test_no_size_gives_room_back() -> None:
    quota = limited(total_bytes=10)
    quota.add("a", -100)
    quota.grow("a", -100)
    with pytest.raises(QuotaExceededError):
        quota.add("b", 11)
