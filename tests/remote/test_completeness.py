# SPDX-License-Identifier: Apache-2.0
"""An output that is looked at from afar is complete when all of it has been seen."""

from __future__ import annotations

from scenario_execution_remote.completeness import Completeness


def look(completeness: Completeness) -> None:
    completeness.seen(had_ended=completeness.has_ended)


def test_an_output_is_not_complete_while_its_process_runs() -> None:
    completeness = Completeness()
    look(completeness)
    assert not completeness.told(False)


def test_a_process_that_ends_after_a_look_may_have_printed_more_in_between() -> None:
    completeness = Completeness()
    look(completeness)
    assert not completeness.told(True)
    look(completeness)
    assert completeness.told(True)


def test_a_look_that_was_begun_before_the_end_was_known_does_not_count() -> None:
    completeness = Completeness()
    had_ended = completeness.has_ended
    completeness.told(True)
    completeness.seen(had_ended=had_ended)
    assert not completeness.told(True)


def test_who_never_looks_is_told_of_the_end_at_once() -> None:
    assert Completeness().told(True)


def test_a_process_that_was_started_again_is_not_complete() -> None:
    completeness = Completeness()
    assert completeness.told(True)
    look(completeness)
    assert not completeness.told(False)
