# SPDX-License-Identifier: Apache-2.0
"""Version 1 clients: one map in, one map out, translated into the calls of this version and back. No sockets, no clock.

What such a client speaks is described in docs/reference/protocol.md, section "Version 1".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.messages import Question

Parts = list[bytes]
_STATUS_NAMES = ("SUCCESS", "FAILURE", "RUNNING", "INVALID")
ACTIONS_LIMIT = 1000  # actions of one connection; a client in the field has one
QUEUE_LIMIT = 100  # requests of one connection waiting for their answers; a REQ socket has one
ACTION_ID_CHARACTERS = 200  # an action_id is a UUID, 36 characters; it is kept as long as its action
REQUEST_LIMIT_BYTES = 1024 * 1024  # the front unpacks these itself; real ones are a few kilobytes

# What a worker may unpack here: no variables, records or output, and nothing that a scenario's values consist of.
_UNDERSTOOD = frozenset({messages.Result, messages.Ask})

# This client has no blackboard and no process registry. A variable that nobody can have is a KeyError.
_ANSWERS: dict[str, Any] = {
    Question.BLACKBOARD_EXISTS.value: False,
    Question.BLACKBOARD_KEYS.value: [],
    Question.PROCESS_LIST.value: [],
    Question.PROCESS_OUTPUT.value: [],
    Question.PROCESS_COMPLETE.value: True,
}

PATIENCE_S = 30.0  # how long such a client waits for an answer at most


class _BadRequest(ValueError):
    """The request is refused; the text goes to the client."""


Reply = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that the worker is answering: where the reply goes, and what makes a reply of the result."""

    envelope: Parts
    reply: Callable[[messages.Result], Reply]


@dataclass(slots=True)
class _Action:
    """An action as its client knows it. ``stopped_as``: status with which its last tick has run ``stop()`` already."""

    number: int
    stopped_as: str | None = None


class LegacyDialect:
    """One version 1 connection.

    Args:
        now_s: Seconds of a monotonic clock.
    """

    is_full = False  # a REQ client has one request in flight, so nothing can pile up for it

    def __init__(self, now_s: float) -> None:
        self._last_heard_s = now_s
        self._last_owed_s = now_s
        self._actions: dict[str, _Action] = {}
        self._next_action = itertools.count(1)
        self._next_call = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether nothing has come from the client for *limit_s* seconds, in which it could have spoken.

        A client with a strict REQ socket cannot while it is owed an answer. So this time does not count, up to that
        after which the client gives up.
        """
        if self._waiting and now_s - self._last_heard_s < PATIENCE_S:
            self._last_owed_s = now_s
        return now_s - max(self._last_heard_s, self._last_owed_s) >= limit_s

    def receive(self, envelope: Parts, data: bytes | memoryview, now_s: float) -> tuple[list[bytes], list[Parts]]:
        """Digest one request, whatever its bytes are.

        Args:
            envelope: The parts in front of the request, to be repeated in front of its reply.
            data: The request.
            now_s: Seconds of a monotonic clock.

        Returns:
            Bodies for the worker, and messages to send to the client at once.
        """
        self._last_heard_s = now_s
        try:
            if len(data) > REQUEST_LIMIT_BYTES:
                raise _BadRequest(f"a request of {len(data)} bytes is longer than {REQUEST_LIMIT_BYTES}")
            calls, reply = self._translate(wire.decode_map(data))
            body = wire.encode_all(calls)
        except (wire.WireError, wire.CannotTravelError, _BadRequest) as error:
            return [], [_parts(envelope, {"status": "error", "message": str(error)})]
        if not calls:
            return [], [_parts(envelope, {"status": "ok"})]
        self._waiting[calls[-1].call] = _Waiting(envelope=envelope, reply=reply)
        return [body], []

    def deliver(self, body: bytes | memoryview) -> list[Parts]:
        """Replies for the results in a body from the worker; what such a client cannot express is left out."""
        replies = []
        try:
            for message in _read(body):
                waiting = self._waiting.pop(message.call, None) if isinstance(message, messages.Result) else None
                if waiting is not None:
                    replies.append(_parts(waiting.envelope, waiting.reply(message)))
        except wire.WireError as error:  # an action can write anything to its worker's channel
            return self.farewell("worker-lost", f"The process that runs the action broke the protocol: {error}")
        return replies

    @staticmethod
    def answers(body: bytes | memoryview) -> list[bytes]:
        """What the worker is to get for the questions in its body."""
        try:
            return [wire.encode(_answer(message)) for message in _read(body) if isinstance(message, messages.Ask)]
        except wire.WireError:
            return []

    def note(self, notice: messages.Notice) -> list[Parts]:
        """Nothing: this protocol has no word for it."""
        return []

    def farewell(self, reason: str, text: str, is_home: bool = False) -> list[Parts]:
        """An error for every request that will not be answered any more."""
        waiting, self._waiting = list(self._waiting.values()), {}
        return [_parts(one.envelope, {"status": "error", "message": text}) for one in waiting]

    # -- translation -------------------------------------------------------------------------------

    def _translate(self, request: dict[str, Any]) -> tuple[list[Any], Callable[[messages.Result], Reply]]:
        command, payload = request.get("cmd"), request.get("payload", {})
        if not isinstance(payload, dict):
            raise _BadRequest("payload has to be a map")
        if command == "heartbeat":
            return [], _plain
        if command not in ("init", "setup", "execute", "update", "terminate", "reset"):
            if not isinstance(command, str):
                raise _BadRequest("cmd has to be a text")
            raise _BadRequest(f"unknown command {command[:80]!r}")
        if len(self._waiting) >= QUEUE_LIMIT:
            raise _BadRequest("too many requests are waiting for their answers")
        if command == "reset" and "action_id" not in payload:
            return [self._forget(action_id) for action_id in list(self._actions)], _plain
        action_id = _text(payload, "action_id")
        if command == "init":
            return self._create(action_id, payload)
        action = self._actions.get(action_id)
        if action is None:
            raise _BadRequest(f"there is no action {action_id[:80]!r} on this connection")
        if command == "reset":
            return [self._forget(action_id)], _plain
        if command == "terminate":
            return self._terminate(action, payload)
        if command == "setup":
            return [self._setup(action, payload)], _plain
        call, action.stopped_as = next(self._next_call), None
        if command == "execute":
            return [messages.Execute(call=call, action=action.number, arguments=_map(payload, "exec_args"))], _plain
        tick = messages.Tick(call=call, action=action.number, arguments=None, now_s=None, period_s=None, after=None)
        return [tick], lambda result: _status(result, action)

    def _create(self, action_id: str, payload: dict[str, Any]) -> tuple[list[Any], Callable[[messages.Result], Reply]]:
        if len(action_id) > ACTION_ID_CHARACTERS:
            raise _BadRequest(f"an action_id has at most {ACTION_ID_CHARACTERS} characters")
        if action_id in self._actions:
            raise _BadRequest("this action_id is in use; reset it first")
        if len(self._actions) >= ACTIONS_LIMIT:
            raise _BadRequest(f"one connection can have {ACTIONS_LIMIT} actions")
        action = _Action(number=next(self._next_action))
        key = _text(payload, "plugin_key")
        create = messages.Create(
            call=next(self._next_call), action=action.number, scenario=action.number, plugin=messages.Plugin(key=key),
            init_arguments=_map(payload, "init_args"), name=key, label=None, context=None, actor=None,
            directories=_directories(payload), debug=False,
        )  # fmt: skip
        self._actions[action_id] = action

        def reply(result: messages.Result) -> Reply:
            if result.fault is not None and self._actions.get(action_id) is action:
                del self._actions[action_id]  # there is none, so the client may try again
            return _plain(result)

        return [create], reply

    def _setup(self, action: _Action, payload: dict[str, Any]) -> messages.Setup:
        tick_period = payload.get("tick_period")
        if tick_period is not None and type(tick_period) not in (int, float):
            raise _BadRequest("tick_period has to be a number of seconds or nil")
        directories = _directories(payload)
        return messages.Setup(
            call=next(self._next_call), action=action.number,
            values={
                "input_dir": directories.scenario_file, "output_dir": directories.output, "tick_period": tick_period,
            },
            provided=["logger", "process_registry", "host_clock"], directories=directories, now_s=None,
        )  # fmt: skip

    def _terminate(
        self, action: _Action, payload: dict[str, Any]
    ) -> tuple[list[Any], Callable[[messages.Result], Reply]]:
        status = _text(payload, "new_status")
        if status not in _STATUS_NAMES:
            raise _BadRequest(f"new_status has to be one of {', '.join(_STATUS_NAMES)}")
        stopped_as, action.stopped_as = action.stopped_as, None
        if stopped_as == status:  # this client leaves terminate() to itself; here the tick has done it already
            return [], _plain
        return [messages.Stop(call=next(self._next_call), action=action.number, status=status, if_begun=False)], _plain

    def _forget(self, action_id: str) -> messages.EndScenario:
        return messages.EndScenario(call=next(self._next_call), scenario=self._actions.pop(action_id).number)


def _read(body: bytes | memoryview) -> list[Any]:
    """The messages in a body that matter here; others are not even unpacked, as values in them may be anything."""
    return wire.decode(body, _UNDERSTOOD, plain=True) if wire.kind_of(body) in _UNDERSTOOD else []


def _answer(question: messages.Ask) -> messages.Answer:
    if question.question in _ANSWERS:
        return messages.Answer(ticket=question.ticket, value=_ANSWERS[question.question], error=None, text="")
    return messages.Answer(ticket=question.ticket, value=None, error="KeyError", text=question.key)


def _parts(envelope: Parts, reply: Reply) -> Parts:
    return [*envelope, wire.encode_map(reply)]


def _plain(result: messages.Result) -> Reply:
    if result.fault is not None:
        return {"status": "error", "message": f"{result.fault.type_name}: {result.fault.text}"}
    return {"status": "ok"}


def _status(result: messages.Result, action: _Action) -> Reply:
    if result.fault is not None or result.status is None:
        return _plain(result)
    action.stopped_as = result.status if result.stopped else None
    return {"status": "ok", "action_status": result.status.lower()}


def _text(payload: dict[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not value:
        raise _BadRequest(f"{name} has to be a text")
    return value


def _map(payload: dict[str, Any], name: str) -> dict[str, Any]:
    value = payload.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _BadRequest(f"{name} has to be a map with text keys")
    return value


def _directories(payload: dict[str, Any]) -> messages.Directories:
    found = []
    for name in ("scenario_file_directory", "output_dir"):
        value = payload.get(name) or None
        if value is not None and not isinstance(value, str):
            raise _BadRequest(f"{name} has to be a text")
        found.append(value)
    return messages.Directories(scenario_file=found[0], output=found[1])
