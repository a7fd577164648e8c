# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scenario_execution_remote.protocol.frames import (
    HEADER_BYTES,
    MAGIC,
    NO_SESSION,
    PROTOCOL_VERSION,
    Frame,
    FrameError,
    FrameVersionError,
    Kind,
    Scattered,
    decode_frame,
    encode_frame,
)

SESSION = bytes(range(1, 17))
VALID = {
    kind: Frame(kind=kind, session=SESSION, seq=1 if kind is Kind.DATA else 0, ack=0, body=b"body") for kind in Kind
}
DATA = VALID[Kind.DATA].encode()


def with_byte(position: int, value: int, data: bytes = DATA) -> bytes:
    return data[:position] + bytes([value]) + data[position + 1 :]


@pytest.mark.parametrize("kind", Kind)
def test_a_frame_comes_back_as_it_was(kind: Kind) -> None:
    assert decode_frame(VALID[kind].encode()) == VALID[kind]


def test_the_header_lies_as_the_document_says() -> None:
    frame = Frame(kind=Kind.DATA, session=SESSION, seq=0x0102, ack=2**64 - 1, body=b"!")
    assert frame.encode().hex() == "53450207" + SESSION.hex() + "0000000000000102" + "f" * 16 + "21"


def test_no_truncated_header_is_a_frame() -> None:
    for length in range(HEADER_BYTES):
        with pytest.raises(FrameError, match="at least 36 bytes"):
            decode_frame(DATA[:length])


def test_a_flipped_bit_is_refused_or_makes_another_frame_and_nothing_else_happens() -> None:
    refused = set()
    for bit in range(HEADER_BYTES * 8):
        try:
            frame = decode_frame(with_byte(bit // 8, DATA[bit // 8] ^ 1 << bit % 8))
        except FrameError:
            refused.add(bit // 8)
        else:
            assert frame != VALID[Kind.DATA]
    assert refused == {0, 1, 2, 3, 27}  # magic, version, kind, and the number that became 0


@pytest.mark.parametrize("number", [0, 11, 99, 255])
def test_an_unknown_kind_is_refused_by_its_number_and_its_session_is_named(number: int) -> None:
    with pytest.raises(FrameError, match=f"kind {number} is unknown") as caught:
        decode_frame(with_byte(3, number))
    assert caught.value.session == SESSION


@pytest.mark.parametrize("version", [0, 1, 3, 255])
def test_another_protocol_version_is_refused_as_such_and_its_session_is_named(version: int) -> None:
    with pytest.raises(FrameVersionError, match=f"version {version} was spoken, version {PROTOCOL_VERSION}") as caught:
        decode_frame(with_byte(2, version))
    assert caught.value.session == SESSION


def test_a_refusal_is_understood_in_every_version() -> None:
    refusal = with_byte(2, 77, VALID[Kind.REFUSED].encode())
    assert decode_frame(refusal) == VALID[Kind.REFUSED]


def test_what_is_no_frame_at_all_names_no_session() -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(b"GET / HTTP/1.1\r\nHost: somewhere.example.org\r\n\r\n")
    assert caught.value.session == NO_SESSION


def test_the_magic_alone_is_no_frame() -> None:
    with pytest.raises(FrameError):
        decode_frame(MAGIC)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in (Kind.DATA, Kind.BEAT)])
def test_a_number_is_refused_where_none_belongs(kind: Kind) -> None:
    with pytest.raises(FrameError, match=f"a {kind.name} frame cannot have the number 1"):
        decode_frame(Frame(kind=kind, session=SESSION, seq=1).encode())


def test_data_without_a_number_is_refused() -> None:
    with pytest.raises(FrameError, match="a DATA frame cannot have the number 0"):
        decode_frame(Frame(kind=Kind.DATA, session=SESSION).encode())


@pytest.mark.parametrize("seq", [0, 1, 2**64 - 1])
def test_a_beat_tells_any_number(seq: int) -> None:
    assert decode_frame(Frame(kind=Kind.BEAT, session=SESSION, seq=seq).encode()).seq == seq


def test_a_hello_cannot_confirm_anything() -> None:
    with pytest.raises(FrameError, match="HELLO"):
        decode_frame(Frame(kind=Kind.HELLO, session=SESSION, ack=1).encode())


def test_a_body_in_parts_is_joined_behind_the_header() -> None:
    scattered = Scattered((b"bo", memoryview(b"dy")))
    assert encode_frame(Kind.DATA, SESSION, 1, 2, scattered) == encode_frame(Kind.DATA, SESSION, 1, 2, b"body")


def test_the_body_is_looked_at_and_not_copied() -> None:
    body = decode_frame(DATA).body
    assert isinstance(body, memoryview)
    assert body.obj is DATA
