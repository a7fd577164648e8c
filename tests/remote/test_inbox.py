# SPDX-License-Identifier: Apache-2.0
"""What a worker says is shown when the tree has come to it, and never kept back from who waits for it."""

from __future__ import annotations

import pytest

from scenario_execution_remote.inbox import Inbox
from scenario_execution_remote.protocol import messages


class Sink:
    """Keeps logs and troubles; the other messages do not occur here."""

    def __init__(self) -> None:
        self.seen: list[str | int] = []
        self.troubles: list[str] = []

    def log(self, record: messages.Log) -> None:
        if record.level == "error":
            raise OSError("the disk is full")
        self.seen.append(record.text)

    def trouble(self, text: str) -> None:
        self.troubles.append(text)


def log(text: str, level: str = "info") -> messages.Log:
    return messages.Log(level=level, text=text)


def result(call: int) -> messages.Result:
    return messages.Result(call=call, status=None, stopped=False, feedback="", fault=None, value=None, nodes=[])


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def inbox(sink: Sink) -> Inbox:
    return Inbox(sink, lambda answer: sink.seen.append(answer.call), lambda _body: None)  # type: ignore[arg-type]


def test_without_steps_everything_is_handed_out_at_once(inbox: Inbox, sink: Sink) -> None:
    inbox.put([log("a"), result(1), log("b")])
    assert sink.seen == ["a", 1, "b"]


def test_nothing_is_shown_before_the_tree_has_come_to_the_first_step(inbox: Inbox, sink: Sink) -> None:
    inbox.pause_behind(1)
    inbox.put([log("a"), result(1)])
    assert sink.seen == []
    inbox.go_on()
    inbox.hand_out()
    assert sink.seen == ["a", 1]


def test_going_on_leads_to_the_next_step_and_no_further(inbox: Inbox, sink: Sink) -> None:
    for step in (1, 2, 3):
        inbox.pause_behind(step)
    inbox.go_on()
    inbox.put([log("a"), result(1), log("b"), result(2), log("c"), result(3), log("d")])
    assert sink.seen == ["a", 1]
    inbox.go_on()
    inbox.hand_out()
    assert sink.seen == ["a", 1, "b", 2]
    inbox.go_on()
    inbox.hand_out()
    assert sink.seen == ["a", 1, "b", 2, "c", 3, "d"]


def test_steps_that_nobody_will_wait_for_do_not_keep_back_what_comes_behind_them(inbox: Inbox, sink: Sink) -> None:
    for step in (1, 2, 3, 4):
        inbox.pause_behind(step)
    inbox.go_on()
    inbox.put([result(1), result(2), result(3)])
    inbox.go_on_to_the_end()
    inbox.put([result(4), result(99)])
    assert sink.seen == [1, 2, 3, 4, 99]


def test_at_the_end_of_the_session_everything_is_handed_out(inbox: Inbox, sink: Sink) -> None:
    inbox.pause_behind(1)
    inbox.put([log("a"), result(1)])
    inbox.hand_out(everything=True)
    assert sink.seen == ["a", 1]


def test_a_logger_that_fails_keeps_back_no_result(inbox: Inbox, sink: Sink) -> None:
    inbox.put([log("a", level="error"), result(1)])
    assert sink.seen == [1]
    assert "the disk is full" in sink.troubles[0]


def test_who_fails_when_it_is_told_a_late_result_keeps_back_no_other(sink: Sink) -> None:
    def finish(answer: messages.Result | messages.Ticked) -> None:
        if answer.call == 1:
            raise OSError("the disk is full")
        sink.seen.append(answer.call)

    inbox = Inbox(sink, finish, lambda _body: None)  # type: ignore[arg-type]
    inbox.put([result(1), result(2)])
    assert sink.seen == [2]
    assert "the disk is full" in sink.troubles[0]
