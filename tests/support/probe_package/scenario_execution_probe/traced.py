# SPDX-License-Identifier: Apache-2.0
"""Actions whose every lifecycle call leaves a line in a file: ``TAG CALL(STATUS BEFORE IT)``."""

from __future__ import annotations

import os

from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction

RESULTS = {
    "success": Status.SUCCESS,
    "failure": Status.FAILURE,
    "running": Status.RUNNING,
    "invalid": Status.INVALID,
    "nothing": None,  # which is no status at all
}


def append(path: str, line: str) -> None:
    """Add a line in one piece, whoever else does so at the same time."""
    if path:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)


class Traced(BaseAction):
    """An action that says what happens to it; what it does stands in the hooks."""

    def __init__(self, trace: str, tag: str) -> None:
        super().__init__()
        self._trace, self._tag = trace, tag
        self.tick_count = 0

    def setup(self, **kwargs):
        self.note("setup")
        self.at("setup")

    def started(self) -> None:
        """To be called by ``execute``."""
        self.tick_count = 0
        self.note("execute")
        self.at("execute")

    def update(self):
        self.tick_count += 1
        self.note("update")
        self.at("update")
        return self.result()

    def terminate(self, new_status):
        self.note(f"terminate {new_status.name}")
        self.at("terminate")
        super().terminate(new_status)

    def request_cancel(self):
        self.note("request_cancel")
        self.at("request_cancel")
        return True

    def shutdown(self):
        self.note("shutdown")
        self.at("shutdown")

    def note(self, call: str) -> None:
        append(self._trace, f"{self._tag} {call}({self.status.name})")

    def at(self, phase: str) -> None:
        """What else happens in a phase."""

    def result(self):
        """What this tick ends with."""
        raise NotImplementedError


class Steps(Traced):
    """See lib_osc/probe.osc."""

    def __init__(self, trace: str, tag: str) -> None:
        super().__init__(trace, tag)
        self.activation_count = 0

    def execute(self, ticks: int, result: str) -> None:
        self._ticks = ticks
        self._results = result.split()
        self.activation_count += 1
        self.started()

    def result(self):
        self.feedback_message = f"step {self.tick_count} of {self._ticks}"
        if self.tick_count < self._ticks:
            return Status.RUNNING
        return RESULTS[self._results[min(self.activation_count, len(self._results)) - 1]]


class Hold(Traced):
    """See lib_osc/probe.osc."""

    def __init__(self, trace: str, tag: str) -> None:
        super().__init__(trace, tag)

    def execute(self, gate: str) -> None:
        self._gate = gate
        self.started()

    def result(self):
        self.feedback_message = f"waits for {os.path.basename(self._gate)}"
        return Status.SUCCESS if os.path.exists(self._gate) else Status.RUNNING
