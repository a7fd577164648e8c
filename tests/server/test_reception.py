# SPDX-License-Identifier: Apache-2.0
"""How the doors share the front's time. What is answered to clients is tested with real servers: ``tests/system``."""

from __future__ import annotations

import itertools
import logging
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq

from scenario_execution_server import reception as reception_module
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.reception import Reception

ENOUGH = 100  # messages, more than a turn may take


@pytest.fixture
def full_door() -> Iterator[zmq.Socket[bytes]]:
    """A door's socket at which so many messages wait."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as door, context.socket(zmq.DEALER) as client:
        door.bind("inproc://door")
        client.connect("inproc://door")
        for _ in range(ENOUGH):
            client.send(b"junk")
        yield door


def behind_doors(admit: Callable[[object, zmq.Frame], None]) -> Reception:
    """A reception that hears nothing but what *admit* does not take."""
    quiet = logging.getLogger("tests.reception")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    doors: Any = types.SimpleNamespace(listeners=(), clients=types.SimpleNamespace(admit=admit), next_key=None)
    nobody: Any = None
    return Reception(ServerSettings(), doors, hosting=nobody, log=quiet, watch=nobody)


@pytest.mark.parametrize(("message_s", "most_count"), [(0.0, 64), (0.015, 2), (0.5, 1)])
def test_a_door_whose_messages_take_long_has_its_turn_no_longer_than_others_can_wait(
    full_door: zmq.Socket[bytes], message_s: float, most_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, taken_count = 100.0, 0

    def admit(_kind: object, _frame: object) -> None:
        nonlocal now_s, taken_count
        now_s += message_s
        taken_count += 1
        raise LookupError("a message like this costs its sender the answer")

    reception = behind_doors(admit)
    monkeypatch.setattr(reception_module.time, "monotonic", lambda: now_s)
    reception._serve_door(types.SimpleNamespace(socket=full_door, kind=None))
    assert taken_count == most_count


def test_a_message_of_very_many_parts_is_read_in_turns_and_what_comes_behind_it_is_understood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.ROUTER) as door, context.socket(zmq.DEALER) as client:
        door.bind("inproc://door")
        client.connect("inproc://door")
        client.send_multipart([b"part"] * 500)
        client.send(b"behind it")
        ticks, counts = itertools.count(100.0, 0.001), []

        def admit(_kind: object, frame: zmq.Frame) -> None:
            counts.append(frame.bytes)
            raise LookupError("a message like this costs its sender the answer")

        reception = behind_doors(admit)
        monkeypatch.setattr(reception_module.time, "monotonic", lambda: next(ticks))
        turns = 0
        while reception._serve_door(types.SimpleNamespace(socket=door, kind=None)) == 64:
            turns += 1
            assert turns < 100
        assert counts == [b"part", b"behind it"]
        assert turns > 500 / 25  # a look at the clock for each part, and twenty milliseconds
