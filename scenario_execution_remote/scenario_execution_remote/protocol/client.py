# SPDX-License-Identifier: Apache-2.0
"""The client's half of a session: what to send, when to give up, what an incoming frame means. No I/O, no clock.

Time goes in as ``now_s`` (seconds of any monotonic clock), frames to send pile up in ``outgoing``, and what happened comes
back as events. ``link`` is the thread that gives this its socket and its clock.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Frame, FrameError, Kind, decode_frame
from scenario_execution_remote.protocol.stream import NumberedStream

BEAT_INTERVAL_S = 1.0  # as often as version 1 clients do; silence is judged by multiples of it
CONFIRM_AFTER_BYTES = 1024 * 1024  # confirm sooner than by the next beat, so that a talkative session is not held back


class State(enum.Enum):
    """Where a session is; see the table in docs/reference/protocol.md."""

    GREETING = "greeting"  # HELLO is out, WELCOME is not here yet
    OPEN = "open"
    RESUMING = "resuming"  # the connection is new; nothing is sent before RESUMED
    ENDING = "ending"  # BYE is out, the server is shutting the actions down
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Opened:
    """The server accepted the session."""

    welcome: messages.Welcome


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next body from the worker, opaque here."""

    body: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Over:
    """The session is over. ``reason`` is that of ``Ended``, a refusal code, ``lost`` or ``protocol``."""

    reason: str
    text: str
    silent_s: float | None = None


Event = Opened | Delivered | Over


class ClientSession:
    """One session with one server, as a state machine.

    Args:
        session: 16 random bytes that name it.
        hello: What to say first.
        lost_after_s: Silence after which the server counts as lost, in seconds.
    """

    def __init__(self, session: bytes, hello: messages.Hello, lost_after_s: float) -> None:
        self.outgoing: deque[bytes] = deque()
        self.state = State.GREETING
        self._session = session
        self._hello = hello
        self._lost_after_s = lost_after_s
        self._beat_every_s = min(BEAT_INTERVAL_S, lost_after_s / 5)  # five missed beats; fewer, and Wi-Fi roaming kills
        self._stream = NumberedStream()
        self._is_up = True
        self._last_heard_s = 0.0
        self._last_sent_s = 0.0
        self._unreported_bytes = 0
        self._resume_asked_s: float | None = None
        self._is_ending = False

    # -- from the shell ---------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> None:
        """Begin: the connection has just been made."""
        self._last_heard_s = now_s
        self._send(Kind.HELLO, now_s, body=wire.encode(self._hello))

    def send(self, body: bytes, now_s: float) -> None:
        """Send a body to the worker, exactly once; kept until a connection is there and the server has it."""
        seq = self._stream.number(body)
        if self._is_up and self.state in (State.OPEN, State.GREETING, State.ENDING):
            self._send(Kind.DATA, now_s, seq=seq, body=body)

    def end(self, now_s: float) -> None:
        """Ask the server to shut the actions down and end the session."""
        if self.state is State.OVER or self._is_ending:
            return
        self._is_ending = True
        if self.state is not State.RESUMING and self._is_up:
            self.state = State.ENDING
            self._send(Kind.BYE, now_s)

    def connection_lost(self) -> None:
        """The transport has no connection now; ZeroMQ goes on trying."""
        self._is_up = False

    def connection_made(self, now_s: float) -> None:
        """The transport is connected again: ask the server to go on where both sides stopped."""
        if self.state is State.OVER or self._is_up:
            return
        self._is_up = True
        if self.state is State.GREETING:  # WELCOME may have been lost; RESUME would be refused if HELLO was
            self._send(Kind.HELLO, now_s, body=wire.encode(self._hello))
            self._repeat(now_s)
        else:
            self._resume(now_s)

    def receive(self, data: bytes | memoryview, now_s: float) -> list[Event]:
        """Digest one incoming frame."""
        if self.state is State.OVER:
            return []
        try:
            frame = decode_frame(data)
            if frame.session != self._session:
                raise FrameError("the frame belongs to another session")
            self._last_heard_s = now_s
            if not self._stream.confirm(frame.ack):
                raise FrameError("the server confirms what was never sent")
            return self._digest(frame, now_s)
        except (FrameError, wire.WireError) as error:
            return [self._over("protocol", f"The server does not speak this client's protocol: {error}.")]

    def tick(self, now_s: float) -> list[Event]:
        """Let time pass: send what is due, and notice silence. Call it after everything received has been digested."""
        if self.state is State.OVER:
            return []
        silent_s = now_s - self._last_heard_s
        if silent_s >= self._lost_after_s:
            return [self._over("lost", f"The server has been silent for {silent_s:.1f} s.", silent_s)]
        if self._is_up and now_s - self._last_sent_s >= self._beat_every_s:
            if self.state is State.RESUMING:
                self._resume(now_s)  # the first one may have gone to a connection that broke again
            else:
                self._send(Kind.BEAT, now_s)
        return []

    def next_deadline_s(self) -> float:
        """When :meth:`tick` has to be called next, at the latest."""
        return min(self._last_sent_s + self._beat_every_s, self._last_heard_s + self._lost_after_s)

    # -- rules ----------------------------------------------------------------------------------------------------------

    def _digest(self, frame: Frame, now_s: float) -> list[Event]:
        if frame.kind is Kind.DATA:
            return self._deliver(frame, now_s)
        if frame.kind is Kind.BEAT:
            return []
        if frame.kind is Kind.WELCOME:
            if self.state is not State.GREETING:
                return []  # the answer to a HELLO repeated on a new connection
            self.state = State.OPEN
            events: list[Event] = [Opened(wire.decode_one(frame.body, messages.Welcome))]
            if self._is_ending:
                self.state = State.ENDING
                self._send(Kind.BYE, now_s)
            return events
        if frame.kind is Kind.RESUMED:
            return self._go_on(now_s)
        if frame.kind is Kind.REFUSED:
            refused = wire.decode_one(frame.body, messages.Refused)
            return [self._over(refused.code, refused.text)]
        if frame.kind is Kind.ENDED:
            ended = wire.decode_one(frame.body, messages.Ended)
            return [self._over(ended.reason, ended.text)]
        raise FrameError(f"a server does not send {frame.kind.name}")

    def _deliver(self, frame: Frame, now_s: float) -> list[Event]:
        if self._stream.is_gap(frame.seq):  # the server's queue for us overflowed: ask for what is missing
            if self._resume_asked_s is None or now_s - self._resume_asked_s >= self._beat_every_s:
                self._resume(now_s)
            return []
        if not self._stream.accept(frame.seq):
            return []
        self._unreported_bytes += len(frame.body)
        if self._unreported_bytes >= CONFIRM_AFTER_BYTES:
            self._send(Kind.BEAT, now_s)
        return [Delivered(frame.body)]

    def _resume(self, now_s: float) -> None:
        self.state = State.RESUMING
        self._resume_asked_s = now_s
        self._send(Kind.RESUME, now_s)

    def _go_on(self, now_s: float) -> list[Event]:
        if self.state is not State.RESUMING:
            return []
        self.state = State.ENDING if self._is_ending else State.OPEN
        self._resume_asked_s = None
        self._repeat(now_s)
        if self._is_ending:
            self._send(Kind.BYE, now_s)
        return []

    def _repeat(self, now_s: float) -> None:
        for seq, body in self._stream.unconfirmed():
            self._send(Kind.DATA, now_s, seq=seq, body=body)

    def _send(self, kind: Kind, now_s: float, seq: int = 0, body: bytes | memoryview = b"") -> None:
        self._last_sent_s = now_s
        self._unreported_bytes = 0
        frame = Frame(kind=kind, session=self._session, seq=seq, ack=self._stream.received, body=body)
        self.outgoing.append(frame.encode())

    def _over(self, reason: str, text: str, silent_s: float | None = None) -> Over:
        self.state = State.OVER
        return Over(reason, text, silent_s)
