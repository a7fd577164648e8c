# SPDX-License-Identifier: Apache-2.0
"""How much of a file may be on its way."""

from __future__ import annotations

from collections import deque

import pytest

from scenario_execution_remote.files.pace import (
    BLOCK_BYTES,
    MESSAGES_IN_WINDOW,
    QUEUEING_LIMIT_S,
    WINDOW_LIMIT_BYTES,
    Pace,
)
from scenario_execution_remote.protocol.stream import WINDOW_BYTES


def transfer(pace: Pace, delays_s: list[float]) -> None:
    now_s = 0.0
    for delay_s in delays_s:
        pace.sent(BLOCK_BYTES, now_s)
        now_s += delay_s
        pace.taken(BLOCK_BYTES, now_s)


def test_there_is_always_room_for_an_answer_beside_a_file() -> None:
    largest = Pace()
    transfer(largest, [0.01] * 50)
    assert largest.window_bytes == WINDOW_LIMIT_BYTES
    assert WINDOW_LIMIT_BYTES + largest.message_bytes < WINDOW_BYTES


def test_several_messages_are_on_their_way_unless_the_window_is_a_single_chunk() -> None:
    pace = Pace()
    transfer(pace, [0.01] * 50)
    assert pace.message_bytes == WINDOW_LIMIT_BYTES // MESSAGES_IN_WINDOW
    now_s = 10.0
    for _ in range(50):  # all that is sent queues
        pace.sent(BLOCK_BYTES, now_s)
        pace.sent(BLOCK_BYTES, now_s)
        now_s += 1.0
        pace.taken(2 * BLOCK_BYTES, now_s)
    assert (pace.window_bytes, pace.message_bytes) == (BLOCK_BYTES, BLOCK_BYTES)


def test_a_message_is_of_whole_blocks_whatever_the_window_is() -> None:
    pace = Pace()
    for _ in range(50):
        transfer(pace, [0.01])
        assert pace.message_bytes % BLOCK_BYTES == 0
        assert BLOCK_BYTES <= pace.message_bytes <= max(BLOCK_BYTES, pace.window_bytes // MESSAGES_IN_WINDOW)


def test_no_more_than_a_window_is_on_its_way() -> None:
    pace = Pace()
    count = 0
    while pace.may_send():
        pace.sent(BLOCK_BYTES, 0.0)
        count += 1
    assert count * BLOCK_BYTES == pace.window_bytes
    pace.taken(BLOCK_BYTES, 0.1)
    assert pace.may_send()


def test_something_may_be_sent_however_large_it_is_if_nothing_is_on_its_way() -> None:
    pace = Pace()
    assert pace.may_send()
    pace.sent(100 * BLOCK_BYTES, 0.0)
    assert not pace.may_send()


def test_the_window_grows_on_a_link_that_keeps_up_however_long_it_is() -> None:
    pace = Pace()
    transfer(pace, [0.3] * 50)
    assert pace.window_bytes == WINDOW_LIMIT_BYTES


def test_the_window_shrinks_when_what_is_sent_queues() -> None:
    pace = Pace()
    transfer(pace, [0.01] * 50)
    now_s, waiting = 10.0, deque[float]()
    for _ in range(50):  # the link has become slow: what waits, waits for all before it
        while pace.may_send():
            pace.sent(BLOCK_BYTES, now_s)
            waiting.append(now_s)
        now_s += 0.011 + QUEUEING_LIMIT_S
        waiting.popleft()
        pace.taken(BLOCK_BYTES, now_s)
    assert pace.window_bytes <= 3 * BLOCK_BYTES


def test_a_side_that_has_become_slow_to_answer_is_not_taken_for_a_queue() -> None:
    pace = Pace()
    transfer(pace, [0.001] * 20)
    now_s = 100.0
    for _ in range(50):  # it gets round every 60 ms, and then deals with everything
        count = 0
        while pace.may_send():
            pace.sent(BLOCK_BYTES, now_s)
            count += 1
        now_s += 0.06
        pace.taken(count * BLOCK_BYTES, now_s)
    assert pace.window_bytes == WINDOW_LIMIT_BYTES


def test_a_link_that_is_slow_never_gets_more_than_three_chunks() -> None:
    pace = Pace()
    now_s, on_the_way = 0.0, 0
    largest = 0
    for number in range(500):  # 1 MB/s, and 10 ms more for the way
        while pace.may_send():
            pace.sent(BLOCK_BYTES, now_s)
            on_the_way += 1
        now_s += BLOCK_BYTES / 1e6 + (0.01 if on_the_way == 1 else 0.0)
        pace.taken(BLOCK_BYTES, now_s)
        on_the_way -= 1
        if number > 50:
            largest = max(largest, pace.window_bytes)
    assert largest <= 3 * BLOCK_BYTES


@pytest.mark.parametrize("cost", [-1, BLOCK_BYTES + 1])
def test_nobody_takes_what_was_not_sent(cost: int) -> None:
    pace = Pace()
    pace.sent(BLOCK_BYTES, 0.0)
    with pytest.raises(ValueError):
        pace.taken(cost, 1.0)
