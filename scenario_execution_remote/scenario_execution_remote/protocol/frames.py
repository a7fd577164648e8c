# SPDX-License-Identifier: Apache-2.0
"""The envelope of every message: what the server's front reads, before and without looking into the body.

One ZeroMQ frame holds a fixed header and a body. The front routes by the header alone; the body of a DATA frame belongs
to the worker and the client (see ``wire``). ``docs/reference/protocol.md`` describes it for people.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

PROTOCOL_VERSION = 2  # version 1 is the public prototype's REQ/REP protocol, see the server's ``legacy``
MAGIC = b"SE"
SESSION_ID_BYTES = 16  # 128 random bits: cannot be guessed, and never collide
NO_SESSION = bytes(SESSION_ID_BYTES)  # in a refusal of something that names no session
_HEADER = struct.Struct("!2sBB16sQQ")
HEADER_BYTES = _HEADER.size
_DATA_HEADER = struct.Struct("!4s16sQQ")

# The largest message either side sends: what the server's listeners accept (their MAX_MESSAGE_BYTES). A larger one
# would cost the connection, come back after it was resumed, and cost it again.
FRAME_LIMIT_BYTES = 8 * 1024 * 1024
BODY_LIMIT_BYTES = FRAME_LIMIT_BYTES - HEADER_BYTES


class FrameError(ValueError):
    """The bytes are not a frame that belongs here; the sentence says why.

    Attributes:
        session: The session the frame names, as far as it can be read; else ``NO_SESSION``.
    """

    def __init__(self, text: str, session: bytes = NO_SESSION) -> None:
        self.session = session
        super().__init__(text)


class FrameVersionError(FrameError):
    """The frame is of a protocol version that is not spoken here."""


class Kind(enum.IntEnum):
    """What a frame is for. Client and server share one numbering, so that a capture reads unambiguously."""

    HELLO = 1  # client: open a session
    WELCOME = 2  # server: it is open
    REFUSED = 3  # server: it is not, or this frame was not acceptable; the body says why
    RESUME = 4  # client: go on after this acknowledgement; the connection is new, or something is missing
    RESUMED = 5  # server: go on after this acknowledgement
    BEAT = 6  # either: I am alive, and this is what I have sent and received
    DATA = 7  # either: numbered, delivered in order and once
    BYE = 8  # client: end the session
    ENDED = 9  # server: the session is over, nothing of it runs any more
    NOTICE = 10  # server: news of the server itself, from nobody but its front


_DATA_BEGINS = MAGIC + bytes((PROTOCOL_VERSION, Kind.DATA))
_KINDS = {kind.value: kind for kind in Kind}  # looked up for every message, which Kind() takes five times as long for


class Scattered:
    """A body that lies in memory in several places, and is joined where it has to be copied anyway.

    Args:
        parts: Its bytes, in order.
    """

    __slots__ = ("_size_bytes", "parts")

    def __init__(self, parts: tuple[bytes | memoryview, ...]) -> None:
        self.parts = parts
        self._size_bytes = sum(map(len, parts))

    def __len__(self) -> int:
        return self._size_bytes


Body = bytes | memoryview | Scattered


class Frame(NamedTuple):
    """One envelope; a tuple, as it is made for every message, and a frozen dataclass takes twice as long.

    Attributes:
        kind: What the frame is for.
        session: 16 random bytes chosen by the client.
        seq: Of a DATA frame its number, from 1; of a BEAT the number of the last DATA frame sent before it; else 0.
        ack: Highest DATA number received so far from the other side, without a gap; 0 in a HELLO.
        body: Opaque to the front for DATA, one ``wire`` message or nothing for the other kinds.
    """

    kind: Kind
    session: bytes
    seq: int = 0
    ack: int = 0
    body: bytes | memoryview = b""

    def encode(self) -> bytes:
        """The frame as the bytes of one ZeroMQ message part."""
        return encode_frame(*self)


def encode_frame(kind: Kind, session: bytes, seq: int, ack: int, body: Body) -> bytes:
    """The bytes of a :class:`Frame` that nobody needs otherwise, as in every tick."""
    header = _HEADER.pack(MAGIC, PROTOCOL_VERSION, kind, session, seq, ack)
    return b"".join((header, *body.parts)) if isinstance(body, Scattered) else b"".join((header, body))


def read_data(data: bytes | memoryview) -> tuple[bytes, int, int] | None:
    """Session, number and confirmation of a DATA frame, as most are; None for others, see :func:`decode_frame`."""
    if len(data) < HEADER_BYTES:
        return None
    beginning, session, seq, ack = _DATA_HEADER.unpack_from(data)
    return (session, seq, ack) if seq and beginning == _DATA_BEGINS else None


def decode_frame(data: bytes | memoryview) -> Frame:
    """Read one message part. A refusal is understood in every version, so that each side learns why it is refused.

    Raises:
        FrameVersionError: it is a frame of another protocol version.
        FrameError: too short, not this protocol, an unknown kind, or a number where none belongs.
    """
    if len(data) < HEADER_BYTES:
        raise FrameError(f"a frame has at least {HEADER_BYTES} bytes, this one has {len(data)}")
    magic, version, number, session, seq, ack = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise FrameError("this is not a scenario-execution-server frame")
    if version != PROTOCOL_VERSION and number != Kind.REFUSED:
        raise FrameVersionError(
            f"protocol version {version} was spoken, version {PROTOCOL_VERSION} is understood here", session
        )
    kind = _KINDS.get(number)
    if kind is None:
        raise FrameError(f"frame kind {number} is unknown", session)
    if kind is not Kind.BEAT and (seq == 0) is (kind is Kind.DATA):
        raise FrameError(f"a {kind.name} frame cannot have the number {seq}", session)
    if kind is Kind.HELLO and ack:
        raise FrameError("a HELLO frame cannot confirm anything", session)
    return Frame(kind, session, seq, ack, memoryview(data)[HEADER_BYTES:])
