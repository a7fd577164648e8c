# SPDX-License-Identifier: Apache-2.0
"""How far files have come."""

from __future__ import annotations

import pytest

from scenario_execution_remote.files.progress import Progress, shortened


def halfway() -> Progress:
    progress = Progress(100.0)
    progress.expect(40_000_000)
    progress.begin("bag/data.mcap")
    progress.advance(10_000_000, 101.0)
    progress.advance(10_000_000, 102.0)
    return progress


def test_the_line_says_name_share_rate_and_time_left() -> None:
    assert halfway().line(102.0, 79) == "bag/data.mcap [##########..........]  50%  10.0 MB/s  0:02 left"


@pytest.mark.parametrize("width", [1, 10, 30, 45, 60, 200])
def test_the_line_is_never_longer_than_the_terminal_is_wide(width: int) -> None:
    progress = halfway()
    progress.begin("x" * 300)
    assert len(progress.line(102.0, width)) <= width


def test_the_rate_is_that_of_the_last_few_seconds() -> None:
    progress = halfway()
    for second in range(103, 120):
        progress.advance(1_000_000, float(second))
    assert progress.rate_bytes_s(119.0) == pytest.approx(1_000_000)


def test_without_a_byte_there_is_no_rate_and_no_time_left() -> None:
    progress = Progress(0.0)
    progress.expect(10)
    assert progress.left_s(5.0) is None
    assert "left" not in progress.line(5.0, 80)


def test_more_than_was_expected_is_all_of_it_and_no_more() -> None:
    progress = halfway()
    progress.advance(100_000_000, 103.0)
    assert progress.share == 1.0
    assert progress.left_s(103.0) == 0.0


def test_the_summary_says_how_many_how_much_and_how_fast() -> None:
    progress = halfway()
    progress.finish()
    assert progress.summary(102.0) == "1 file, 20.0 MB in 0:02, 10.0 MB/s"


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [("short", 10, "short"), ("a/long/name.bag", 10, "...ame.bag"), ("a\x1b[2Jb", 10, "a?[2Jb"), ("abcdef", 2, "ab")],
)
def test_a_name_is_shortened_from_its_beginning_and_harmless(name: str, width: int, shown: str) -> None:
    assert shortened(name, width) == shown
