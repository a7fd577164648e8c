# SPDX-License-Identifier: Apache-2.0
"""Stands in for the engine's own helper module test/common.py, which its source archive lacks."""

from __future__ import annotations

from scenario_execution.utils.logging import BaseLogger


class DebugLogger(BaseLogger):
    """Keeps every record: per level in ``logs_LEVEL``, and all of them in order in ``logs``."""

    def __init__(self, name: str) -> None:
        super().__init__(name, True)
        self.reset()

    def reset(self) -> None:
        """Forget all records."""
        self.logs: list[str] = []
        self.logs_debug: list[str] = []
        self.logs_info: list[str] = []
        self.logs_warning: list[str] = []
        self.logs_error: list[str] = []

    def debug(self, msg: str) -> None:
        self.logs.append(msg)
        self.logs_debug.append(msg)

    def info(self, msg: str) -> None:
        self.logs.append(msg)
        self.logs_info.append(msg)

    def warning(self, msg: str) -> None:
        self.logs.append(msg)
        self.logs_warning.append(msg)

    def error(self, msg: str) -> None:
        self.logs.append(msg)
        self.logs_error.append(msg)
