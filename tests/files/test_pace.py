# SPDX-License-Identifier: Apache-2.0
"""How much of a file may be on its way."""

from __future__ import annotations

import pytest

from scenario_execution_remote.files.pace import CHUNK_BYTES, QUEUEING_LIMIT_S, WINDOW_LIMIT_BYTES, Pace
from scenario_execution_remote.protocol.stream import WINDOW_BYTES


def transfer(pace: Pace, delays_s: list[float]) -> None:
    now_s = 0.0
    for delay_s in delays_s:
        pace.sent(CHUNK_BYTES, now_s)
        now_s += delay_s
        pace.taken(CHUNK_BYTES, now_s)


def test_there_is_always_room_for_an_answer_beside_a_file() -> None:
    assert WINDOW_LIMIT_BYTES + 2 * CHUNK_BYTES < WINDOW_BYTES


def test_no_more_than_a_window_is_on_its_way() -> None:
    pace = Pace()
    count = 0
    while pace.may_send():
        pace.sent(CHUNK_BYTES, 0.0)
        count += 1
    assert count * CHUNK_BYTES == pace.window_bytes
    pace.taken(CHUNK_BYTES, 0.1)
    assert pace.may_send()


def test_something_may_be_sent_however_large_it_is_if_nothing_is_on_its_way() -> None:
    pace = Pace()
    assert pace.may_send()
    pace.sent(100 * CHUNK_BYTES, 0.0)
    assert not pace.may_send()


def test_the_window_grows_on_a_link_that_keeps_up_however_long_it_is() -> None:
    pace = Pace()
    transfer(pace, [0.3] * 50)
    assert pace.window_bytes == WINDOW_LIMIT_BYTES


def test_the_window_shrinks_to_one_chunk_when_what_is_sent_queues() -> None:
    pace = Pace()
    transfer(pace, [0.01] + [0.011 + QUEUEING_LIMIT_S] * 50)
    assert pace.window_bytes == CHUNK_BYTES


@pytest.mark.parametrize("cost", [-1, CHUNK_BYTES + 1])
def test_nobody_takes_what_was_not_sent(cost: int) -> None:
    pace = Pace()
    pace.sent(CHUNK_BYTES, 0.0)
    with pytest.raises(ValueError):
        pace.taken(cost, 1.0)
