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

Parts = list[bytes]
_STATUS_NAMES = ("SUCCESS", "FAILURE", "RUNNING", "INVALID")
ACTIONS_LIMIT = 1000  # actions of one connection; a client in the field has one
QUEUE_LIMIT = 100  # requests of one connection waiting for their answers; a REQ socket has one


class _BadRequest(ValueError):
    """The request is refused; the text goes to the client."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that the worker is answering: where the reply goes, and what makes a reply of the result."""

    envelope: Parts
    reply: Callable[[messages.Result], dict[str, Any]]


class LegacyDialect:
    """One version 1 connection.

    Args:
        now_s: Seconds of a monotonic clock.
    """

    is_full = False  # a REQ client has one request in flight, so nothing can pile up for it

    def __init__(self, now_s: float) -> None:
        self._last_heard_s = now_s
        self._numbers: dict[str, int] = {}  # action_id -> number of the action in the worker
        self._next_action = itertools.count(1)
        self._next_call = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        return now_s - self._last_heard_s >= limit_s

    def receive(self, envelope: Parts, data: bytes | memoryview, now_s: float) -> tuple[list[bytes], list[Parts]]:
        """Digest one request.

        Args:
            envelope: The parts in front of the request, to be repeated in front of its reply.
            data: The request.
            now_s: Seconds of a monotonic clock.

        Returns:
            Bodies for the worker, and messages to send to the client at once.
        """
        self._last_heard_s = now_s
        try:
            request = wire.decode_map(data)
            calls, reply = self._translate(request)
        except (wire.WireError, _BadRequest) as error:
            return [], [self._parts(envelope, {"status": "error", "message": str(error)})]
        if not calls:
            return [], [self._parts(envelope, {"status": "ok"})]
        self._waiting[calls[-1].call] = _Waiting(envelope=envelope, reply=reply)
        return [b"".join(wire.encode(call) for call in calls)], []

    def deliver(self, body: bytes) -> list[Parts]:
        """Replies for the results in a body from the worker; what such a client cannot express is left out."""
        replies = []
        for message in wire.decode(body, wire.FROM_WORKER):
            if isinstance(message, messages.Result):
                waiting = self._waiting.pop(message.call, None)
                if waiting is not None:
                    replies.append(self._parts(waiting.envelope, waiting.reply(message)))
        return replies

    @staticmethod
    def answers(body: bytes) -> list[bytes]:
        """What the worker is to get for the questions in its body: this client has no blackboard to ask."""
        return [
            wire.encode(messages.Answer(ticket=message.ticket, value=None, error="KeyError", text=message.key))
            for message in wire.decode(body, wire.FROM_WORKER)
            if isinstance(message, messages.Ask)
        ]

    def farewell(self, reason: str, text: str) -> list[Parts]:
        """An error for every request that will not be answered any more."""
        waiting, self._waiting = list(self._waiting.values()), {}
        return [self._parts(one.envelope, {"status": "error", "message": text}) for one in waiting]

    # -- translation ----------------------------------------------------------------------------------------------------

    def _translate(self, request: dict[str, Any]) -> tuple[list[Any], Callable[[messages.Result], dict[str, Any]]]:
        command, payload = request.get("cmd"), request.get("payload", {})
        if not isinstance(payload, dict):
            raise _BadRequest("payload has to be a map")
        if len(self._waiting) >= QUEUE_LIMIT:
            raise _BadRequest("too many requests are waiting for their answers")
        if command == "heartbeat":
            return [], _plain
        if command == "reset" and "action_id" not in payload:
            return self._reset(list(self._numbers)), _plain
        action_id = _text(payload, "action_id")
        if command == "init":
            return [self._create(action_id, payload)], _plain
        if command == "reset":
            self._number(action_id)
            return self._reset([action_id]), _plain
        number, call = self._number(action_id), next(self._next_call)
        if command == "setup":
            return [self._setup(number, call, payload)], _plain
        if command == "execute":
            return [messages.Execute(call=call, action=number, arguments=_map(payload, "exec_args"))], _plain
        if command == "update":
            return [messages.Tick(call=call, action=number, arguments=None, now_s=None)], _status
        if command == "terminate":
            status = _text(payload, "new_status")
            if status not in _STATUS_NAMES:
                raise _BadRequest(f"new_status has to be one of {', '.join(_STATUS_NAMES)}")
            return [messages.Stop(call=call, action=number, status=status)], _plain
        raise _BadRequest(f"unknown command {command!r:.80}")

    def _create(self, action_id: str, payload: dict[str, Any]) -> messages.Create:
        if action_id in self._numbers:
            raise _BadRequest("this action_id is in use; reset it first")
        if len(self._numbers) >= ACTIONS_LIMIT:
            raise _BadRequest(f"one connection can have {ACTIONS_LIMIT} actions")
        key, init_args = _text(payload, "plugin_key"), _map(payload, "init_args")
        directories = _directories(payload)
        number = self._numbers[action_id] = next(self._next_action)
        return messages.Create(
            call=next(self._next_call), action=number, scenario=number, plugin=messages.Plugin(key=key),
            init_arguments=init_args, name=key, label=None, context=None, actor=None, directories=directories, debug=False,
        )  # fmt: skip

    @staticmethod
    def _setup(number: int, call: int, payload: dict[str, Any]) -> messages.Setup:
        tick_period = payload.get("tick_period")
        if tick_period is not None and type(tick_period) not in (int, float):
            raise _BadRequest("tick_period has to be a number of seconds or nil")
        directories = _directories(payload)
        return messages.Setup(
            call=call, action=number,
            values={
                "input_dir": directories.scenario_file, "output_dir": directories.output, "tick_period": tick_period,
            },
            provided=["logger", "process_registry", "host_clock"], directories=directories, now_s=None,
        )  # fmt: skip

    def _reset(self, action_ids: list[str]) -> list[Any]:
        numbers = [self._numbers.pop(action_id) for action_id in action_ids]
        return [messages.EndScenario(call=next(self._next_call), scenario=number) for number in numbers]

    def _number(self, action_id: str) -> int:
        number = self._numbers.get(action_id)
        if number is None:
            raise _BadRequest(f"there is no action {action_id!r:.80} on this connection")
        return number

    @staticmethod
    def _parts(envelope: Parts, reply: dict[str, Any]) -> Parts:
        return [*envelope, wire.encode_map(reply)]


def _plain(result: messages.Result) -> dict[str, Any]:
    if result.fault is not None:
        return {"status": "error", "message": f"{result.fault.type_name}: {result.fault.text}"}
    return {"status": "ok"}


def _status(result: messages.Result) -> dict[str, Any]:
    if result.fault is not None or result.status is None:
        return _plain(result)
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
