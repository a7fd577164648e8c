# SPDX-License-Identifier: Apache-2.0
"""How the front shares its time. What it does for clients is tested with real servers, in ``tests/system``."""

from __future__ import annotations

import logging
import types
from collections import deque
from typing import Any

import pytest

from scenario_execution_server import front as front_module
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.front import Front

ENOUGH = 1000  # turns of a socket that never runs dry


class Socket:
    """A door's socket in which there is always another message."""

    def __init__(self) -> None:
        self.taken_count = 0

    def getsockopt(self, _option: int) -> int:
        return int(front_module.zmq.POLLIN)

    def recv(self, copy: bool = True) -> Any:
        if copy:
            self.taken_count += 1
            assert self.taken_count < ENOUGH
            return b"route"
        return types.SimpleNamespace(buffer=memoryview(b"junk"), more=False)


class Channel:
    """A worker's channel with so many bodies in it."""

    def __init__(self, count: int) -> None:
        self.bodies = [b"body %d" % number for number in range(count)]

    def on_readable(self) -> list[bytes]:
        found, self.bodies = self.bodies, []
        return found


@pytest.mark.parametrize(("body_s", "turns"), [(0.0, [5, 0]), (0.015, [2, 2, 1, 0]), (0.5, [1, 1, 1, 1, 1, 0])])
def test_a_worker_whose_words_take_long_has_its_turn_no_longer_and_all_of_them_arrive_in_order(
    body_s: float, turns: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    delivered: list[bytes] = []

    def deliver(_session: object, body: bytes) -> None:
        nonlocal now_s
        now_s += body_s
        delivered.append(body)

    front = make_front(types.SimpleNamespace(listeners=(), next_key=None))
    monkeypatch.setattr(front_module.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(front, "_deliver", deliver)
    worker = types.SimpleNamespace(channel=Channel(5), fd=7, bodies=deque())
    session: Any = types.SimpleNamespace(worker=worker)
    counts = []
    for _ in turns:
        before = len(delivered)
        front._take_from_worker(session)
        counts.append(len(delivered) - before)
        assert (session in front._behind.values()) is bool(worker.bodies)
    assert counts == turns
    assert delivered == [b"body %d" % number for number in range(5)]


def make_front(doors: Any) -> Front:
    quiet = logging.getLogger("tests.front")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return Front(ServerSettings(), doors, launcher=None, signals_fd=0, log=quiet)  # type: ignore[arg-type]


@pytest.mark.parametrize(("message_s", "most_count"), [(0.0, 64), (0.015, 2), (0.5, 1)])
def test_a_door_whose_messages_take_long_has_its_turn_no_longer_than_others_can_wait(
    message_s: float, most_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0

    def admit(_listener: object, _frame: object) -> None:
        nonlocal now_s
        now_s += message_s
        raise LookupError("a message like this costs its sender the answer")

    front = make_front(types.SimpleNamespace(listeners=(), admit=admit, next_key=None))
    monkeypatch.setattr(front_module.time, "monotonic", lambda: now_s)
    socket = Socket()
    front._serve_door(types.SimpleNamespace(socket=socket))
    assert socket.taken_count == most_count
