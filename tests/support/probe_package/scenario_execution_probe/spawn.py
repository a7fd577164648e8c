# SPDX-License-Identifier: Apache-2.0
"""An action that starts a process which does not want to be ended."""

from __future__ import annotations

import subprocess

from py_trees.common import Status

from scenario_execution_probe.traced import Traced, append

STUBBORN = "trap '' HUP INT QUIT TERM; exec sleep 1000"  # what is ignored stays so for the next program
DETACHED = "trap '' HUP INT QUIT TERM; sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!"


class Spawn(Traced):
    """See lib_osc/probe.osc. A ``daemon`` has neither parent nor session leader any more, nor anything of ours open."""

    def __init__(self) -> None:
        super().__init__("", "")

    def execute(self, pids: str, how: str, ticks: int) -> None:
        self.started()
        self._ticks = ticks
        if how == "daemon":
            command = ["sh", "-c", DETACHED]
            pid = subprocess.run(command, start_new_session=True, stdout=subprocess.PIPE, text=True, check=True).stdout
        else:
            pid = str(subprocess.Popen(["sh", "-c", STUBBORN], start_new_session=how == "session").pid)
        append(pids, pid.strip())

    def result(self):
        return Status.SUCCESS if self.tick_count >= self._ticks else Status.RUNNING
