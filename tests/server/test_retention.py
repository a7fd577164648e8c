# SPDX-License-Identifier: Apache-2.0
"""What is kept, for how long, and what goes first."""

from __future__ import annotations

from pathlib import Path

from scenario_execution_server.retention import Kept, Retention

DAY = Retention(keep_s=86400.0, limit_bytes=100)


def kept(name: str, since_s: float, size_bytes: int = 10) -> Kept:
    return Kept(path=Path(name), client="c", session="s", since_s=since_s, size_bytes=size_bytes)


def test_what_is_younger_than_the_time_and_within_the_limit_stays() -> None:
    assert DAY.to_remove([kept("a", 0.0), kept("b", 1.0)], now_s=86399.0) == []


def test_what_is_too_old_goes_and_says_so() -> None:
    old = kept("a", 0.0)
    assert DAY.to_remove([old, kept("b", 1.0)], now_s=86400.0) == [(old, "expired")]


def test_the_oldest_go_until_the_rest_is_within_the_limit() -> None:
    found = [kept("c", 3.0, 50), kept("a", 1.0, 60), kept("b", 2.0, 50)]
    assert DAY.to_remove(found, now_s=10.0) == [(found[1], "limit")]


def test_one_that_is_larger_than_the_limit_alone_goes_as_well() -> None:
    large = kept("a", 1.0, 101)
    assert DAY.to_remove([large], now_s=10.0) == [(large, "limit")]


def test_what_is_too_old_does_not_count_against_the_rest() -> None:
    old, young = kept("a", 0.0, 90), kept("b", 1.0, 90)
    assert DAY.to_remove([old, young], now_s=86400.5) == [(old, "expired")]


def test_results_from_the_future_are_kept_from_now_on_and_no_longer() -> None:
    assert DAY.until_s(kept("a", 1e12), now_s=5.0) == 86405.0
