# SPDX-License-Identifier: Apache-2.0
"""How workers share the front's time. What becomes of sessions is tested with real servers, in ``tests/system``."""

from __future__ import annotations

import logging
import types
from collections import deque
from typing import Any

import pytest

from scenario_execution_server import hosting as hosting_module
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.hosting import Hosting


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

    nobody: Any = None
    log = logging.getLogger("tests.hosting")
    hosting = Hosting(ServerSettings(), nobody, nobody, nobody, log, nobody, files=None)
    monkeypatch.setattr(hosting_module.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(hosting, "_deliver", deliver)
    worker = types.SimpleNamespace(channel=Channel(5), fd=7, bodies=deque())
    session: Any = types.SimpleNamespace(worker=worker)
    counts = []
    for _ in turns:
        before = len(delivered)
        hosting.take(session)
        counts.append(len(delivered) - before)
        assert (session in hosting.behind.values()) is bool(worker.bodies)
    assert counts == turns
    assert delivered == [b"body %d" % number for number in range(5)]
