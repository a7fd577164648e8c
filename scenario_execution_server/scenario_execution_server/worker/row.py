# SPDX-License-Identifier: Apache-2.0
"""Whether an action that comes right behind another one in a sequence may be begun without the tree. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from py_trees.common import Status

from scenario_execution_remote.protocol import messages

_ENDS = frozenset((messages.Stop, messages.EndScenario, messages.EndSession))


class Row:
    """The actions that were begun one behind the other.

    Args:
        waiting: Tells which calls of some types have come by now and wait.
    """

    def __init__(self, waiting: Callable[[frozenset[type]], Iterable[Any]]) -> None:
        self._waiting = waiting
        self._succeeded: int | None = None  # the last tick of one action, if it has ended with SUCCESS
        self._actions: set[int] = set()

    def may_begin(self, call: messages.Tick) -> bool:
        """Whether *call* is to be carried out.

        A tree that is being stopped must not have another action begun: the one before it may have taken its time.
        """
        if call.after is None:
            self._actions = {call.action}
            return True
        if call.after != self._succeeded or any(map(self._is_end, self._waiting(_ENDS))):
            self._succeeded = None
            return False
        self._actions.add(call.action)
        return True

    def ended(self, call: messages.Tick, result: messages.Result) -> None:
        """*call* has been carried out."""
        has_succeeded = result.fault is None and result.status == Status.SUCCESS.name
        self._succeeded = call.call if has_succeeded else None

    def goes_on_with(self, call: Any) -> bool:
        """Whether *call*, the next one, begins another action of the row."""
        return type(call) is messages.Tick and call.after is not None and call.after == self._succeeded

    def _is_end(self, call: Any) -> bool:
        return not isinstance(call, messages.Stop) or call.action in self._actions
