# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server import legacy
from scenario_execution_server.legacy import (
    ACTION_ID_CHARACTERS,
    PATIENCE_S,
    QUEUE_LIMIT,
    REQUEST_LIMIT_BYTES,
    LegacyDialect,
)
from tests.support.examples import thrifty

NOW_S = 1000.0
ENVELOPE = [b"\x00\x01", b""]
DIRECTORIES = {"output_dir": "/out", "scenario_file_directory": ""}
INIT = {"plugin_key": "run_process", "init_args": {"a": 1}, **DIRECTORIES}


class Front:
    """A version 1 connection as the front uses it, with a client and a worker that are played by hand."""

    def __init__(self) -> None:
        self.dialect = LegacyDialect(NOW_S)
        self.calls: list[Any] = []

    def raw(self, data: bytes) -> dict[str, Any] | None:
        """Send a request; the reply, if there is one at once."""
        bodies, replies = self.dialect.receive(ENVELOPE, data, NOW_S)
        for body in bodies:
            self.calls += wire.decode(body, wire.FROM_CLIENT)
        assert len(replies) <= 1
        return reply_in(replies[0]) if replies else None

    def ask(self, command: str, action_id: str | None = "one", **payload: Any) -> dict[str, Any] | None:
        if action_id is not None:
            payload["action_id"] = action_id
        return self.raw(msgpack.packb({"cmd": command, "payload": payload}))

    def answer(self, **result: Any) -> dict[str, Any]:
        """The worker answers the last call; the reply that follows."""
        (reply,) = self.dialect.deliver(wire.encode(result_of(self.calls[-1].call, **result)))
        return reply_in(reply)

    def init(self, action_id: str = "one") -> None:
        assert self.ask("init", action_id, **INIT) is None
        assert self.answer() == {"status": "ok"}


def reply_in(parts: list[bytes]) -> dict[str, Any]:
    assert parts[:-1] == ENVELOPE
    reply: dict[str, Any] = msgpack.unpackb(parts[-1])
    return reply


def result_of(call: int, **changed: Any) -> messages.Result:
    fields: dict[str, Any] = {
        "status": None, "stopped": False, "feedback": "", "fault": None, "value": None, "nodes": [],
    }  # fmt: skip
    return messages.Result(call=call, **(fields | changed))


def fault(text: str = "no such file") -> messages.Fault:
    return messages.Fault(
        phase="setup", type_name="OSError", module="builtins", text=text, message=None, arguments=None, traceback=""
    )


def error_of(reply: dict[str, Any] | None) -> str:
    assert reply is not None
    assert reply["status"] == "error"
    text: str = reply["message"]
    return text


# -- the life of an action -----------------------------------------------------------------------


def test_an_action_lives_through_all_its_calls() -> None:
    front = Front()
    front.init()
    assert front.ask("setup", tick_period=0.1, **DIRECTORIES) is None
    assert front.answer() == {"status": "ok"}
    assert front.ask("execute", exec_args={"command": "true"}) is None
    assert front.answer() == {"status": "ok"}
    assert front.ask("update") is None
    assert front.answer(status="RUNNING") == {"status": "ok", "action_status": "running"}
    assert front.ask("terminate", new_status="INVALID") is None
    assert front.answer() == {"status": "ok"}
    assert front.ask("reset") is None
    assert front.answer() == {"status": "ok"}
    kinds = [messages.Create, messages.Setup, messages.Execute, messages.Tick, messages.Stop, messages.EndScenario]
    assert [type(call) for call in front.calls] == kinds
    assert {call.action for call in front.calls[:-1]} == {front.calls[-1].scenario}


def test_what_the_client_says_reaches_the_calls() -> None:
    front = Front()
    front.init()
    front.ask("setup", tick_period=None, output_dir="/out", scenario_file_directory="/in")
    front.ask("execute", exec_args={"x": [1, {"y": None}]})
    create, setup, execute = front.calls
    assert (create.plugin.key, create.init_arguments, create.directories.output) == ("run_process", {"a": 1}, "/out")
    assert setup.values == {"input_dir": "/in", "output_dir": "/out", "tick_period": None}
    assert execute.arguments == {"x": [1, {"y": None}]}


@pytest.mark.parametrize("status", ["RUNNING", "SUCCESS", "FAILURE", "INVALID"])
def test_the_status_of_an_update_is_told_in_lower_case(status: str) -> None:
    front = Front()
    front.init()
    front.ask("update")
    assert front.answer(status=status) == {"status": "ok", "action_status": status.lower()}


def test_what_an_action_raises_is_an_error_with_its_type_and_text() -> None:
    front = Front()
    front.init()
    front.ask("update")
    assert front.answer(fault=fault("gone \ud800")) == {"status": "error", "message": "OSError: gone \\ud800"}


def test_a_terminate_that_the_tick_has_run_already_is_not_run_again() -> None:
    front = Front()
    front.init()
    front.ask("update")
    front.answer(status="SUCCESS", stopped=True)
    assert front.ask("terminate", new_status="SUCCESS") == {"status": "ok"}
    assert isinstance(front.calls[-1], messages.Tick)
    assert front.ask("terminate", new_status="SUCCESS") is None
    assert isinstance(front.calls[-1], messages.Stop)


@pytest.mark.parametrize("between", ["execute", "update"])
def test_a_terminate_is_run_when_the_action_was_used_since_its_last_tick(between: str) -> None:
    front = Front()
    front.init()
    front.ask("update")
    front.answer(status="FAILURE", stopped=True)
    front.ask(between)
    assert front.ask("terminate", new_status="FAILURE") is None


def test_another_status_than_that_of_the_last_tick_is_told_the_action() -> None:
    front = Front()
    front.init()
    front.ask("update")
    front.answer(status="SUCCESS", stopped=True)
    assert front.ask("terminate", new_status="INVALID") is None


def test_an_action_that_could_not_be_made_can_be_tried_again() -> None:
    front = Front()
    front.ask("init", **INIT)
    assert "no such file" in error_of(front.answer(fault=fault()))
    assert "no action 'one'" in error_of(front.ask("setup"))
    front.init()


def test_a_reset_without_an_action_ends_all_of_this_connection_and_is_answered_once() -> None:
    front = Front()
    for name in ("one", "two", "three"):
        front.init(name)
    assert front.ask("reset", None) is None
    ended = [call for call in front.calls if isinstance(call, messages.EndScenario)]
    assert [call.scenario for call in ended] == [1, 2, 3]
    assert front.dialect.deliver(wire.encode(result_of(ended[0].call))) == []
    assert front.answer() == {"status": "ok"}
    assert "no action" in error_of(front.ask("update", "two"))


def test_a_reset_of_nothing_and_a_heartbeat_are_answered_without_a_worker() -> None:
    front = Front()
    assert front.ask("reset", None) == {"status": "ok"}
    assert front.ask("heartbeat", None) == {"status": "ok"}
    assert front.calls == []


def test_a_heartbeat_is_answered_while_a_call_runs() -> None:
    front = Front()
    front.ask("init", **INIT)
    assert front.ask("heartbeat", None) == {"status": "ok"}


def test_two_connections_do_not_know_each_others_actions() -> None:
    mine, theirs = Front(), Front()
    mine.init()
    assert "no action" in error_of(theirs.ask("update"))
    theirs.ask("reset", None)
    assert mine.ask("update") is None


# -- what the worker says ------------------------------------------------------------------------


def test_a_result_that_nobody_waits_for_and_what_a_client_cannot_express_are_left_out() -> None:
    front = Front()
    front.init()
    said: list[Any] = [
        result_of(999),
        messages.Log(level="info", text="x"),
        messages.Output(stream="stdout", data=b"x"),
        messages.Write(key="/v", value=({1: 2}, {3}), unset=False),
        messages.Feedback(action=1, text="x"),
    ]
    for message in said:
        assert front.dialect.deliver(wire.encode(message)) == []
        assert front.dialect.answers(wire.encode(message)) == []


@pytest.mark.parametrize("question", messages.Question)
def test_every_question_of_a_worker_is_answered_at_once(question: messages.Question) -> None:
    body = wire.encode(messages.Ask(ticket=5, question=question.value, key="/v"))
    (data,) = LegacyDialect.answers(body)
    (answer,) = wire.decode(data, wire.FROM_CLIENT)
    assert answer.ticket == 5
    assert (answer.error == "KeyError") is (question is messages.Question.BLACKBOARD_GET)


HOSTILE = [
    b"",
    b"\xc1",
    b"\x91",
    wire.encode(result_of(1))[:-1],
    wire.encode(result_of(1)) + b"\xc1",
    wire.encode(result_of(1, nodes=[(1, 2)])),
    wire.encode(result_of(1, value={(2**61 - 1) * n: 0 for n in range(2, 100)})),
    wire.encode(messages.Ask(ticket=1, question="x", key="y"))[:-1],
    wire.encode(messages.EndSession(reason="I am the front")),
    bytes([0x97, wire.MESSAGES.index(messages.Result)]) + b"\x91" * 5000,
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: body[:10].hex())
def test_a_worker_gone_mad_costs_its_own_client_an_error_at_most_and_raises_nothing(body: bytes) -> None:
    front = Front()
    front.ask("init", **INIT)
    replies = [reply_in(parts) for parts in front.dialect.deliver(body)]
    assert front.dialect.answers(body) == []
    assert all(reply["status"] == "error" for reply in replies)


def test_who_waits_for_an_answer_when_the_session_ends_gets_an_error() -> None:
    front = Front()
    front.init()
    front.ask("update")
    assert [reply_in(parts) for parts in front.dialect.farewell("stopped", "The server is stopping.")] == [
        {"status": "error", "message": "The server is stopping."}
    ]
    assert front.dialect.farewell("stopped", "again") == []


# -- hostile requests ----------------------------------------------------------------------------


NESTED = msgpack.packb({"cmd": "init", "payload": {"action_id": "x", "plugin_key": "k", "init_args": {"a": 0}}})[:-1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1",
        b"\x80",
        msgpack.packb([]),
        msgpack.packb({"cmd": 7}),
        msgpack.packb({"cmd": None, "payload": {}}),
        msgpack.packb({"cmd": ["init"], "payload": {}}),
        msgpack.packb({"cmd": "make_coffee"}),
        msgpack.packb({"cmd": "update"}),
        msgpack.packb({"cmd": "update", "payload": None}),
        msgpack.packb({"cmd": "update", "payload": []}),
        msgpack.packb({"cmd": "update", "payload": {"action_id": ""}}),
        msgpack.packb({"cmd": "update", "payload": {"action_id": 7}}),
        msgpack.packb({"cmd": "update", "payload": {"action_id": b"one"}}),
        msgpack.packb({"cmd": "update", "payload": {"action_id": "stranger"}}),
        msgpack.packb({"cmd": "init", "payload": {"action_id": "x"}}),
        msgpack.packb({"cmd": "init", "payload": {"action_id": "x", "plugin_key": 5}}),
        msgpack.packb({"cmd": "init", "payload": {"action_id": "x", "plugin_key": "k", "init_args": [1]}}),
        msgpack.packb({"cmd": "init", "payload": {"action_id": "x", "plugin_key": "k", "output_dir": 7}}),
        msgpack.packb({"cmd": "init", "payload": {"action_id": "x" * (ACTION_ID_CHARACTERS + 1), **INIT}}),
        msgpack.packb({"cmd": "init", "payload": {"action_id": "x", "plugin_key": "k", "init_args": {1: 1}}}),
        NESTED + b"\x91" * 100_000,
        NESTED + b"\xd6\xff" + bytes(4),
        NESTED + b"\xc7\x04\xff" + bytes(4),
        NESTED + b"\xc7\x00\x01",
        NESTED + b"\x92\xc7\x00\x01\x01",
        NESTED + b"\xc1",
        NESTED + b"\xa3\xed\xa0\x80",
        NESTED,
        msgpack.packb({"cmd": "heartbeat"}) + b"\x00",
        bytes(REQUEST_LIMIT_BYTES + 1),
    ],
    ids=lambda data: f"{data[:40]!r}",
)  # fmt: skip
def test_a_bad_request_is_answered_with_an_error_and_reaches_no_worker(data: bytes) -> None:
    front = Front()
    front.init()
    calls_before = list(front.calls)
    assert error_of(front.raw(data))
    assert front.calls == calls_before
    assert front.ask("update") is None


@pytest.mark.parametrize("depth", [500, 1000, 1019, 1020, 1021, 1022, 1030])
def test_a_deeply_nested_argument_is_passed_on_or_refused_and_raises_nothing(depth: int) -> None:
    front = Front()
    reply = front.raw(NESTED + b"\x91" * depth + b"\xc0")
    assert (reply is None) is (len(front.calls) == 1)


def test_an_unknown_command_is_named_whatever_else_is_missing() -> None:
    assert "unknown command 'make_coffee'" in error_of(Front().ask("make_coffee", None))


def test_a_command_that_is_no_text_is_not_even_shown() -> None:
    deep = b"\x81\xa3cmd" + b"\x91" * 1020 + b"\xc0"
    assert error_of(Front().raw(deep)) == "cmd has to be a text"


@pytest.mark.parametrize("status", ["success", "", "DONE", None, 1])
def test_a_status_that_py_trees_does_not_know_is_refused(status: Any) -> None:
    front = Front()
    front.init()
    assert "new_status" in error_of(front.ask("terminate", new_status=status))


@pytest.mark.parametrize("tick_period", ["0.1", True, []])
def test_a_tick_period_that_is_no_number_is_refused(tick_period: Any) -> None:
    front = Front()
    front.init()
    assert "tick_period" in error_of(front.ask("setup", tick_period=tick_period))


def test_an_action_id_cannot_be_used_twice_before_it_is_reset() -> None:
    front = Front()
    front.init()
    assert "in use" in error_of(front.ask("init", **INIT))
    front.ask("reset")
    front.init()


def test_a_connection_has_a_limit_of_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy, "ACTIONS_LIMIT", 5)
    front = Front()
    for number in range(5):
        front.init(str(number))
    assert "5 actions" in error_of(front.ask("init", "one more", **INIT))


def test_a_connection_has_a_limit_of_requests_that_wait_but_its_heartbeats_are_answered() -> None:
    front = Front()
    front.init()
    for _ in range(QUEUE_LIMIT):
        assert front.ask("update") is None
    assert "too many" in error_of(front.ask("update"))
    assert front.ask("heartbeat", None) == {"status": "ok"}


def test_flipped_bits_and_truncations_are_answered_and_raise_nothing() -> None:
    request = msgpack.packb({"cmd": "init", "payload": {"action_id": "x", **INIT}})
    for length in range(len(request)):
        assert error_of(Front().raw(request[:length]))
    for bit in range(len(request) * 8):
        flipped = bytearray(request)
        flipped[bit // 8] ^= 1 << bit % 8
        Front().raw(bytes(flipped))


@thrifty
@given(data=st.binary(max_size=100))
def test_any_bytes_are_answered_and_raise_nothing(data: bytes) -> None:
    assert error_of(Front().raw(data))


# -- silence -------------------------------------------------------------------------------------


def test_a_client_is_silent_exactly_when_nothing_came_for_the_limit() -> None:
    dialect = LegacyDialect(NOW_S)
    dialect.receive(ENVELOPE, b"noise", NOW_S + 1)
    assert not dialect.is_silent(NOW_S + 10.999, 10.0)
    assert dialect.is_silent(NOW_S + 11.0, 10.0)


def test_the_time_in_which_a_client_is_owed_an_answer_is_no_silence_up_to_its_patience() -> None:
    front = Front()
    front.ask("init", **INIT)
    waited_s = 0.0
    while waited_s < PATIENCE_S:
        assert not front.dialect.is_silent(NOW_S + waited_s, 10.0)
        waited_s += 1.0
    assert front.dialect.is_silent(NOW_S + PATIENCE_S + 10.0, 10.0)
