# SPDX-License-Identifier: Apache-2.0
"""The run's logger without the lines that py_trees itself logs in tick() and stop(): the worker's tick logs them."""

from __future__ import annotations

from typing import Any


class QuietLogger:
    """Passes on what is no such line.

    Args:
        logger: The run's logger.
        class_name: As py_trees names the action in those lines.
    """

    def __init__(self, logger: Any, class_name: str) -> None:
        self._logger = logger
        self._not_twice = (f"{class_name}.tick()", f"{class_name}.stop(")

    def debug(self, msg: str) -> None:
        """Log at debug level."""
        if not msg.startswith(self._not_twice):
            self._logger.debug(msg)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)
