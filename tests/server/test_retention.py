# SPDX-License-Identifier: Apache-2.0
"""What is kept, for how long, and what goes first."""

from __future__ import annotations

from pathlib import Path

from scenario_execution_server.retention import Kept, Results, Retention, to_remove

DAY = Retention(keep_s=86400.0, limit_bytes=100)


def kept(name: str, since_s: float, size_bytes: int = 10, *, owner: str = "c") -> Results:
    return Results(
        path=Path(owner, "results", name), client=owner, session="s", since_s=since_s, size_bytes=size_bytes
    )


def used(name: str, since_s: float, size_bytes: int = 10) -> Kept:
    return Kept(path=Path("c", "contents", name), since_s=since_s, size_bytes=size_bytes)


def test_what_is_younger_than_the_time_and_within_the_limit_stays() -> None:
    assert DAY.to_remove([kept("a", 0.0), kept("b", 1.0)], 86399.0, {}) == []


def test_what_is_too_old_goes_and_says_so() -> None:
    old = kept("a", 0.0)
    assert DAY.to_remove([old, kept("b", 1.0)], 86400.0, {}) == [(old, "expired")]


def test_the_oldest_go_until_the_rest_is_within_the_limit() -> None:
    found = [kept("c", 3.0, 50), kept("a", 1.0, 60), kept("b", 2.0, 50)]
    assert DAY.to_remove(found, 10.0, {}) == [(found[1], "limit")]


def test_one_that_is_larger_than_the_limit_alone_goes_as_well() -> None:
    large = kept("a", 1.0, 101)
    assert DAY.to_remove([large], 10.0, {}) == [(large, "limit")]


def test_what_is_too_old_does_not_count_against_the_rest() -> None:
    old, young = kept("a", 0.0, 90), kept("b", 1.0, 90)
    assert DAY.to_remove([old, young], 86400.5, {}) == [(old, "expired")]


def test_results_from_the_future_are_kept_from_now_on_and_no_longer() -> None:
    assert DAY.until_s(kept("a", 1e12), now_s=5.0) == 86405.0


def test_of_whoever_has_most_the_oldest_goes_and_nobody_loses_anything_to_somebody_else() -> None:
    little = kept("a", 0.0, 30, owner="modest")
    greedy = [kept(name, since_s, 40, owner="greedy") for name, since_s in (("b", 1.0), ("c", 2.0), ("d", 3.0))]
    assert DAY.to_remove([*greedy, little], 10.0, {}) == [(greedy[0], "limit"), (greedy[1], "limit")]


def test_what_is_more_than_one_client_may_leave_goes_although_there_is_room() -> None:
    found = [kept("a", 1.0, 30), kept("b", 2.0, 30)]
    other = kept("c", 0.0, 30, owner="other")
    assert DAY.to_remove([*found, other], 10.0, {"c": 50}) == [(found[0], "stored")]
    assert DAY.to_remove([*found, other], 10.0, {"c": 60}) == []


def test_a_limit_below_nothing_ends_when_nothing_is_left_and_others_stay() -> None:
    found, other = [kept("a", 1.0, 30), kept("b", 2.0, 0)], kept("c", 0.0, 30, owner="other")
    assert DAY.to_remove([*found, other], 10.0, {"c": -1}) == [(found[0], "stored"), (found[1], "stored")]


def test_what_nobody_has_used_for_so_long_goes() -> None:
    found = [used("old", 0.0), used("new", 2 * 86400.0)]
    assert to_remove(found, 2.5 * 86400.0, lambda _kept: 86400.0, 1000) == [(found[0], "expired")]


def test_each_may_become_as_old_as_it_may() -> None:
    found = [used("a", 0.0), used("b", 0.0)]
    assert to_remove(found, 10.0, lambda kept: 5.0 if kept.path.name == "a" else 20.0, 1000) == [(found[0], "expired")]
