# SPDX-License-Identifier: Apache-2.0
"""Sizes and moments are said as people say them, whatever a peer or a file has claimed."""

from __future__ import annotations

import pytest

from scenario_execution_remote.files.figures import amount, moment


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (2.5e9, "2.5 GB"), (10**13, "10.0 TB")]
)
def test_sizes_are_said_as_people_say_them(size: float, said: str) -> None:
    assert amount(size) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.9, "1970-01-01T00:00:00Z"),
        (-1.0, "1969-12-31T23:59:59Z"),
        (-62135683140.0, "-"),
        (1e300, "-"),
        (float("nan"), "-"),
    ],
)
def test_a_moment_is_said_in_utc_and_one_that_no_calendar_has_is_none(seconds: float, said: str) -> None:
    assert moment(seconds) == said
