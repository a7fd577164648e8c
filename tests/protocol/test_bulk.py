# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.bulk import APART_BYTES, bin_header
from scenario_execution_remote.protocol.frames import BODY_LIMIT_BYTES
from tests.support.examples import thrifty

ACCEPTED = frozenset((messages.Chunk, messages.ArtifactEnd))
END = messages.ArtifactEnd(number=7, digest=b"d" * 32, text="")
LARGE = bytes(range(256)) * 16


def chunk(data: bytes | memoryview, number: int = 7, offset: int = 0) -> messages.Chunk:
    return messages.Chunk(number=number, offset=offset, data=data)


def as_bytes(decoded: list[messages.Piece]) -> list[messages.Piece]:
    return [
        chunk(bytes(one.data), one.number, one.offset) if isinstance(one, messages.Chunk) else one for one in decoded
    ]


chunks = st.builds(
    chunk,
    st.sampled_from([0, 1, 255, APART_BYTES - 1, APART_BYTES, 65_535, 65_536, 100_000]).map(bytes),
    st.sampled_from([0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1]),
    st.sampled_from([0, 1, 127, 128, 65_536, 2**32, 2**63 - 1]),
)


@thrifty
@given(several=st.lists(st.one_of(chunks, st.just(END)), max_size=4))
def test_in_parts_it_is_the_same_bytes_and_the_same_messages(several: list[messages.Piece]) -> None:
    scattered = wire.encode_pieces(several)
    body = b"".join(scattered.parts)
    assert body == wire.encode_all(several)
    assert len(scattered) == len(body)
    assert as_bytes(wire.decode(body, ACCEPTED)) == several


def test_the_bytes_of_a_file_are_sent_and_read_where_they_lie() -> None:
    scattered = wire.encode_pieces([chunk(LARGE), END])
    assert any(part is LARGE for part in scattered.parts)
    body = b"".join(scattered.parts)
    read = wire.decode(body, ACCEPTED)[0].data
    assert isinstance(read, memoryview)
    assert read.obj is body


def test_a_few_bytes_are_not_worth_a_part_of_their_own() -> None:
    small = [chunk(b"x"), chunk(b"y"), END]
    assert len(wire.encode_pieces(small).parts) == 1
    assert wire.encode_pieces([]).parts == ()


def test_no_chunk_that_is_cut_off_is_one() -> None:
    body = wire.encode(chunk(LARGE))
    for length in (*range(1, 20), len(body) - 1):
        with pytest.raises(wire.WireError):
            wire.decode(body[:length], ACCEPTED)
        with pytest.raises(wire.WireError):
            wire.decode(body + body[:length], ACCEPTED)


@pytest.mark.parametrize(
    "fields",
    [b"\xff\x00", b"\xa1x\x00", b"\x00\xc0", b"\xcb" + bytes(8) + b"\x00"],
    ids=["negative", "text", "nil", "float"],
)
def test_what_is_no_chunk_is_left_to_who_reads_everything_else(fields: bytes) -> None:
    body = wire.beginning_of(messages.Chunk) + fields + bin_header(len(LARGE)) + LARGE
    if fields[0] == 0xFF:  # a number like another, though nothing has it
        assert as_bytes(wire.decode(body, ACCEPTED)) == [chunk(LARGE, number=-1)]
        return
    with pytest.raises(wire.WireError, match="Chunk"):
        wire.decode(body, ACCEPTED)


def test_a_length_beyond_the_end_is_refused() -> None:
    body = wire.beginning_of(messages.Chunk) + b"\x01\x00" + b"\xc6\xff\xff\xff\xff" + LARGE
    with pytest.raises(wire.WireError):
        wire.decode(body, ACCEPTED)


def test_a_chunk_that_may_not_come_from_there_is_refused() -> None:
    with pytest.raises(wire.WireError, match="does not belong here"):
        wire.decode(wire.encode(chunk(LARGE)), frozenset({messages.ArtifactEnd}))


def test_more_than_a_server_accepts_is_refused_here() -> None:
    with pytest.raises(wire.CannotTravelError, match="at most"):
        wire.encode_pieces([chunk(bytes(BODY_LIMIT_BYTES))])
