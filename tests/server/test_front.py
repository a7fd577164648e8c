# SPDX-License-Identifier: Apache-2.0
"""How the front shares its time. What it does for clients is tested with real servers, in ``tests/system``."""

from __future__ import annotations

import logging
import types
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

    def recv_multipart(self, copy: bool) -> list[Any]:
        self.taken_count += 1
        assert self.taken_count < ENOUGH
        return [types.SimpleNamespace(bytes=b"route"), types.SimpleNamespace(buffer=memoryview(b"junk"))]


@pytest.mark.parametrize(("message_s", "most_count"), [(0.0, 64), (0.015, 2), (0.5, 1)])
def test_a_door_whose_messages_take_long_has_its_turn_no_longer_than_others_can_wait(
    message_s: float, most_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0

    def admit(_listener: object, _frame: object) -> None:
        nonlocal now_s
        now_s += message_s
        raise LookupError("a message like this costs its sender the answer")

    settings = ServerSettings()
    doors: Any = types.SimpleNamespace(listeners=(), admit=admit)
    quiet = logging.getLogger("tests.front")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    front = Front(settings, doors, launcher=None, signals_fd=0, log=quiet)  # type: ignore[arg-type]
    monkeypatch.setattr(front_module.time, "monotonic", lambda: now_s)
    socket = Socket()
    front._serve_door(types.SimpleNamespace(socket=socket))
    assert socket.taken_count == most_count
