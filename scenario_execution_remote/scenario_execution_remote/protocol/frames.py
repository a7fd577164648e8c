# SPDX-License-Identifier: Apache-2.0
"""The envelope of every message: what the server's front reads, before and without looking into the body.

One ZeroMQ frame holds a fixed header and a body. The front routes by the header alone; the body of a DATA frame belongs
to the worker and the client (see ``wire``). Source of truth for the layout: ``docs/reference/protocol.md``.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

PROTOCOL_VERSION = 2  # version 1 is the public prototype's REQ/REP protocol, see the server's ``legacy``
MAGIC = b"SE"
SESSION_ID_BYTES = 16  # 128 random bits: cannot be guessed, and never collide
_HEADER = struct.Struct("!2sBB16sQQ")
HEADER_BYTES = _HEADER.size


class FrameError(ValueError):
    """The bytes are not a frame of this protocol version; the sentence says why."""


class Kind(enum.IntEnum):
    """What a frame is for. Client and server share one numbering, so that a capture reads unambiguously."""

    HELLO = 1  # client: open a session
    WELCOME = 2  # server: it is open
    REFUSED = 3  # server: it is not, or this frame was not acceptable; the body says why
    RESUME = 4  # client: the connection is new, the session is not
    RESUMED = 5  # server: go on after this acknowledgement
    BEAT = 6  # either: I am alive, and this is what I have received
    DATA = 7  # either: numbered, delivered in order and once
    BYE = 8  # client: end the session
    ENDED = 9  # server: the session is over, nothing of it runs any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One envelope.

    Attributes:
        kind: What the frame is for.
        session: 16 random bytes chosen by the client.
        seq: Number of a DATA frame, from 1; 0 for every other kind.
        ack: Highest DATA number received so far from the other side, without a gap.
        body: Opaque to the front for DATA, one ``wire`` message for the other kinds, often empty.
    """

    kind: Kind
    session: bytes
    seq: int = 0
    ack: int = 0
    body: bytes | memoryview = b""

    def encode(self) -> bytes:
        """The frame as the bytes of one ZeroMQ message part."""
        return b"".join((_HEADER.pack(MAGIC, PROTOCOL_VERSION, self.kind, self.session, self.seq, self.ack), self.body))


def decode_frame(data: bytes | memoryview) -> Frame:
    """Read one message part.

    Raises:
        FrameError: too short, not this protocol, another version, an unknown kind, or a number where none belongs.
    """
    if len(data) < HEADER_BYTES:
        raise FrameError(f"a frame has at least {HEADER_BYTES} bytes, this one has {len(data)}")
    magic, version, kind, session, seq, ack = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise FrameError("this is not a scenario-execution-server frame")
    if version != PROTOCOL_VERSION:
        raise FrameError(f"protocol version {version} was spoken, version {PROTOCOL_VERSION} is understood here")
    try:
        kind = Kind(kind)
    except ValueError:
        raise FrameError(f"frame kind {kind} is unknown") from None
    if (seq == 0) is (kind is Kind.DATA):
        raise FrameError(f"a {kind.name} frame cannot have the number {seq}")
    return Frame(kind=kind, session=session, seq=seq, ack=ack, body=memoryview(data)[HEADER_BYTES:])
