# SPDX-License-Identifier: Apache-2.0
"""The server's half of a session: numbers, confirmations and silence. No I/O, no clock, and no look into any body."""

from __future__ import annotations

from dataclasses import dataclass

from scenario_execution_remote.protocol.frames import Frame, FrameError, Kind
from scenario_execution_remote.protocol.stream import NumberedStream


@dataclass(frozen=True, slots=True)
class Received:
    """What a client's frame asks of the server.

    Attributes:
        bodies: Bodies to hand to the worker, in order.
        is_bye: Whether the client wants to end the session.
    """

    bodies: tuple[bytes | memoryview, ...] = ()
    is_bye: bool = False


_NOTHING = Received()
_REPLIES = {Kind.HELLO: Kind.WELCOME, Kind.RESUME: Kind.RESUMED, Kind.BEAT: Kind.BEAT}


class ServerSession:
    """One client's session as the front sees it: it is open from the first HELLO until its worker is gone.

    Args:
        session: The 16 bytes the client chose.
        now_s: Seconds of a monotonic clock.
        welcome: Encoded ``Welcome``, sent again if the client has to repeat its HELLO.
    """

    def __init__(self, session: bytes, now_s: float, welcome: bytes) -> None:
        self.last_heard_s = now_s
        self._session = session
        self._welcome = welcome
        self._stream = NumberedStream()
        self._replies: list[bytes] = []

    @property
    def is_full(self) -> bool:
        """Whether the client is so far behind that the worker has to be held back."""
        return self._stream.is_full

    def receive(self, frame: Frame, now_s: float) -> Received:
        """Digest one frame of this session; what has to be sent back is in :meth:`take_replies`.

        Raises:
            FrameError: a client does not send this.
        """
        self.last_heard_s = now_s
        received = self._digest(frame)
        self._send_due()
        return received

    def push(self, body: bytes | memoryview) -> list[bytes]:
        """Take *body* for the client, who gets it exactly once. Returns the frames that may be sent now."""
        self._stream.put(body)
        self._send_due()
        return self.take_replies()

    def finish(self, body: bytes) -> list[bytes]:
        """The last frames of the session: what the client has not been sent yet, and ENDED with *body*."""
        self._send_due(regardless=True)
        self._send(Kind.ENDED, body=body)
        return self.take_replies()

    def take_replies(self) -> list[bytes]:
        """The frames to send now, oldest first."""
        replies, self._replies = self._replies, []
        return replies

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether nothing has come from the client for *limit_s* seconds."""
        return now_s - self.last_heard_s >= limit_s

    def _digest(self, frame: Frame) -> Received:
        if not self._stream.confirm(frame.ack):
            raise FrameError("the client confirms what was never sent", frame.session)
        # ZeroMQ loses nothing in this direction as long as a connection stands, and a new one begins with RESUME.
        if frame.seq > self._stream.received + (frame.kind is Kind.DATA):
            raise FrameError(f"something before number {frame.seq} is missing", frame.session)
        if frame.kind is Kind.DATA:
            if not self._stream.accept(frame.seq, len(frame.body)):
                return _NOTHING
            if self._stream.owes_confirmation:
                self._send(Kind.BEAT)
            return Received(bodies=(frame.body,))
        if frame.kind is Kind.BYE:
            return Received(is_bye=True)
        if frame.kind not in _REPLIES:
            raise FrameError(f"a client does not send {frame.kind.name}", frame.session)
        if frame.kind is not Kind.BEAT:  # the connection is new, or something is missing
            self._stream.rewind()
        self._send(_REPLIES[frame.kind], body=self._welcome if frame.kind is Kind.HELLO else b"")
        return _NOTHING

    def _send_due(self, *, regardless: bool = False) -> None:
        for seq, body in self._stream.due(regardless=regardless):
            self._send(Kind.DATA, seq=seq, body=body)

    def _send(self, kind: Kind, seq: int = 0, body: bytes | memoryview = b"") -> None:
        number = self._stream.sent if kind is Kind.BEAT else seq
        ack = self._stream.confirmed()
        self._replies.append(Frame(kind=kind, session=self._session, seq=number, ack=ack, body=body).encode())
