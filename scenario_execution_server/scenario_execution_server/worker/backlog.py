# SPDX-License-Identifier: Apache-2.0
"""Calls that wait for files on their way, and which need not: whoever stops something waits for no file. No I/O.

Calls are carried out in the order of the tree. A call that stops a running action overtakes what waits, as an arm that
has to stand still cannot wait for a recording; what was to be done with that action before is not done any more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

from py_trees.common import Status

from scenario_execution_remote.protocol import messages

_OF_ACTIONS = (messages.Tick, messages.TickAll, messages.Execute, messages.Stop, messages.Shutdown)


class Backlog:
    """Calls in the order in which they came.

    Attributes:
        calls: Those that wait.
    """

    def __init__(self) -> None:
        self.calls: deque[Any] = deque()

    def next_call(self) -> Any:
        """The one that has waited longest; there is one."""
        return self.calls.popleft()

    def of(self, kinds: frozenset[type]) -> list[Any]:
        """Those of these types, in order."""
        return [call for call in self.calls if type(call) in kinds]

    def wait(self, call: Any) -> list[messages.Result | messages.Ticked] | None:
        """Have a call wait, or let it pass.

        Returns:
            None if it waits; else the answers to calls that waited, and that it has made pointless.
        """
        if isinstance(call, (messages.Stop, messages.Shutdown)):
            if all(_is_update(one) for one in self.calls if _concerns(one, call.action)):
                return self._forget_updates(call.action)
        elif isinstance(call, messages.EndScenario) and all(isinstance(one, _OF_ACTIONS) for one in self.calls):
            pointless, self.calls = self.calls, deque()
            return [_unchanged(one) for one in pointless]
        self.calls.append(call)
        return None

    def _forget_updates(self, action: int) -> list[messages.Result | messages.Ticked]:
        """A tick of several ends before this one: the client has those behind it ticked anew."""
        answers: list[messages.Result | messages.Ticked] = []
        left: deque[Any] = deque()
        for one in self.calls:
            if not _concerns(one, action):
                left.append(one)
            elif isinstance(one, messages.TickAll):
                left.append(replace(one, actions=one.actions[: one.actions.index(action)]))
            else:
                answers.append(_unchanged(one))
        self.calls = left
        return answers


def _is_update(call: Any) -> bool:
    """Whether it goes on with what runs already, and begins nothing."""
    return isinstance(call, messages.TickAll) or (isinstance(call, messages.Tick) and call.arguments is None)


def _concerns(call: Any, action: int) -> bool:
    return action in call.actions if isinstance(call, messages.TickAll) else getattr(call, "action", None) == action


def _unchanged(call: Any) -> messages.Result | messages.Ticked:
    """The answer to a call that has had no effect."""
    if isinstance(call, messages.TickAll):
        return messages.Ticked(call=call.call, running=0, result=None)
    status = Status.RUNNING.name if isinstance(call, messages.Tick) else None
    return messages.Result(
        call=call.call, status=status, stopped=False, feedback="", fault=None, value=None, nodes=[]
    )
