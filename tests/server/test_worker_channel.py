# SPDX-License-Identifier: Apache-2.0
"""The channel between front and worker: whole frames, in order, bounded, and honest about the other side's end."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_server.worker.channel import (
    ChannelBrokenError,
    ChannelFullError,
    FrameAssembler,
    FrameTooLargeError,
    FrontChannel,
    WorkerChannel,
    channel_ends,
    encode_frame,
)
from tests.support.examples import thrifty

Pair = tuple[FrontChannel, WorkerChannel]


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    front, worker = socket.socketpair()
    with front, worker:
        worker.settimeout(10.0)  # a test that waits this long for the other side has failed
        yield front, worker


@pytest.fixture
def pair(ends: tuple[socket.socket, socket.socket]) -> Pair:
    return FrontChannel(ends[0], max_frame_bytes=1_000_000), WorkerChannel(ends[1], max_frame_bytes=1_000_000)


@thrifty
@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(1, 9), min_size=1))
def test_however_the_stream_is_cut_the_frames_come_out_whole(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, payloads))
    assembler = FrameAssembler()
    found: list[bytes] = []
    for turn in range(len(stream) + 1):
        size = cuts[turn % len(cuts)]
        found += assembler.feed(stream[:size])
        stream = stream[size:]
    assert found == payloads
    assert assembler.buffered_bytes == 0


def test_an_announced_length_above_the_limit_is_refused_before_its_bytes_arrive() -> None:
    with pytest.raises(FrameTooLargeError, match="101 bytes is more than this channel's limit of 100") as caught:
        FrameAssembler(100).feed(struct.pack("!I", 101))
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (101, 100)


def test_messages_arrive_in_both_directions(pair: Pair) -> None:
    front, worker = pair
    front.send(b"to the worker")
    front.send(b"")
    assert (worker.receive(), worker.receive()) == (b"to the worker", b"")
    worker.send(b"to the front")
    worker.send(b"again")
    assert front.on_readable() == [b"to the front", b"again"]


@pytest.mark.parametrize("size_bytes", [3, 100_000])
def test_what_is_sent_in_parts_is_one_frame(pair: Pair, size_bytes: int) -> None:
    front, worker = pair
    parts = (b"F", memoryview(bytes(size_bytes)), b"end")
    front.send(*parts)
    assert worker.receive() == b"".join(parts)
    worker.send(*parts)
    assert front.on_readable() == [b"".join(parts)]


def test_a_new_channel_holds_more_of_a_large_message_than_any_pair_of_sockets() -> None:
    def held_bytes(ends: tuple[socket.socket, socket.socket]) -> int:
        with ends[0], ends[1]:
            front = FrontChannel(ends[0])
            front.send(bytes(4_000_000))
            return 4_000_000 - front.pending_bytes

    assert held_bytes(channel_ends()) > 1.5 * held_bytes(socket.socketpair())


def test_the_front_does_not_block_on_a_worker_that_does_not_read(pair: Pair) -> None:
    front, worker = pair
    payload = bytes(900_000)  # more than a socket buffer holds
    front.send(payload)
    assert front.wants_write
    assert 0 < front.pending_bytes < len(payload)
    received: list[bytes | None] = []
    reader = threading.Thread(target=lambda: received.append(worker.receive()))
    reader.start()
    while front.wants_write:
        front.on_writable()
    reader.join(10.0)
    assert received == [payload]
    assert front.pending_bytes == 0


def test_what_waits_for_a_worker_is_bounded(ends: tuple[socket.socket, socket.socket]) -> None:
    front = FrontChannel(ends[0], pending_limit_bytes=2_000_000)
    front.send(bytes(1_500_000))
    waiting = front.pending_bytes
    with pytest.raises(ChannelFullError) as caught:
        front.send(bytes(1_500_000))
    assert caught.value.pending_bytes == front.pending_bytes == waiting


def test_a_frame_above_the_limit_is_not_sent_and_the_channel_stays_usable(pair: Pair) -> None:
    front, worker = pair
    with pytest.raises(FrameTooLargeError):
        front.send(bytes(1_000_001))
    with pytest.raises(FrameTooLargeError):
        worker.send(bytes(1_000_001))
    worker.send(b"after")
    front.send(b"after")
    assert (worker.receive(), front.on_readable()) == (b"after", [b"after"])


def test_one_turn_of_reading_is_bounded_so_that_others_get_theirs(pair: Pair) -> None:
    front, worker = pair
    frames_count = 40
    sender = threading.Thread(target=lambda: [worker.send(bytes(100_000)) for _ in range(frames_count)])
    sender.start()
    found, longest = 0, 0
    while found < frames_count:
        frames = front.on_readable()
        longest = max(longest, len(frames))
        found += len(frames)
    sender.join(10.0)
    assert longest <= 14  # one MiB, and what the last read brought beyond it


def test_the_front_reads_what_a_dead_worker_said_last(pair: Pair, ends: tuple[socket.socket, socket.socket]) -> None:
    front, worker = pair
    worker.send(b"last words")
    ends[1].close()
    front.send(b"too late")
    assert not front.closed
    assert front.on_readable() == [b"last words"]
    assert front.on_readable() == []
    assert front.closed
    front.send(b"much too late")
    assert front.pending_bytes == 0


def test_a_worker_that_dies_with_messages_unread_is_an_end_and_not_an_error(
    pair: Pair, ends: tuple[socket.socket, socket.socket]
) -> None:
    front, _ = pair
    front.send(b"never read")
    ends[1].close()
    assert front.on_readable() == []
    assert front.closed


def test_the_worker_is_told_of_the_fronts_end_even_in_the_middle_of_a_frame(
    pair: Pair, ends: tuple[socket.socket, socket.socket]
) -> None:
    front, worker = pair
    front.send(b"whole")
    ends[0].send(struct.pack("!I", 10) + b"half")
    front.close()
    assert worker.receive() == b"whole"
    assert worker.receive() is None
    with pytest.raises(ChannelBrokenError):
        worker.send(b"nobody is there")


def test_nothing_follows_half_a_frame_of_an_interrupted_send(ends: tuple[socket.socket, socket.socket]) -> None:
    worker = WorkerChannel(ends[1])
    ends[1].settimeout(0.05)
    with pytest.raises(TimeoutError):  # stands for a KeyboardInterrupt in the middle of a long send
        worker.send(bytes(5_000_000))
    with pytest.raises(ChannelBrokenError):
        worker.send(b"would be read as the rest of the first")


def test_threads_never_mix_their_frames(pair: Pair) -> None:
    front, worker = pair
    payloads = [bytes([number]) * 50_000 for number in range(8)]
    threads = [threading.Thread(target=worker.send, args=(payload,)) for payload in payloads]
    for thread in threads:
        thread.start()
    found: list[bytes] = []
    while len(found) < len(payloads):
        found += front.on_readable()
    for thread in threads:
        thread.join(10.0)
    assert sorted(found) == payloads


def test_a_worker_can_wait_for_a_message_without_taking_it(pair: Pair) -> None:
    front, worker = pair
    assert not worker.wait(0.0)
    front.send(b"one")
    front.send(b"two")
    assert worker.wait(10.0)
    assert worker.receive() == b"one"
    assert worker.wait(0.0)  # the second was read from the socket together with the first
    assert worker.receive() == b"two"
    assert not worker.wait(0.0)
    front.close()
    assert worker.wait(10.0)
    assert worker.receive() is None
