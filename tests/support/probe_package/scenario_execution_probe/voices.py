# SPDX-License-Identifier: Apache-2.0
"""An action that speaks in every way an action can."""

from __future__ import annotations

import os
import sys
import threading

from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction


class Say(BaseAction):
    """See lib_osc/probe.osc."""

    def execute(self, text: str, late: bool) -> None:
        for level in ("debug", "info", "warning", "error"):
            getattr(self.logger, level)(f"{level}: {text}")
        print(f"stdout: {text}")
        print(f"stderr: {text}", file=sys.stderr)
        os.write(1, f"descriptor: {text}\n".encode())
        self._thread = threading.Thread(target=self.logger.info, args=(f"late: {text}",), daemon=True) if late else None

    def update(self):
        return Status.SUCCESS

    def terminate(self, new_status):
        if self._thread is not None:
            self._thread.start()
            self._thread = None
