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


class ServerSession:
    """One client's session as the front sees it.

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
        if not self._stream.confirm(frame.ack):
            raise FrameError("the client confirms what was never sent")
        if frame.kind is Kind.DATA:
            return Received(bodies=(frame.body,)) if self._stream.accept(frame.seq) else _NOTHING
        if frame.kind is Kind.BEAT:
            self._reply(Kind.BEAT)
        elif frame.kind is Kind.BYE:
            return Received(is_bye=True)
        elif frame.kind is Kind.HELLO:
            self._reply(Kind.WELCOME, body=self._welcome)
            self._repeat()
        elif frame.kind is Kind.RESUME:
            self._reply(Kind.RESUMED)
            self._repeat()
        else:
            raise FrameError(f"a client does not send {frame.kind.name}")
        return _NOTHING

    def push(self, body: bytes | memoryview) -> bytes:
        """The frame that carries *body* to the client; kept until the client has confirmed it."""
        return self._frame(Kind.DATA, seq=self._stream.number(body), body=body)

    def control(self, kind: Kind, body: bytes = b"") -> bytes:
        """A frame without a number, for what need not be repeated."""
        return self._frame(kind, body=body)

    def take_replies(self) -> list[bytes]:
        """The frames to send now, oldest first."""
        replies, self._replies = self._replies, []
        return replies

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether nothing has come from the client for *limit_s* seconds."""
        return now_s - self.last_heard_s >= limit_s

    def _repeat(self) -> None:
        for seq, body in self._stream.unconfirmed():
            self._replies.append(self._frame(Kind.DATA, seq=seq, body=body))

    def _reply(self, kind: Kind, body: bytes = b"") -> None:
        self._replies.append(self._frame(kind, body=body))

    def _frame(self, kind: Kind, seq: int = 0, body: bytes | memoryview = b"") -> bytes:
        return Frame(kind=kind, session=self._session, seq=seq, ack=self._stream.received, body=body).encode()
