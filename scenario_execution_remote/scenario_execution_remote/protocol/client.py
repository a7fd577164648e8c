# SPDX-License-Identifier: Apache-2.0
"""The client's half of a session: what to send, when to give up, what an incoming frame means. No I/O, no clock.

Time goes in as ``now_s`` (seconds of any monotonic clock), frames to send pile up in ``outgoing``, and what happened
comes back as events. ``link`` is the thread that gives this its socket and its clock.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.agreement import MEND, disagreement
from scenario_execution_remote.protocol.frames import (
    BODY_LIMIT_BYTES,
    HEADER_BYTES,
    NO_SESSION,
    SESSION_ID_BYTES,
    Body,
    Frame,
    FrameError,
    Kind,
    decode_frame,
    encode_frame,
    read_data,
)
from scenario_execution_remote.protocol.stream import NumberedStream

BEAT_INTERVAL_S = 1.0  # as often as version 1 clients do; silence is judged by multiples of it
LEAST_BEAT_INTERVAL_S = 0.02  # for the shortest watchdog a server can have; less, and any server could keep us busy
ROUND_TRIPS = 3  # the shortest of so many is the link's; a single one may have met a busy machine
BEATS_PER_SILENCE = 5  # so many may be missed; fewer, and a laptop that changes its Wi-Fi cell looks dead


class State(enum.Enum):
    """Where a session is."""

    GREETING = "greeting"  # HELLO is out or will be, WELCOME is not here yet
    OPEN = "open"
    RESUMING = "resuming"  # the connection broke, or something is missing: nothing is sent before RESUMED
    ENDING = "ending"  # BYE is out, the server is shutting the actions down
    OVER = "over"


class Step(enum.Enum):
    """What a frame makes the client do."""

    IGNORE = "ignore"  # left over from before, or repeated
    WELCOME = "open"  # to OPEN; what waited is sent
    DELIVER = "deliver"  # hand the next body on; to RESUMING if one is missing
    COMPARE = "compare"  # to RESUMING if the server sent more than has arrived
    GO_ON = "go on"  # to OPEN; what is not confirmed is sent again
    FINISH = "finish"  # to OVER
    TELL = "tell"  # hand it on


# The rules of a session: what a frame means in a state. What is not here does not belong there, and ends the session.
RULES: dict[Kind, dict[State, Step]] = {
    Kind.WELCOME: {
        State.GREETING: Step.WELCOME,
        State.OPEN: Step.IGNORE,
        State.RESUMING: Step.IGNORE,
        State.ENDING: Step.IGNORE,
    },
    Kind.RESUMED: {
        State.OPEN: Step.IGNORE,
        State.RESUMING: Step.GO_ON,
        State.ENDING: Step.IGNORE,
    },
    Kind.BEAT: {
        State.GREETING: Step.IGNORE,
        State.OPEN: Step.COMPARE,
        State.RESUMING: Step.IGNORE,
        State.ENDING: Step.COMPARE,
    },
    Kind.DATA: {
        State.GREETING: Step.IGNORE,
        State.OPEN: Step.DELIVER,
        State.RESUMING: Step.IGNORE,
        State.ENDING: Step.DELIVER,
    },
    Kind.NOTICE: dict.fromkeys((State.GREETING, State.OPEN, State.RESUMING, State.ENDING), Step.TELL),
    Kind.REFUSED: dict.fromkeys((State.GREETING, State.OPEN, State.RESUMING, State.ENDING), Step.FINISH),
    Kind.ENDED: dict.fromkeys((State.GREETING, State.OPEN, State.RESUMING, State.ENDING), Step.FINISH),
}

# What a state says again and again, until something else is heard. A HELLO is not repeated on one connection: it cannot
# be lost there, and after the session has ended already it would open another one.
REPEATED: dict[State, Kind] = {State.OPEN: Kind.BEAT, State.RESUMING: Kind.RESUME, State.ENDING: Kind.BEAT}


@dataclass(frozen=True, slots=True)
class Opened:
    """The server accepted the session."""

    welcome: messages.Welcome


class Delivered(NamedTuple):
    """The next body from the worker, opaque here."""

    body: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Noticed:
    """News of the server's next key."""

    next_key: messages.NextKey | None


@dataclass(frozen=True, slots=True)
class Over:
    """The session is over. ``reason`` is that of ``Ended``, a refusal code, ``lost`` or ``protocol``; ``is_home`` is
    that of ``Ended``, and False if nobody has said so."""

    reason: str
    text: str
    silent_s: float | None = None
    is_home: bool = False


Event = Opened | Delivered | Noticed | Over


class ClientSession:
    """One session with one server, as a state machine.

    Args:
        session: 16 random bytes that name it.
        hello: What to say first.
        lost_after_s: Silence after which the server counts as lost, in seconds.

    Attributes:
        round_trip_s: The shortest of the last few round trips to the server's front, in seconds; None before there are
            a few.
    """

    def __init__(self, session: bytes, hello: messages.Hello, lost_after_s: float) -> None:
        if len(session) != SESSION_ID_BYTES or session == NO_SESSION:
            raise ValueError(f"a session is named by {SESSION_ID_BYTES} random bytes")
        self.outgoing: deque[bytes] = deque()
        self.state = State.GREETING
        self._session = session
        self._hello = wire.encode(hello)
        self._versions = hello.versions
        self._lost_after_s = lost_after_s
        self._beat_every_s = min(BEAT_INTERVAL_S, lost_after_s / BEATS_PER_SILENCE)
        self._stream = NumberedStream()
        self._is_up = True
        self._wants_end = False
        self._last_heard_s = 0.0
        self._next_beat_s = 0.0
        self._beat_sent_s: float | None = None  # until its answer is here
        self._round_trips_s: deque[float] = deque(maxlen=ROUND_TRIPS)
        self.round_trip_s: float | None = None

    @property
    def awaits_beat(self) -> bool:
        """Whether a beat is out whose answer is not here yet."""
        return self._beat_sent_s is not None

    @property
    def last_round_trip_s(self) -> float:
        """The last round trip to the server's front, in seconds; NaN if there was none yet."""
        return self._round_trips_s[-1] if self._round_trips_s else math.nan

    # -- from the shell ----------------------------------------------------------------------------

    def start(self, now_s: float) -> None:
        """Begin: the connection has just been made."""
        self._last_heard_s = now_s
        self._next_beat_s = now_s + self._beat_every_s
        self._send(Kind.HELLO, body=self._hello)

    def send(self, body: Body) -> None:
        """Send a body to the worker, exactly once; kept until a connection is there and the server has it.

        Raises:
            ValueError: it is larger than a server accepts.
        """
        if len(body) > BODY_LIMIT_BYTES:
            raise ValueError(f"a body of {len(body)} bytes is more than the {BODY_LIMIT_BYTES} that may be sent")
        if self.state is State.OPEN:
            numbers = self._stream.put_through(body)
            if numbers is not None:
                self.outgoing.append(encode_frame(Kind.DATA, self._session, *numbers, body))
        elif self.state is not State.OVER:
            self._stream.put(body)
            self._send_due()

    def end(self) -> None:
        """Ask the server, once it has everything sent so far, to shut the actions down and end the session."""
        self._wants_end = True
        self._send_due()

    def ask_for_beat(self, now_s: float) -> None:
        """Beat now and not when it is due, to take the time until the answer; nothing if the session is not open."""
        if self._is_up and self.state is State.OPEN:
            self._beat_sent_s = now_s
            self._send(Kind.BEAT)

    def connection_lost(self) -> None:
        """The transport has no connection now; ZeroMQ goes on trying."""
        self._is_up = False
        self._beat_sent_s = None
        self.outgoing.clear()  # what has a number is sent again after RESUMED; the rest is stale
        if self.state in (State.OPEN, State.ENDING):
            self.state = State.RESUMING

    def connection_made(self) -> None:
        """The transport is connected again: ask the server to go on where both sides stopped."""
        if self._is_up:
            return
        self._is_up = True
        if self.state is State.GREETING:  # WELCOME may have been lost; RESUME would be refused if HELLO was
            self._send(Kind.HELLO, body=self._hello)
        elif self.state is State.RESUMING:
            self._send(Kind.RESUME)

    def take_next(self, data: bytes | memoryview, now_s: float) -> memoryview | None:
        """The next body, if *data* holds it and nothing else has to be done because of it, as mostly.

        If it is None, nothing has changed, and :meth:`receive` knows what the frame means.
        """
        found = read_data(data)
        if found is None or self.state is not State.OPEN or not self._is_up:
            return None
        session, seq, ack = found
        if session != self._session or not self._stream.take_next(seq, ack, len(data) - HEADER_BYTES):
            return None
        self._last_heard_s = now_s
        return memoryview(data)[HEADER_BYTES:]

    def receive(self, data: bytes | memoryview, now_s: float) -> list[Event]:
        """Digest one incoming frame."""
        if self.state is State.OVER:
            return []
        try:
            frame = decode_frame(data)
            if frame.session != self._session and not (frame.kind is Kind.REFUSED and frame.session == NO_SESSION):
                raise FrameError("the frame belongs to another session")
            self._last_heard_s = now_s
            if not self._stream.confirm(frame.ack):
                raise FrameError("the server confirms what was never sent")
            events = self._digest(frame)
            self._measure(frame.kind, now_s)
        except (FrameError, wire.WireError) as error:
            advice = f" {MEND}" if self.state is State.GREETING else ""  # after that, both have said the same
            return [self._over("protocol", f"The server does not speak this client's protocol: {error}.{advice}")]
        if self._stream.has_waiting or self._wants_end:
            self._send_due()
        return events

    def tick(self, now_s: float) -> list[Event]:
        """Let time pass: send what is due, and notice silence. Call it after everything received has been digested."""
        if self.state is State.OVER:
            return []
        late_s = now_s - self.next_deadline_s()
        if late_s > self._beat_every_s:  # this program was stopped or held up, and asked nothing that could be answered
            self._last_heard_s += late_s
        silent_s = now_s - self._last_heard_s
        if silent_s >= self._lost_after_s:
            return [self._over("lost", f"The server has been silent for {silent_s:.1f} s.", silent_s)]
        if now_s >= self._next_beat_s:
            self._next_beat_s = now_s + self._beat_every_s
            if self._is_up and self.state in REPEATED:
                self._beat_sent_s = now_s
                self._send(REPEATED[self.state])
        return []

    def next_deadline_s(self) -> float:
        """When :meth:`tick` has to be called next, at the latest."""
        return min(self._next_beat_s, self._last_heard_s + self._lost_after_s)

    # -- rules -------------------------------------------------------------------------------------

    def _digest(self, frame: Frame) -> list[Event]:
        step = RULES.get(frame.kind, {}).get(self.state)
        if step is None:
            raise FrameError(f"a server does not send {frame.kind.name} to a client that is {self.state.value}")
        if step is Step.FINISH:
            return [self._finish(frame)]
        if not self._is_up:  # read late from a connection that has broken since; the next one begins anew
            return []
        if step is Step.WELCOME:
            return [self._open(wire.decode_one(frame.body, messages.Welcome))]
        if step is Step.TELL:
            return [Noticed(wire.decode_one(frame.body, messages.Notice).next_key)]
        if step is Step.DELIVER:
            return self._deliver(frame)
        if step is Step.COMPARE and frame.seq > self._stream.received:
            self._resume()
        elif step is Step.GO_ON:
            self.state = State.OPEN
            self._stream.rewind()
        return []

    def _open(self, welcome: messages.Welcome) -> Event:
        """Go on, unless the server is one that does not compare messages itself and knows others than this client."""
        why = disagreement(self._versions, welcome.versions)
        if why is not None:
            over = self._over(messages.RefusalCode.VERSION.value, why)
            self._send(Kind.BYE)  # else the session that it has opened waits there for its watchdog
            return over
        self.state = State.OPEN
        self._beat_for(welcome.watchdog_s)
        return Opened(welcome)

    def _beat_for(self, watchdog_s: float) -> None:
        """Beat often enough for the server as well, which ends a session after *watchdog_s* of silence."""
        wanted_s = max(watchdog_s / BEATS_PER_SILENCE, LEAST_BEAT_INTERVAL_S)
        self._beat_every_s = min(self._beat_every_s, wanted_s)
        self._next_beat_s = min(self._next_beat_s, self._last_heard_s + self._beat_every_s)

    def _measure(self, answer: Kind, now_s: float) -> None:
        """Take the time of a beat's round trip; the first few follow each other at once, so that it is known early."""
        if answer is Kind.BEAT and self._beat_sent_s is not None:
            self._round_trips_s.append(now_s - self._beat_sent_s)
            if len(self._round_trips_s) == ROUND_TRIPS:
                self.round_trip_s = min(self._round_trips_s)
            self._beat_sent_s = None
        if answer in (Kind.WELCOME, Kind.BEAT) and self.state is State.OPEN and self.round_trip_s is None:
            self._beat_sent_s = now_s
            self._send(Kind.BEAT)

    def _deliver(self, frame: Frame) -> list[Event]:
        if self._stream.is_gap(frame.seq):
            self._resume()
        elif self._stream.accept(frame.seq, len(frame.body)):
            if self._stream.owes_confirmation:
                self._send(Kind.BEAT)
            return [Delivered(frame.body)]
        return []

    def _finish(self, frame: Frame) -> Over:
        if frame.kind is Kind.ENDED:
            ended = wire.decode_one(frame.body, messages.Ended)
            return self._over(ended.reason, ended.text, is_home=ended.is_home)
        refused = wire.decode_one(frame.body, messages.Refused)
        return self._over(refused.code, refused.text)

    def _resume(self) -> None:
        """Ask for what is missing: the server's queue for this client overflowed."""
        self.state = State.RESUMING
        self._send(Kind.RESUME)

    def _send_due(self) -> None:
        """Send what the window has room for, and BYE behind the last of it."""
        if self.state not in (State.OPEN, State.ENDING):
            return
        for seq, body in self._stream.due():
            self._send(Kind.DATA, seq=seq, body=body)
        if self._wants_end and self.state is State.OPEN and not self._stream.has_waiting:
            self.state = State.ENDING
            self._send(Kind.BYE)

    def _send(self, kind: Kind, seq: int = 0, body: Body = b"") -> None:
        number = self._stream.sent if kind is Kind.BEAT else seq
        ack = self._stream.confirmed()
        self.outgoing.append(encode_frame(kind, self._session, number, ack, body))

    def _over(self, reason: str, text: str, silent_s: float | None = None, *, is_home: bool = False) -> Over:
        self.state = State.OVER
        self.outgoing.clear()
        return Over(reason, text, silent_s, is_home)
