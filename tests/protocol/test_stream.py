# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scenario_execution_remote.protocol.stream import (
    CONFIRM_AFTER_BYTES,
    CONFIRM_AFTER_FRAMES,
    KEPT_LIMIT_BYTES,
    WINDOW_BYTES,
    WINDOW_FRAMES,
    NumberedStream,
)


def stream_with(count: int, size_bytes: int = 1) -> NumberedStream:
    stream = NumberedStream()
    for _ in range(count):
        stream.put(bytes(size_bytes))
    return stream


def numbers(stream: NumberedStream) -> list[int]:
    return [seq for seq, _ in stream.due()]


def test_bodies_are_numbered_from_one_in_the_order_they_were_put_in() -> None:
    stream = NumberedStream()
    for body in (b"a", b"b", b"c"):
        stream.put(body)
    assert stream.due() == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_a_body_is_handed_out_once() -> None:
    stream = stream_with(2)
    assert numbers(stream) == [1, 2]
    assert numbers(stream) == []


def test_a_body_is_put_through_at_once_unless_one_waits_before_it_or_the_window_is_full() -> None:
    stream, other = NumberedStream(), NumberedStream()
    through = [stream.put_through(b"x") for _ in range(WINDOW_FRAMES + 2)]
    assert through == [*((number, 0) for number in range(1, WINDOW_FRAMES + 1)), None, None]
    for _ in range(WINDOW_FRAMES + 2):
        other.put(b"x")
        other.due()
    assert vars(stream) == vars(other)
    stream.confirm(1)
    assert stream.put_through(b"y") is None
    assert stream.due() == [(WINDOW_FRAMES + 1, b"x")]


def test_no_more_frames_are_on_their_way_than_the_window_holds() -> None:
    stream = stream_with(WINDOW_FRAMES + 5)
    assert numbers(stream) == list(range(1, WINDOW_FRAMES + 1))
    assert stream.has_waiting
    stream.confirm(3)
    assert numbers(stream) == [WINDOW_FRAMES + 1, WINDOW_FRAMES + 2, WINDOW_FRAMES + 3]


def test_no_more_bytes_are_on_their_way_than_the_window_holds_and_one_body() -> None:
    stream = stream_with(5, WINDOW_BYTES // 2)
    assert numbers(stream) == [1, 2]
    stream.confirm(1)
    assert numbers(stream) == [3]


def test_a_body_larger_than_the_window_goes_alone() -> None:
    stream = stream_with(2, 2 * WINDOW_BYTES)
    assert numbers(stream) == [1]
    stream.confirm(1)
    assert numbers(stream) == [2]


def test_without_hope_of_confirmation_all_is_handed_out() -> None:
    stream = stream_with(WINDOW_FRAMES + 50)
    stream.due()
    assert len(stream.due(regardless=True)) == 50
    assert not stream.has_waiting


def test_after_a_rewind_only_what_is_not_confirmed_is_handed_out_again() -> None:
    stream = stream_with(5)
    stream.due()
    assert stream.confirm(2)
    stream.rewind()
    assert stream.sent == 2
    assert numbers(stream) == [3, 4, 5]


def test_what_arrived_before_a_rewind_is_not_handed_out_after_it() -> None:
    stream = stream_with(5)
    stream.due()
    stream.rewind()
    assert stream.confirm(4)
    assert numbers(stream) == [5]
    assert stream.sent == 5


@pytest.mark.parametrize("ack", [4, 2**64 - 1])
def test_what_was_never_sent_cannot_be_confirmed(ack: int) -> None:
    stream = stream_with(3)
    stream.due()
    assert not stream.confirm(ack)
    stream.rewind()
    assert numbers(stream) == [1, 2, 3]


def test_what_still_waits_for_the_window_cannot_be_confirmed() -> None:
    stream = stream_with(WINDOW_FRAMES + 1)
    stream.due()
    assert not stream.confirm(WINDOW_FRAMES + 1)


def test_a_confirmation_that_comes_late_or_twice_changes_nothing() -> None:
    stream = stream_with(3)
    stream.due()
    for ack in (2, 2, 1, 0):
        assert stream.confirm(ack)
    stream.rewind()
    assert numbers(stream) == [3]


@pytest.mark.parametrize("size_bytes", [0, 1000])
def test_a_stream_is_full_when_it_keeps_too_much_and_not_when_that_is_confirmed(size_bytes: int) -> None:
    stream = NumberedStream()
    put = 0
    while not stream.is_full:
        stream.put(bytes(size_bytes))
        put += 1
    assert KEPT_LIMIT_BYTES / (size_bytes + 200) <= put <= KEPT_LIMIT_BYTES / (size_bytes + 200) + 1
    stream.due()
    assert stream.confirm(1)
    assert not stream.is_full


def test_only_the_next_number_is_accepted() -> None:
    stream = NumberedStream()
    assert stream.accept(1, 0)
    assert not stream.accept(1, 0)
    assert not stream.accept(3, 0)
    assert stream.received == 1
    assert stream.accept(2, 0)


@pytest.mark.parametrize(("seq", "is_gap"), [(1, False), (2, False), (3, True), (2**64 - 1, True)])
def test_a_number_beyond_the_next_one_is_a_gap(seq: int, is_gap: bool) -> None:
    stream = NumberedStream()
    stream.accept(1, 0)
    assert stream.is_gap(seq) is is_gap


@pytest.mark.parametrize(("count", "size_bytes"), [(CONFIRM_AFTER_FRAMES, 0), (1, CONFIRM_AFTER_BYTES)])
def test_a_confirmation_is_owed_after_so_many_frames_or_bytes_and_no_more_once_it_is_given(
    count: int, size_bytes: int
) -> None:
    stream = NumberedStream()
    for seq in range(1, count + 1):
        assert not stream.owes_confirmation
        stream.accept(seq, size_bytes)
    assert stream.owes_confirmation
    assert stream.confirmed() == count
    assert not stream.owes_confirmation


def test_what_is_put_through_says_which_number_to_confirm_and_that_it_is() -> None:
    stream = NumberedStream()
    for seq in range(1, CONFIRM_AFTER_FRAMES + 1):
        stream.accept(seq, 0)
    assert stream.put_through(b"x") == (1, CONFIRM_AFTER_FRAMES)
    assert not stream.owes_confirmation


def test_the_short_way_is_taken_until_a_confirmation_is_owed_or_a_body_waits() -> None:
    stream = NumberedStream()
    assert not stream.take_next(2, 0, 0)  # something is missing
    assert not stream.take_next(1, 1, 0)  # what was never sent is confirmed
    taken = [stream.take_next(seq, 0, 0) for seq in range(1, CONFIRM_AFTER_FRAMES + 1)]
    assert taken == [*(True for _ in range(CONFIRM_AFTER_FRAMES - 1)), False]
    assert stream.received == CONFIRM_AFTER_FRAMES - 1
    stream.put(b"x")
    stream.confirmed()
    assert not stream.take_next(CONFIRM_AFTER_FRAMES, 0, 0)
    stream.due()
    assert stream.take_next(CONFIRM_AFTER_FRAMES, 1, 0)
    assert not stream.take_next(CONFIRM_AFTER_FRAMES, 1, 0)  # it has come twice


def test_a_receiver_that_confirms_when_it_owes_it_never_stops_the_sender() -> None:
    assert CONFIRM_AFTER_FRAMES < WINDOW_FRAMES
    assert CONFIRM_AFTER_BYTES < WINDOW_BYTES
