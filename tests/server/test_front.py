# SPDX-License-Identifier: Apache-2.0
"""The front's loop. What it does for clients is tested with real servers, in ``tests/system``."""

from __future__ import annotations

import logging
import os
import types
from typing import Any

from scenario_execution_server.config import ServerSettings
from scenario_execution_server.front import Front


class Launcher:
    """Has nothing to tell, until it has been asked so often; then the server may stop."""

    def __init__(self, often: int) -> None:
        self.left = often
        self.front: Front | None = None

    def fds(self) -> list[int]:
        return []

    def exits(self) -> list[Any]:
        self.left -= 1
        if self.left == 0 and self.front is not None:
            self.front._hosting.stop()
        return []


def test_the_launcher_is_asked_now_and_then_though_nothing_of_it_is_readable() -> None:
    # it looks after sessions whose shepherd was stopped, of which no descriptor tells
    clients = types.SimpleNamespace(permit=None)
    doors: Any = types.SimpleNamespace(
        listeners=(), next_key=None, clients=clients, check=lambda: None, refresh=lambda: None
    )
    launcher: Any = Launcher(often=3)
    reading, writing = os.pipe()
    try:
        launcher.front = Front(ServerSettings(), doors, launcher, reading, logging.getLogger("tests.front"))
        assert launcher.front.run() == 0
    finally:
        os.close(reading)
        os.close(writing)
    assert launcher.left == 0
