# SPDX-License-Identifier: Apache-2.0
"""How often the log hears of bad input."""

from __future__ import annotations

from scenario_execution_server.complaints import EVERY_S, Complaints


def test_the_first_complaint_is_said_at_once() -> None:
    assert Complaints().hear("key:a", 5.0) == 0


def test_a_flood_is_said_once_and_then_with_a_count() -> None:
    complaints = Complaints()
    complaints.hear("key:a", 0.0)
    assert [complaints.hear("key:a", 0.1) for _ in range(500)] == [None] * 500
    assert complaints.hear("key:a", EVERY_S) == 500
    assert complaints.hear("key:a", 2 * EVERY_S) == 0


def test_one_peers_flood_does_not_keep_another_ones_complaint_quiet() -> None:
    complaints = Complaints()
    complaints.hear("key:a", 0.0)
    assert complaints.hear("key:b", 0.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    complaints = Complaints()
    for number in range(5000):
        complaints.hear(f"key:{number}", float(number))
    assert len(complaints._said_s) <= 1000
