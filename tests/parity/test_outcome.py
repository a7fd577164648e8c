# SPDX-License-Identifier: Apache-2.0
"""What the parity suite makes of a run's output before it compares."""

from __future__ import annotations

from tests.parity.outcome import plain_lines, spoken, unmixed

INFO, ERROR = "[INFO] [1700000000.000001] [scenario_execution]: ", "[ERROR] [1700000000.000002] [scenario_execution]: "


def test_records_that_two_threads_wrote_on_one_line_are_two_records() -> None:
    text = f"{INFO}one{ERROR}\x1b[31moops\x1b[0m{INFO}two\n\n{INFO}three\n\n"
    assert spoken(text, {}, False) == (["INFO one", "ERROR oops", "INFO two", "INFO three"], [])


def test_an_empty_line_is_kept_unless_a_record_lacks_its_end() -> None:
    lines = plain_lines(f"{INFO}one\n\n{INFO}two\n", {})
    assert unmixed(lines) == lines


def test_a_record_on_the_line_of_something_else_stays_there() -> None:
    lines = plain_lines(f"no end{INFO}one\n", {})
    assert unmixed(lines) == lines
