# SPDX-License-Identifier: Apache-2.0
"""An action that does what a script says, so that a generator of tests can make it do anything."""

from __future__ import annotations

from py_trees.common import Status
from scenario_execution.actions.base_action import ActionError

from scenario_execution_probe.traced import Traced
from scenario_execution_probe.trouble import ProbeError

RESULTS = {
    "S": Status.SUCCESS,
    "F": Status.FAILURE,
    "R": Status.RUNNING,
    "I": Status.INVALID,
    "N": None,  # which is no status at all
}
# Where in an activation the deed is done; without one of these it is done in the tick that the letter stands for.
PHASES = {"e": "execute", "t": "terminate", "c": "request_cancel"}
DEEDS = "VPA"


class Scripted(Traced):
    """See lib_osc/probe.osc."""

    def __init__(self, trace: str, tag: str) -> None:
        super().__init__(trace, tag)
        self._activation_count = 0
        self._ticks = "S"
        self._deeds: dict[str, str] = {}

    def execute(self, script: str) -> None:
        activations = script.split("/")
        steps = activations[min(self._activation_count, len(activations) - 1)].split()
        self._deeds = {PHASES[step[0]]: step[1] for step in steps if len(step) == 2}
        self._ticks = "".join(step for step in steps if len(step) == 1) or "S"
        self._activation_count += 1
        self.started()

    def at(self, phase: str) -> None:
        if phase in self._deeds:
            self._do(self._deeds[phase], phase)

    def result(self):
        letter = self._ticks[min(self.tick_count, len(self._ticks)) - 1]
        self.feedback_message = f"{self._tag} {self._activation_count}.{self.tick_count} {letter}"
        if letter in DEEDS:
            self._do(letter, "update")
        return RESULTS[letter]

    def _do(self, deed: str, phase: str) -> None:
        text = f"{self._tag} in {phase}"
        if deed == "V":
            raise ValueError(text)
        if deed == "P":
            raise ProbeError(7, text=text)
        raise ActionError(text, action=self)
