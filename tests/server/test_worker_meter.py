# SPDX-License-Identifier: Apache-2.0
"""Sessions of one key share its rate."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_remote.files.quota import Quota
from scenario_execution_server.worker.meter import NAME, SharedMeter


def session(folder: Path, meters: list[SharedMeter]) -> Quota:
    quota = Quota()
    meters.append(SharedMeter(folder))
    quota.limit(rate_bytes_s=1000, meter=meters[-1])
    return quota


@pytest.fixture
def meters() -> Iterator[list[SharedMeter]]:
    opened: list[SharedMeter] = []
    yield opened
    for meter in opened:
        meter.close()


def test_what_one_session_has_carried_another_waits_for(tmp_path: Path, meters: list[SharedMeter]) -> None:
    one, other = session(tmp_path / "a", meters), session(tmp_path / "a", meters)
    assert one.pause_s(3000, 100.0) == 2.0  # a second's worth is free
    assert other.pause_s(1000, 100.0) == 3.0
    assert one.pause_s(1000, 104.0) == 0.0


def test_other_keys_are_not_held_up(tmp_path: Path, meters: list[SharedMeter]) -> None:
    one, other = session(tmp_path / "a", meters), session(tmp_path / "b", meters)
    assert one.pause_s(3000, 100.0) == other.pause_s(3000, 100.0) == 2.0


@pytest.mark.parametrize("content", [b"", b"x", b"another boot, of 36 characters in all" + b"x" * 8])
def test_what_another_boot_or_nobody_has_written_counts_for_nothing(
    content: bytes, tmp_path: Path, meters: list[SharedMeter]
) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert session(tmp_path, meters).pause_s(1000, 100.0) == 0.0


def test_where_nothing_can_be_written_a_session_keeps_to_the_rate_alone(
    tmp_path: Path, meters: list[SharedMeter]
) -> None:
    (tmp_path / "a").write_text("no folder")
    quota = session(tmp_path / "a", meters)
    assert [quota.pause_s(1000, 100.0) for _ in range(3)] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("until_s", "pause_s"),
    [(math.inf, 0.0), (-math.inf, 0.0), (math.nan, 0.0), (-1e300, 0.0), (1e300, 1e6 + 1.0), (2e6, 1e6 + 1.0)],
)
def test_whatever_an_action_has_written_a_pause_ends(
    until_s: float, pause_s: float, tmp_path: Path, meters: list[SharedMeter]
) -> None:
    quota = session(tmp_path, meters)
    quota.pause_s(1, 0.0)
    data = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(data[:-8] + struct.pack("d", until_s))
    assert quota.pause_s(1000, 100.0) == pause_s
    assert session(tmp_path, meters).pause_s(1000, 100.0 + pause_s + 2.0) == 0.0


def test_a_session_that_is_over_holds_nobody_up_and_lets_go_of_the_file(
    tmp_path: Path, meters: list[SharedMeter]
) -> None:
    one, other = session(tmp_path, meters), session(tmp_path, meters)
    meters[0].close()
    assert one.pause_s(9000, 100.0) == 8.0 and other.pause_s(1000, 100.0) == 0.0
