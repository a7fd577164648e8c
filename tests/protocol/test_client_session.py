# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.client import (
    BEAT_INTERVAL_S,
    BEATS_PER_SILENCE,
    RULES,
    ClientSession,
    Delivered,
    Event,
    Noticed,
    Opened,
    Over,
    State,
)
from scenario_execution_remote.protocol.frames import (
    BODY_LIMIT_BYTES,
    NO_SESSION,
    PROTOCOL_VERSION,
    Frame,
    Kind,
    decode_frame,
)
from scenario_execution_remote.protocol.stream import CONFIRM_AFTER_FRAMES, WINDOW_FRAMES
from tests.support.wire_values import hello, welcome

SESSION = b"session-of-tests"
LOST_AFTER_S = 5.0
BODIES = {
    Kind.WELCOME: wire.encode(welcome()),
    Kind.REFUSED: wire.encode(messages.Refused(code="limit", text="Full.")),
    Kind.ENDED: wire.encode(messages.Ended(reason="stopped", text="Stopping.", is_home=True)),
    Kind.NOTICE: wire.encode(messages.Notice(next_key=messages.NextKey(key="k", from_utc_s=1.0))),
}
FROM_SERVER = tuple(RULES)
LIVING = tuple(state for state in State if state is not State.OVER)


class Wire:
    """A client session, what it has sent, and a clock that is moved by hand."""

    def __init__(self, lost_after_s: float = LOST_AFTER_S) -> None:
        self.machine = ClientSession(SESSION, hello(), lost_after_s)
        self.now_s = 1000.0
        self.machine.start(self.now_s)

    def sent(self) -> list[Frame]:
        frames = [decode_frame(data) for data in self.machine.outgoing]
        self.machine.outgoing.clear()
        return frames

    def kinds(self) -> list[Kind]:
        return [frame.kind for frame in self.sent()]

    def hear(self, kind: Kind, seq: int = 0, ack: int = 0, body: bytes = b"", session: bytes = SESSION) -> list[Event]:
        if kind is Kind.DATA and seq == 0:
            seq = 1
        frame = Frame(kind=kind, session=session, seq=seq, ack=ack, body=body or BODIES.get(kind, b""))
        return self.hear_as_the_link_does(frame.encode())

    def hear_as_the_link_does(self, data: bytes) -> list[Event]:
        """By the short way if there is one, which leads to where the long one does, or else changes nothing."""
        twin = copy.deepcopy(self.machine)
        body = self.machine.take_next(data, self.now_s)
        if body is None:
            assert state_of(self.machine) == state_of(twin)
            return self.machine.receive(data, self.now_s)
        events = twin.receive(data, self.now_s)
        assert events == [Delivered(body)]
        assert state_of(self.machine) == state_of(twin)
        return events

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass as the link does, which calls tick() whenever it is due."""
        until_s = self.now_s + seconds
        while True:
            self.now_s = min(until_s, self.machine.next_deadline_s())
            events = self.machine.tick(self.now_s)
            if events or self.now_s == until_s:
                return events


def state_of(machine: ClientSession) -> dict[str, object]:
    return vars(machine) | {"_stream": vars(machine._stream)}


def opened() -> Wire:
    wired = Wire()
    wired.hear(Kind.WELCOME)
    wired.hear(Kind.BEAT)
    wired.hear(Kind.BEAT)
    wired.hear(Kind.BEAT)  # the round trip is known now, so that no more beats follow each other
    wired.sent()
    return wired


def in_state(state: State) -> Wire:
    if state is State.GREETING:
        wired = Wire()
    else:
        wired = opened()
    if state is State.RESUMING:
        wired.machine.connection_lost()
        wired.machine.connection_made()
    if state is State.ENDING:
        wired.machine.end()
    if state is State.OVER:
        wired.hear(Kind.ENDED)
    assert wired.machine.state is state
    wired.sent()
    return wired


# -- the way through a session -------------------------------------------------------------------


def test_a_session_begins_with_hello_and_opens_with_welcome() -> None:
    wired = Wire()
    (greeting,) = wired.sent()
    assert greeting.kind is Kind.HELLO
    assert wire.decode_one(greeting.body, messages.Hello) == hello()
    assert wired.hear(Kind.WELCOME) == [Opened(welcome())]
    assert wired.machine.state is State.OPEN


def test_nothing_is_executed_before_the_server_has_said_welcome() -> None:
    wired = Wire()
    wired.machine.send(b"call")
    assert wired.kinds() == [Kind.HELLO]
    wired.hear(Kind.WELCOME)
    assert (Kind.DATA, 1, b"call") in [(frame.kind, frame.seq, bytes(frame.body)) for frame in wired.sent()]


def test_bodies_travel_under_growing_numbers_and_confirm_what_has_come() -> None:
    wired = opened()
    wired.hear(Kind.DATA, seq=1)
    wired.machine.send(b"a")
    wired.machine.send(b"b")
    assert [(frame.seq, frame.ack) for frame in wired.sent()] == [(1, 1), (2, 1)]


def test_a_body_is_delivered_once() -> None:
    wired = opened()
    assert wired.hear(Kind.DATA, seq=1, body=b"result") == [Delivered(b"result")]
    assert wired.hear(Kind.DATA, seq=1, body=b"result") == []


def test_bye_comes_behind_everything_that_was_sent_before() -> None:
    wired = opened()
    for _ in range(WINDOW_FRAMES + 1):
        wired.machine.send(b"x")
    wired.machine.end()
    assert Kind.BYE not in wired.kinds()
    wired.hear(Kind.BEAT, ack=1)
    assert wired.kinds()[-2:] == [Kind.DATA, Kind.BYE]
    assert wired.machine.state is State.ENDING


def test_a_worker_that_is_shutting_down_still_gets_its_answers() -> None:
    wired = in_state(State.ENDING)
    assert wired.hear(Kind.DATA, seq=1, body=b"ask") == [Delivered(b"ask")]
    wired.machine.send(b"answer")
    assert wired.kinds() == [Kind.DATA]


def test_end_before_welcome_says_bye_after_it() -> None:
    wired = Wire()
    wired.machine.send(b"call")
    wired.machine.end()
    assert wired.kinds() == [Kind.HELLO]
    wired.hear(Kind.WELCOME)
    assert [kind for kind in wired.kinds() if kind is not Kind.BEAT] == [Kind.DATA, Kind.BYE]


def test_end_twice_says_bye_once() -> None:
    wired = opened()
    wired.machine.end()
    wired.machine.end()
    assert wired.kinds() == [Kind.BYE]


@pytest.mark.parametrize("state", LIVING)
@pytest.mark.parametrize(("kind", "reason"), [(Kind.REFUSED, "limit"), (Kind.ENDED, "stopped")])
def test_a_server_may_refuse_or_end_at_any_time(state: State, kind: Kind, reason: str) -> None:
    wired = in_state(state)
    (over,) = wired.hear(kind)
    assert isinstance(over, Over)
    assert over.reason == reason
    assert wired.machine.state is State.OVER


def test_what_is_over_says_nothing_and_hears_nothing_more() -> None:
    wired = in_state(State.OVER)
    wired.machine.send(b"x")
    wired.machine.end()
    wired.machine.connection_lost()
    wired.machine.connection_made()
    assert wired.hear(Kind.DATA, seq=1) == []
    assert wired.machine.tick(wired.now_s + 100) == []
    assert wired.sent() == []
    assert wired.machine.state is State.OVER


# -- what does not belong ------------------------------------------------------------------------


@pytest.mark.parametrize("state", LIVING)
@pytest.mark.parametrize("kind", Kind)
def test_every_frame_in_every_state_does_what_the_table_says(state: State, kind: Kind) -> None:
    wired = in_state(state)
    events = wired.hear(kind)
    if state in RULES.get(kind, {}):
        assert [event.reason for event in events if isinstance(event, Over)] in ([], ["limit"], ["stopped"])
    else:
        (over,) = events
        assert isinstance(over, Over)
        assert over.reason == "protocol"
        assert f"{kind.name} to a client that is {state.value}" in over.text


@pytest.mark.parametrize("kind", FROM_SERVER)
def test_a_frame_of_another_session_ends_this_one(kind: Kind) -> None:
    (over,) = opened().hear(kind, session=b"somebody else's.")
    assert isinstance(over, Over)
    assert (over.reason, "another session" in over.text) == ("protocol", True)


def test_a_refusal_that_names_no_session_is_heard() -> None:
    (over,) = Wire().hear(Kind.REFUSED, session=NO_SESSION)
    assert over == Over("limit", "Full.")


def test_a_server_of_another_version_can_say_so() -> None:
    refused = wire.encode(messages.Refused(code="version", text="Version 9 is spoken here."))
    data = bytearray(Frame(kind=Kind.REFUSED, session=SESSION, body=refused).encode())
    data[2] = PROTOCOL_VERSION + 7
    assert Wire().machine.receive(bytes(data), 1000.0) == [Over("version", "Version 9 is spoken here.")]


@pytest.mark.parametrize("ours", [{}, {"messages": "0123456789abcdef"}])
def test_a_server_with_other_messages_is_sent_a_good_bye_and_nothing_else(ours: dict[str, str]) -> None:
    machine = ClientSession(SESSION, replace(hello(), versions=ours), LOST_AFTER_S)
    machine.start(0.0)
    machine.send(b"a call")
    machine.outgoing.clear()
    body = wire.encode(replace(welcome(), versions={"messages": "fedcba9876543210"}))
    (over,) = machine.receive(Frame(Kind.WELCOME, SESSION, body=body).encode(), 0.1)
    assert isinstance(over, Over) and over.reason == "version"
    assert "messages" in over.text
    assert [decode_frame(data).kind for data in machine.outgoing] == [Kind.BYE]
    assert machine.state is State.OVER


@pytest.mark.parametrize("ack", [1, 2**64 - 1])
def test_a_server_that_confirms_what_was_never_sent_is_not_believed(ack: int) -> None:
    (over,) = opened().hear(Kind.BEAT, ack=ack)
    assert isinstance(over, Over)
    assert over.reason == "protocol"


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("body", [b"\xc1", b"\x90", wire.encode(messages.Log(level="info", text=""))])
def test_a_body_that_does_not_belong_to_its_frame_ends_the_session(kind: Kind, body: bytes) -> None:
    (over,) = Wire().hear(kind, body=body)
    assert isinstance(over, Over)
    assert over.reason == "protocol"


def test_any_garbage_ends_the_session_and_raises_nothing() -> None:
    whole = Frame(kind=Kind.DATA, session=SESSION, seq=1, body=b"x").encode()
    for length in range(36):
        (over,) = opened().machine.receive(whole[:length], 1000.0)
        assert isinstance(over, Over)
        assert over.reason == "protocol"


def test_a_body_larger_than_a_server_accepts_is_not_sent() -> None:
    wired = opened()
    with pytest.raises(ValueError, match="more than the"):
        wired.machine.send(bytes(BODY_LIMIT_BYTES + 1))
    wired.machine.send(b"next")
    assert [frame.seq for frame in wired.sent()] == [1]


@pytest.mark.parametrize("session", [b"", b"short", bytes(16), bytes(17)])
def test_a_session_needs_a_name_of_16_bytes_that_is_not_zero(session: bytes) -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        ClientSession(session, hello(), 5.0)


# -- connections come and go ---------------------------------------------------------------------


def test_a_new_connection_asks_to_resume_and_goes_on_where_both_stopped() -> None:
    wired = opened()
    for body in (b"a", b"b", b"c"):
        wired.machine.send(body)
    wired.hear(Kind.DATA, seq=1, ack=1)
    wired.machine.connection_lost()
    wired.machine.send(b"d")
    assert wired.sent() == []
    wired.machine.connection_made()
    assert [(frame.kind, frame.ack) for frame in wired.sent()] == [(Kind.RESUME, 1)]
    wired.hear(Kind.RESUMED, ack=2)
    assert [(frame.seq, bytes(frame.body)) for frame in wired.sent()] == [(3, b"c"), (4, b"d")]


def test_what_a_broken_connection_left_behind_is_not_sent_on_the_next_one() -> None:
    wired = opened()
    wired.machine.send(b"x")
    wired.machine.connection_lost()
    assert wired.sent() == []


@pytest.mark.parametrize("kind", [Kind.RESUMED, Kind.WELCOME, Kind.BEAT, Kind.DATA])
def test_what_is_read_late_from_a_broken_connection_opens_nothing(kind: Kind) -> None:
    for state in (State.GREETING, State.OPEN):
        wired = in_state(state)
        wired.machine.connection_lost()
        before = wired.machine.state
        if kind in RULES and before in RULES[kind]:
            assert wired.hear(kind) == []
            assert wired.machine.state is before


def test_the_end_is_heard_even_late_from_a_broken_connection() -> None:
    wired = opened()
    wired.machine.connection_lost()
    assert wired.hear(Kind.ENDED) == [Over("stopped", "Stopping.", is_home=True)]


def test_a_client_that_heard_no_welcome_says_hello_again_on_a_new_connection() -> None:
    wired = Wire()
    wired.machine.connection_lost()
    wired.machine.connection_made()
    assert wired.kinds() == [Kind.HELLO]


def test_hello_is_not_repeated_on_one_connection() -> None:
    wired = Wire()
    wired.sent()
    wired.wait(LOST_AFTER_S - 0.1)
    assert wired.sent() == []


def test_a_connection_that_was_never_lost_need_not_be_resumed() -> None:
    wired = opened()
    wired.machine.connection_made()
    assert wired.sent() == []


@pytest.mark.parametrize(("kind", "seq"), [(Kind.DATA, 3), (Kind.DATA, 2**64 - 1), (Kind.BEAT, 2)])
def test_a_gap_is_asked_for_at_once_and_only_once(kind: Kind, seq: int) -> None:
    wired = opened()
    wired.hear(Kind.DATA, seq=1)
    assert wired.hear(kind, seq=seq) == []
    assert wired.hear(Kind.DATA, seq=4) == []
    assert [(frame.kind, frame.ack) for frame in wired.sent()] == [(Kind.RESUME, 1)]
    wired.hear(Kind.RESUMED)
    assert wired.hear(Kind.DATA, seq=2, body=b"second") == [Delivered(b"second")]


def test_a_question_for_what_is_missing_is_repeated_until_it_is_answered() -> None:
    wired = opened()
    wired.hear(Kind.DATA, seq=2)
    wired.wait(2 * BEAT_INTERVAL_S)
    assert wired.kinds() == [Kind.RESUME] * 3


def test_an_end_that_was_wanted_while_the_connection_was_down_is_said_on_the_next_one() -> None:
    wired = opened()
    wired.machine.connection_lost()
    wired.machine.send(b"last")
    wired.machine.end()
    wired.machine.connection_made()
    wired.sent()
    wired.hear(Kind.RESUMED)
    assert wired.kinds() == [Kind.DATA, Kind.BYE]


def test_bye_is_said_again_after_a_broken_connection() -> None:
    wired = in_state(State.ENDING)
    wired.machine.connection_lost()
    wired.machine.connection_made()
    wired.hear(Kind.RESUMED)
    assert wired.kinds() == [Kind.RESUME, Kind.BYE]


# -- time ----------------------------------------------------------------------------------------


def test_a_beat_goes_out_every_interval_however_much_else_is_said() -> None:
    wired = opened()
    beats = 0
    for number in range(1, 21):
        wired.machine.send(b"x")
        wired.wait(BEAT_INTERVAL_S / 4)
        wired.hear(Kind.BEAT, ack=number)
        beats += wired.kinds().count(Kind.BEAT)
    assert beats == 5


def test_a_beat_tells_what_was_sent_and_received() -> None:
    wired = opened()
    wired.machine.send(b"x")
    wired.hear(Kind.DATA, seq=1)
    wired.sent()
    wired.wait(BEAT_INTERVAL_S)
    assert [(frame.kind, frame.seq, frame.ack) for frame in wired.sent()] == [(Kind.BEAT, 1, 1)]


def test_a_talkative_server_is_confirmed_before_its_window_is_full() -> None:
    wired = opened()
    for seq in range(1, CONFIRM_AFTER_FRAMES + 1):
        wired.hear(Kind.DATA, seq=seq)
    assert [(frame.kind, frame.ack) for frame in wired.sent()] == [(Kind.BEAT, CONFIRM_AFTER_FRAMES)]


@pytest.mark.parametrize("state", LIVING)
def test_a_server_is_lost_exactly_when_it_has_been_silent_for_the_limit(state: State) -> None:
    wired = in_state(state)
    assert wired.wait(LOST_AFTER_S - 0.001) == []
    (over,) = wired.wait(0.001)
    assert isinstance(over, Over)
    assert (over.reason, over.silent_s) == ("lost", pytest.approx(LOST_AFTER_S))


@pytest.mark.parametrize("kind", [Kind.BEAT, Kind.DATA, Kind.WELCOME])
def test_whatever_comes_breaks_the_silence(kind: Kind) -> None:
    wired = opened()
    wired.wait(LOST_AFTER_S - 0.1)
    wired.hear(kind)
    assert wired.wait(LOST_AFTER_S - 0.001) == []
    assert wired.wait(0.001) != []


def test_what_is_no_frame_of_this_session_does_not_count_as_life() -> None:
    wired = opened()
    wired.wait(LOST_AFTER_S - 0.1)
    (over,) = wired.machine.receive(b"noise", wired.now_s)
    assert isinstance(over, Over)


def test_a_connection_that_stays_away_is_a_lost_server() -> None:
    wired = opened()
    wired.machine.connection_lost()
    assert wired.wait(LOST_AFTER_S - 0.001) == []
    assert wired.wait(0.001) != []
    assert wired.sent() == []


def test_a_client_without_a_connection_does_not_spin() -> None:
    wired = opened()
    wired.machine.connection_lost()
    for _ in range(3):
        wired.now_s = wired.machine.next_deadline_s()
        wired.machine.tick(wired.now_s)
        assert wired.machine.next_deadline_s() > wired.now_s


def test_a_client_that_was_stopped_itself_does_not_blame_the_server() -> None:
    wired = opened()
    wired.now_s += 60.0
    assert wired.machine.tick(wired.now_s) == []
    assert wired.kinds() == [Kind.BEAT]
    (over,) = wired.wait(LOST_AFTER_S)
    assert isinstance(over, Over)
    assert over.reason == "lost"


@pytest.mark.parametrize("lost_after_s", [0.5, 1.0, 5.0, 60.0])
def test_a_server_is_asked_several_times_before_it_counts_as_lost(lost_after_s: float) -> None:
    wired = Wire(lost_after_s)
    wired.hear(Kind.WELCOME)
    wired.sent()
    wired.wait(lost_after_s * 0.999)
    assert wired.kinds().count(Kind.BEAT) >= BEATS_PER_SILENCE - 1


@pytest.mark.parametrize("state", LIVING)
def test_news_of_the_servers_key_is_handed_on_in_every_state_and_changes_none(state: State) -> None:
    wired = in_state(state)
    assert wired.hear(Kind.NOTICE) == [Noticed(messages.NextKey(key="k", from_utc_s=1.0))]
    assert wired.machine.state is state
    assert wired.hear(Kind.NOTICE, body=wire.encode(messages.Notice(next_key=None))) == [Noticed(None)]


def test_news_read_late_from_a_connection_that_broke_are_not_handed_on() -> None:
    wired = opened()
    wired.machine.connection_lost()
    assert wired.hear(Kind.NOTICE) == []


def test_what_a_worker_says_is_never_news_of_the_servers_key() -> None:
    """A body in DATA is delivered as it is; the one message that counts comes in a frame that workers cannot send."""
    wired = opened()
    assert wired.hear(Kind.DATA, body=BODIES[Kind.NOTICE]) == [Delivered(BODIES[Kind.NOTICE])]
    with pytest.raises(wire.WireError):
        wire.decode(BODIES[Kind.NOTICE], wire.FROM_WORKER)
