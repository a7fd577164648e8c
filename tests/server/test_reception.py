# SPDX-License-Identifier: Apache-2.0
"""How the doors share the front's time. What is answered to clients is tested with real servers: ``tests/system``."""

from __future__ import annotations

import logging
import types
from typing import Any

import pytest

from scenario_execution_server import reception as reception_module
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.reception import Reception

ENOUGH = 1000  # turns of a socket that never runs dry


class Socket:
    """A door's socket in which there is always another message."""

    def __init__(self) -> None:
        self.taken_count = 0

    def getsockopt(self, _option: int) -> int:
        return int(reception_module.zmq.POLLIN)

    def recv(self, copy: bool = True) -> Any:
        if copy:
            self.taken_count += 1
            assert self.taken_count < ENOUGH
            return b"route"
        return types.SimpleNamespace(buffer=memoryview(b"junk"), more=False)


@pytest.mark.parametrize(("message_s", "most_count"), [(0.0, 64), (0.015, 2), (0.5, 1)])
def test_a_door_whose_messages_take_long_has_its_turn_no_longer_than_others_can_wait(
    message_s: float, most_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0

    def admit(_kind: object, _frame: object) -> None:
        nonlocal now_s
        now_s += message_s
        raise LookupError("a message like this costs its sender the answer")

    quiet = logging.getLogger("tests.reception")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    doors: Any = types.SimpleNamespace(listeners=(), clients=types.SimpleNamespace(admit=admit), next_key=None)
    nobody: Any = None
    reception = Reception(ServerSettings(), doors, hosting=nobody, log=quiet, watch=nobody)
    monkeypatch.setattr(reception_module.time, "monotonic", lambda: now_s)
    socket = Socket()
    reception._serve_door(types.SimpleNamespace(socket=socket, kind=None))
    assert socket.taken_count == most_count
