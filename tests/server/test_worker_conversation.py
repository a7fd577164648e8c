# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.messages import Question
from scenario_execution_remote.protocol.values import Handle
from scenario_execution_server.worker.channel import ChannelBrokenError
from scenario_execution_server.worker.conversation import Conversation, ConversationOver
from scenario_execution_server.worker.origin import Origin

LIMIT_S = 10.0  # far more than any of this takes; a test that waits so long has failed


class Channel:
    """A channel in memory, with the front played by the test."""

    def __init__(self) -> None:
        self._incoming: queue.Queue[bytes | None] = queue.Queue()
        self._peeked: list[bytes | None] = []
        self._outgoing: queue.Queue[bytes] = queue.Queue()
        self.is_broken = False
        self.readers = 0
        self.looks = 0
        self.is_being_read = threading.Event()

    def send(self, *payload: bytes | memoryview) -> None:
        if self.is_broken:
            raise ChannelBrokenError("gone")
        self._outgoing.put(b"".join(payload))

    def wait(self, timeout_s: float) -> bool:
        self.looks += 1
        if not self._peeked:
            try:
                self._peeked.append(self._incoming.get(timeout=timeout_s or None, block=timeout_s > 0))
            except queue.Empty:
                return False
        return True

    def receive(self) -> bytes | None:
        self.readers += 1
        assert self.readers == 1, "two threads read the channel"
        self.is_being_read.set()
        try:
            return self._peeked.pop() if self._peeked else self._incoming.get(timeout=LIMIT_S)
        finally:
            self.readers -= 1

    # -- for the test ------------------------------------------------------------------------------

    def client_says(self, *several: Any) -> None:
        self._incoming.put(Origin.CLIENT.value + wire.encode_all(several))

    def raw(self, payload: bytes | None) -> None:
        self._incoming.put(payload)

    def said(self) -> Any:
        """The next thing that the worker says."""
        (message,) = wire.decode(self._outgoing.get(timeout=LIMIT_S), wire.FROM_WORKER)
        return message

    def said_at_once(self) -> list[Any]:
        """What the worker says with the next payload."""
        return wire.decode(self._outgoing.get(timeout=LIMIT_S), wire.FROM_WORKER)

    def raw_said(self) -> bytes:
        """The next payload."""
        return self._outgoing.get(timeout=LIMIT_S)

    @property
    def is_silent(self) -> bool:
        """Whether the worker has said nothing that was not looked at."""
        return self._outgoing.empty()

    def answer(self, value: Any = None, error: str | None = None, text: str = "") -> messages.Ask:
        asked: messages.Ask = self.said()
        self.client_says(messages.Answer(ticket=asked.ticket, value=value, error=error, text=text))
        return asked


class Threads:
    """Threads whose results are waited for, and that are all over when the test is."""

    def __init__(self) -> None:
        self.all: list[threading.Thread] = []

    def run(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Start *work*; the returned function waits for what it returns or raises."""
        outcome: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue()

        def whole() -> None:
            try:
                outcome.put((work(), None))
            except Exception as error:  # noqa: BLE001 - it is raised again where it is waited for
                outcome.put((None, error))

        thread = threading.Thread(target=whole, daemon=True)
        self.all.append(thread)
        thread.start()

        def result() -> Any:
            value, error = outcome.get(timeout=LIMIT_S)
            if error is not None:
                raise error
            return value

        return result


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    for thread in threads.all:
        thread.join(LIMIT_S)
    assert [thread for thread in threads.all if thread.is_alive()] == []


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def conversation(channel: Channel) -> Conversation:
    return Conversation(channel)


def tick(call: int) -> messages.Tick:
    return messages.Tick(call=call, action=1, arguments=None, now_s=None, period_s=None, after=None)


def test_calls_come_one_by_one_and_in_order_also_from_one_body(channel: Channel, conversation: Conversation) -> None:
    channel.client_says(tick(1), tick(2))
    channel.client_says(tick(3))
    assert [conversation.next_call().call for _ in range(3)] == [1, 2, 3]


def test_what_is_said_goes_out_in_order(channel: Channel, conversation: Conversation) -> None:
    for text in ("one", "two"):
        conversation.say(messages.Log(level="info", text=text))
    assert [channel.said().text, channel.said().text] == ["one", "two"]


def log(text: str) -> messages.Log:
    return messages.Log(level="info", text=text)


def test_what_is_said_soon_goes_out_with_what_is_said_next_and_before_it(
    channel: Channel, conversation: Conversation
) -> None:
    for text in ("one", "two"):
        conversation.say_soon(log(text))
    assert channel.is_silent
    conversation.say(log("three"))
    assert [message.text for message in channel.said_at_once()] == ["one", "two", "three"]
    assert channel.is_silent


def test_what_is_said_soon_goes_out_before_anything_is_waited_for(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    conversation.say_soon(log("one"))
    taken = threads.run(conversation.next_call)
    assert channel.said().text == "one"
    channel.client_says(tick(1))
    assert taken().call == 1


def test_what_the_front_is_told_begins_a_payload_of_its_own(channel: Channel, conversation: Conversation) -> None:
    deed = messages.Deed(what="cancelled", action="log")
    conversation.say_soon(log("one"))
    conversation.tell_front(deed)
    assert channel.said().text == "one"
    assert channel.raw_said() == wire.encode(deed)


def test_a_look_at_what_has_come_sends_nothing(channel: Channel, conversation: Conversation) -> None:
    conversation.say_soon(log("one"))
    channel.client_says(tick(1), messages.EndScenario(call=2, scenario=1), tick(3))
    found = conversation.waiting(frozenset((messages.EndScenario,)))
    assert [call.call for call in found] == [2]
    assert conversation.peek().call == 1
    assert channel.is_silent


def test_a_look_at_what_has_come_ends_where_nothing_more_has(channel: Channel, conversation: Conversation) -> None:
    for call in range(3):
        channel.client_says(tick(call))
    conversation.waiting(frozenset())
    assert channel.looks == 4
    conversation.waiting(frozenset())
    assert channel.looks == 5


def test_no_more_than_a_little_is_held_back(channel: Channel, conversation: Conversation) -> None:
    conversation.say_soon(log("one"))
    conversation.say_soon(log("x" * 100_000))
    assert [len(message.text) for message in channel.said_at_once()] == [3, 100_000]


def test_what_cannot_travel_goes_out_as_what_stands_for_it(channel: Channel) -> None:
    conversation = Conversation(channel, lambda value: Handle(1, "here", "x"))
    conversation.say(messages.Write(key="/v", value=object(), unset=False))
    assert channel.said().value == Handle(1, "here", "x")


def test_a_question_asked_within_a_call_is_answered(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    result = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "/v"))
    asked = channel.answer(value=("a", 1))
    assert (asked.question, asked.key) == ("blackboard-get", "/v")
    assert result() == ("a", 1)


def test_calls_that_arrive_before_an_answer_wait_for_their_turn(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    result = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "/v"))
    channel.client_says(tick(1))
    channel.answer(value=5)
    assert result() == 5
    assert conversation.next_call().call == 1


@pytest.mark.parametrize(("error", "expected"), [("KeyError", KeyError), ("ValueError", RuntimeError)])
def test_what_the_client_raised_is_raised_here(
    channel: Channel, conversation: Conversation, threads: Threads, error: str, expected: type[Exception]
) -> None:
    result = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "/v"))
    channel.answer(error=error, text="/v")
    with pytest.raises(expected, match="/v"):
        result()


def test_answers_that_come_in_another_order_reach_who_asked(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    results = {key: threads.run(lambda key=key: conversation.ask(Question.BLACKBOARD_GET, key)) for key in "abc"}  # type: ignore[misc]
    asked = sorted((channel.said() for _ in range(3)), key=lambda ask: ask.key, reverse=True)
    for ask in asked:
        channel.client_says(messages.Answer(ticket=ask.ticket, value=ask.key.upper(), error=None, text=""))
    assert {key: result() for key, result in results.items()} == {"a": "A", "b": "B", "c": "C"}


def test_a_thread_is_answered_while_the_main_thread_waits_for_a_call(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    call = threads.run(conversation.next_call)
    assert channel.is_being_read.wait(LIMIT_S)
    result = threads.run(lambda: conversation.ask(Question.BLACKBOARD_EXISTS, "/v"))
    channel.answer(value=True)
    assert result() is True
    channel.client_says(tick(1))
    assert call().call == 1


def test_who_reads_hands_the_reading_on_when_it_has_what_it_wants(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    first = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "first"))
    asked_first = channel.said()
    second = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "second"))
    asked_second = channel.said()
    for asked, result in ((asked_first, first), (asked_second, second)):
        channel.client_says(messages.Answer(ticket=asked.ticket, value=asked.key, error=None, text=""))
        assert result() == asked.key


def test_answers_that_nobody_asked_for_are_not_kept(channel: Channel, conversation: Conversation) -> None:
    for ticket in range(1, 1000):
        channel.client_says(messages.Answer(ticket=ticket, value=bytes(1000), error=None, text=""))
    channel.client_says(tick(1))
    assert conversation.next_call().call == 1
    assert conversation._answers == {}


def test_an_answer_that_comes_twice_is_used_once(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    result = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "/v"))
    asked = channel.answer(value=1)
    channel.client_says(messages.Answer(ticket=asked.ticket, value=2, error=None, text=""), tick(1))
    assert result() == 1
    assert conversation.next_call().call == 1


def test_when_the_front_hangs_up_everybody_who_waits_is_told(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    waiting = [threads.run(conversation.next_call)]
    waiting += [threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "/v")) for _ in range(3)]
    for _ in range(3):
        channel.said()
    channel.raw(None)
    for result in waiting:
        with pytest.raises(ConversationOver):
            result()


def test_what_had_arrived_before_the_front_hung_up_is_still_carried_out(
    channel: Channel, conversation: Conversation
) -> None:
    channel.client_says(tick(1))
    channel.raw(None)
    assert conversation.next_call().call == 1
    for _ in range(2):
        with pytest.raises(ConversationOver):
            conversation.next_call()


def test_a_log_line_that_nobody_can_hear_any_more_does_not_hurt_the_action(
    channel: Channel, conversation: Conversation
) -> None:
    channel.is_broken = True
    conversation.say(messages.Log(level="info", text="x"))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        Origin.CLIENT.value + b"\xc1",
        Origin.CLIENT.value + wire.encode(tick(1))[:-1],
        Origin.CLIENT.value + wire.encode(messages.EndSession(reason="I am the front")),
        Origin.CLIENT.value + wire.encode(messages.Log(level="info", text="I am the worker")),
        Origin.FRONT.value + wire.encode(tick(1)),
    ],
    ids=bytes.hex,
)
def test_what_makes_no_sense_is_reported_and_nothing_of_it_is_carried_out(
    channel: Channel, conversation: Conversation, payload: bytes
) -> None:
    channel.raw(payload)
    channel.client_says(tick(7))
    assert conversation.next_call().call == 7
    complaint = channel.said()
    assert (complaint.level, "does not understand" in complaint.text) == ("error", True)


def test_without_time_to_wait_what_is_there_is_taken_and_nothing_is_waited_for(
    channel: Channel, conversation: Conversation
) -> None:
    assert conversation.next_call(0.0) is None
    channel.client_says(tick(1))
    assert conversation.next_call(0.0).call == 1
    assert conversation.next_call(0.01) is None


def test_without_time_to_wait_nobody_waits_for_another_threads_reading(
    channel: Channel, conversation: Conversation, threads: Threads
) -> None:
    result = threads.run(lambda: conversation.ask(Question.BLACKBOARD_GET, "/v"))
    assert channel.is_being_read.wait(LIMIT_S)
    assert conversation.next_call(0.0) is None
    assert conversation.next_call(0.01) is None
    channel.answer(value=1)
    assert result() == 1


def test_what_the_next_call_is_can_be_seen_before_it_is_taken() -> None:
    channel = Channel()
    conversation = Conversation(channel)
    beginning, end = messages.Chunk(number=1, offset=0, data=b"x"), messages.EndScenario(call=1, scenario=1)
    channel.client_says(beginning, beginning, end)
    kinds = frozenset((messages.Chunk,))
    assert not conversation.has_next(kinds)
    assert conversation.next_call() == beginning and conversation.has_next(kinds)
    assert conversation.next_call() == beginning and not conversation.has_next(kinds)
    assert conversation.next_call() == end and not conversation.has_next(kinds)


def test_what_waits_is_looked_for_in_all_that_has_come_and_stays_in_its_place(
    channel: Channel, conversation: Conversation
) -> None:
    end = messages.EndScenario(call=3, scenario=1)
    assert conversation.waiting(frozenset((messages.EndScenario,))) == []
    for call in (tick(1), tick(2), end):
        channel.client_says(call)
    assert conversation.waiting(frozenset((messages.EndScenario,))) == [end]
    assert [conversation.next_call() for _ in range(3)] == [tick(1), tick(2), end]
