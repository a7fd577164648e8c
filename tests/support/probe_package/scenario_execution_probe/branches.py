# SPDX-License-Identifier: Apache-2.0
"""Actions that are subtrees, flat and nested."""

from __future__ import annotations

from functools import partial

import py_trees
from scenario_execution.actions.base_action import ActionError
from scenario_execution.actions.base_action_subtree import BaseActionSubtree

from scenario_execution_probe.traced import Steps


class Branch(BaseActionSubtree):
    """See lib_osc/parity.osc."""

    def __init__(
        self, trace: str, tag: str, count: int, ticks: int, results: str, nested: bool, raises: str
    ) -> None:  # fmt: skip
        super().__init__()
        self._trace, self._tag, self._count, self._ticks = trace, tag, count, ticks
        self._results, self._nested, self._raises = results.split(), nested, raises

    def create_subtree(self) -> None:
        parent = self
        if self._nested:
            parent = Inner(self)
            self.add_child(parent)
        for index in range(self._count):
            kind = Raising if self._raises and index == self._count - 1 else Steps
            child = kind(self._trace, f"{self._tag}{index}")
            child.raises = self._raises
            child.name = f"step {index}"
            child.logger = self.logger
            parent.add_child(child)

    def get_execution_args(self, child) -> dict:
        result = self._results[min(child.parent.children.index(child), len(self._results) - 1)]
        return {"ticks": self._ticks, "result": result}


class Raising(Steps):
    """A step that raises in its first update."""

    def at(self, phase: str) -> None:
        if phase == "update":
            raise {"ValueError": ValueError, "ActionError": partial(ActionError, action=self)}[self.raises]("in a step")


class Inner(BaseActionSubtree):
    """One level more."""

    def __init__(self, outer: Branch) -> None:
        super().__init__()
        self.name = "inner"
        self.logger = py_trees.logging.Logger("inner")
        self._outer = outer

    def get_execution_args(self, child) -> dict:
        return self._outer.get_execution_args(child)
