# SPDX-License-Identifier: Apache-2.0
"""Actions that never end, end at once, end at a certain time, or hold everything up."""

from __future__ import annotations

import os
import time

from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction


def get_library() -> tuple[str, str]:
    """The osc library, as the engine asks for it."""
    return "se_bench_plugin", "bench.osc"


class Idle(BaseAction):
    """RUNNING for ever."""

    def execute(self) -> None:
        """Nothing to begin."""

    def update(self) -> Status:
        """Still RUNNING."""
        return Status.RUNNING


class Quick(BaseAction):
    """SUCCESS at once."""

    def execute(self) -> None:
        """Nothing to begin."""

    def update(self) -> Status:
        """Done."""
        return Status.SUCCESS


class Timed(BaseAction):
    """SUCCESS after some seconds; its feedback says when that was, on this machine's monotonic clock."""

    def execute(self, duration: float) -> None:
        """Begin."""
        self.ends = time.monotonic() + duration

    def update(self) -> Status:
        """Look at the clock."""
        now = time.monotonic()
        if now < self.ends:
            return Status.RUNNING
        self.feedback_message = repr(now)
        return Status.SUCCESS


class Block(BaseAction):
    """Does not return from update() for half a second, again and again."""

    def execute(self) -> None:
        """Nothing to begin."""

    def update(self) -> Status:
        """Hold everything up that has only this process."""
        time.sleep(0.5)
        return Status.RUNNING


class Write(BaseAction):
    """Writes a file of random bytes, and SUCCESS."""

    def execute(self, path: str, size: int) -> None:
        """Remember what to do."""
        self.path, self.size = path, size

    def update(self) -> Status:
        """Do it."""
        part = os.urandom(1024 * 1024)
        with open(self.path, "wb") as file:
            for begin in range(0, self.size, len(part)):
                file.write(part[: self.size - begin])
        return Status.SUCCESS
