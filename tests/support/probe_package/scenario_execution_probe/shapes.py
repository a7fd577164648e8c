# SPDX-License-Identifier: Apache-2.0
"""Actions with arguments of every type the language has, written down with their Python types."""

from __future__ import annotations

from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction

from scenario_execution_probe.traced import append


class Shapes(BaseAction):
    """Writes a line per argument, in the order of arrival."""

    path = ""

    def write(self, when: str, arguments: dict) -> None:
        for name, value in arguments.items():
            append(self.path, f"{when} {name} {type(value).__name__} {ascii(value)}")

    def update(self):
        return Status.SUCCESS


class EarlyShapes(Shapes):
    """See lib_osc/parity.osc: all arguments go to the constructor."""

    def __init__(
        self, path: str, text, whole, positive, ratio, flag, mode, pause, way, outline, words, numbers, ratios, flags,
        modes, pauses, outlines,
    ) -> None:  # fmt: skip
        super().__init__()
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "path", "__class__")}
        self.path = path

    def setup(self, **kwargs):
        self.write("early", self._arguments)


class LateShapes(Shapes):
    """See lib_osc/parity.osc: all arguments go to execute, with each activation."""

    def execute(
        self, path: str, text, whole, positive, ratio, flag, mode, pause, way, outline, words, numbers, ratios, flags,
        modes, pauses, outlines,
    ) -> None:  # fmt: skip
        arguments = {name: value for name, value in locals().items() if name not in ("self", "path")}
        self.path = path
        self.write("late", arguments)


class BornShapes(Shapes):
    """See lib_osc/parity.osc: the actor goes to the constructor and to execute."""

    def __init__(self, associated_actor: dict, path: str) -> None:
        super().__init__()
        self.path = path
        self._actor = associated_actor

    def setup(self, **kwargs):
        self.write("early", self._actor)

    def execute(self, associated_actor: dict) -> None:
        self.write("late", associated_actor)
