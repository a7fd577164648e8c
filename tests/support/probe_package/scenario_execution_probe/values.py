# SPDX-License-Identifier: Apache-2.0
"""Actions that write down their arguments exactly as they got them."""

from __future__ import annotations

from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction

from scenario_execution_probe.traced import append


class Values(BaseAction):
    """See lib_osc/probe.osc."""

    def __init__(self, path: str, flag: bool, pose: dict) -> None:
        super().__init__()
        self._path = path
        self._early = {"flag": flag, "pose": pose}

    def execute(self, whole, ratio, text, words, pause, way, mode) -> None:
        late = {"whole": whole, "ratio": ratio, "text": text, "words": words, "pause": pause, "way": way, "mode": mode}
        append(self._path, repr(self._early | late))

    def update(self):
        return Status.SUCCESS


class Drive(BaseAction):
    """See lib_osc/probe.osc."""

    def execute(self, associated_actor: dict, path: str, place: str) -> None:
        append(path, repr(associated_actor))
        self.set_associated_actor_variable("place", place)

    def update(self):
        return Status.SUCCESS
