# SPDX-License-Identifier: Apache-2.0
"""What is worth an entry in the audit log among the calls a worker carries out: names and outcomes, never arguments.

The front does not read bodies, so that the worker says it. What an action does to the process it runs in can falsify
that; what a client sends cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from py_trees.common import Status

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.permission import NotPermittedError

_TOLD_OF = frozenset((messages.Create, messages.Setup, messages.Stop, messages.EndScenario))
_NAME_CHARACTERS = 200  # a client may send megabytes


class Deeds:
    """The actions of one session by name."""

    def __init__(self) -> None:
        self._names: dict[int, tuple[str, int]] = {}  # action -> its name, its scenario
        self._faults: dict[int, messages.Fault] = {}  # scenario -> what was told of it already

    def of(self, call: Any, results: Sequence[Any]) -> messages.Deed | None:
        """What to say about a call that was carried out; None for most, at the price of a look at its type."""
        if type(call) not in _TOLD_OF:
            return None
        if isinstance(call, messages.Create):
            self._names[call.action] = (call.plugin.key[:_NAME_CHARACTERS], call.scenario)
            return self._failure(call.action, results)
        if isinstance(call, messages.Setup):
            return self._failure(call.action, results) or self._deed("set-up", call.action, results)
        if isinstance(call, messages.Stop):
            is_cancelled = call.status == Status.INVALID.name and not (call.if_begun and results[0].status is None)
            return self._deed("cancelled", call.action, results) if is_cancelled else None
        self._names = {key: named for key, named in self._names.items() if named[1] != call.scenario}
        self._faults.pop(call.scenario, None)
        return None

    def _deed(self, what: str, action: int, results: Sequence[Any]) -> messages.Deed | None:
        if action not in self._names or _fault_in(results) is not None:
            return None
        return messages.Deed(what=what, action=self._names[action][0])

    def _failure(self, action: int, results: Sequence[Any]) -> messages.Deed | None:
        fault = _fault_in(results)
        if fault is None or action not in self._names:
            return None
        name, scenario = self._names[action]
        if self._faults.get(scenario) is fault:  # the answer to everything behind an action that has failed
            return None
        self._faults[scenario] = fault
        return messages.Deed(what="refused" if fault.type_name == NotPermittedError.__name__ else "failed", action=name)


def _fault_in(results: Sequence[Any]) -> messages.Fault | None:
    return next((result.fault for result in results if isinstance(result, messages.Result)), None)
