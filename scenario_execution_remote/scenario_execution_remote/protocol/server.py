# SPDX-License-Identifier: Apache-2.0
"""The server's half of a session: numbers, confirmations and silence. No I/O, no clock, and no look into any body."""

from __future__ import annotations

from typing import NamedTuple

from scenario_execution_remote.protocol.frames import Body, Frame, FrameError, Kind, encode_frame
from scenario_execution_remote.protocol.stream import NumberedStream


class Received(NamedTuple):
    """What a client's frame asks of the server.

    Attributes:
        bodies: Bodies to hand to the worker, in order.
        is_bye: Whether the client wants to end the session.
    """

    bodies: tuple[bytes | memoryview, ...] = ()
    is_bye: bool = False


# A client that asks for everything again and confirms none of it reads nothing: each time would cost the server a
# window of memory. So many times at once it may have lost a connection; after that it waits, each time twice as long.
FREE_REPETITIONS = 3
LONGEST_PAUSE_S = 32.0  # a connection that carries nothing for longer is cut by the server anyway

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
        self._notice: bytes | None = None
        self._stream = NumberedStream()
        self._replies: list[bytes] = []
        self._confirmed = 0
        self._repetitions = 0  # since the client has confirmed anything
        self._repeated_s = now_s

    @property
    def is_full(self) -> bool:
        """Whether the client is so far behind that the worker has to be held back."""
        return self._stream.is_full

    def take_next(self, seq: int, ack: int, size_bytes: int, now_s: float) -> bool:
        """Take a DATA frame of this session, if its body is the next one and nothing has to be sent because of it.

        Returns:
            Whether it is, as mostly. If not, nothing has changed, and :meth:`receive` knows what the frame means.
        """
        if not self._stream.take_next(seq, ack, size_bytes):
            return False
        self.last_heard_s = now_s
        if ack > self._confirmed:
            self._confirmed, self._repetitions = ack, 0
        return True

    def receive(self, frame: Frame, now_s: float) -> Received:
        """Digest one frame of this session; what has to be sent back is in :meth:`take_replies`.

        Raises:
            FrameError: a client does not send this.
        """
        self.last_heard_s = now_s
        received = self._digest(frame, now_s)
        if self._stream.has_waiting:
            self._send_due()
        return received

    def push(self, body: bytes | memoryview) -> list[bytes]:
        """Take *body* for the client, who gets it exactly once. Returns the frames that may be sent now."""
        numbers = self._stream.put_through(body)
        if numbers is None:
            return self.take_replies()
        frame = encode_frame(Kind.DATA, self._session, *numbers, body)
        return [*self.take_replies(), frame] if self._replies else [frame]

    def announce(self, body: bytes) -> list[bytes]:
        """Tell the client the encoded ``Notice`` in *body*, and once more on each connection that follows."""
        self._notice = body
        self._send(Kind.NOTICE, body=body)
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

    def _digest(self, frame: Frame, now_s: float) -> Received:
        stream, kind, ack = self._stream, frame.kind, frame.ack
        if not stream.confirm(ack):
            raise FrameError("the client confirms what was never sent", frame.session)
        if ack > self._confirmed:
            self._confirmed, self._repetitions = ack, 0
        # ZeroMQ loses nothing in this direction as long as a connection stands, and a new one begins with RESUME.
        if frame.seq > stream.received + (kind is Kind.DATA):
            raise FrameError(f"something before number {frame.seq} is missing", frame.session)
        if kind is Kind.DATA:
            if not stream.accept(frame.seq, len(frame.body)):
                return _NOTHING
            if stream.owes_confirmation:
                self._send(Kind.BEAT)
            return Received((frame.body,))
        if frame.kind is Kind.BYE:
            return Received(is_bye=True)
        if frame.kind not in _REPLIES:
            raise FrameError(f"a client does not send {frame.kind.name}", frame.session)
        if frame.kind is not Kind.BEAT and self._may_repeat(now_s):  # the connection is new, or something is missing
            self._stream.rewind()
        self._send(_REPLIES[frame.kind], body=self._welcome if frame.kind is Kind.HELLO else b"")
        if frame.kind is not Kind.BEAT and self._notice is not None:  # what it follows may have been lost
            self._send(Kind.NOTICE, body=self._notice)
        return _NOTHING

    def _may_repeat(self, now_s: float) -> bool:
        """Whether what is not confirmed is sent again now; if not, the client asks once more at its next beat."""
        waits = self._repetitions - FREE_REPETITIONS
        if waits >= 0 and now_s - self._repeated_s < min(2.0**min(waits, 10), LONGEST_PAUSE_S):
            return False
        self._repetitions += 1
        self._repeated_s = now_s
        return True

    def _send_due(self, *, regardless: bool = False) -> None:
        for seq, body in self._stream.due(regardless=regardless):
            self._send(Kind.DATA, seq=seq, body=body)

    def _send(self, kind: Kind, seq: int = 0, body: Body = b"") -> None:
        number = self._stream.sent if kind is Kind.BEAT else seq
        ack = self._stream.confirmed()
        self._replies.append(encode_frame(kind, self._session, number, ack, body))
