# SPDX-License-Identifier: Apache-2.0
"""Whether an action that comes right behind another one in a sequence may be begun without the tree. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from py_trees.common import Status

from scenario_execution_remote.protocol import messages

# What must not wait for a whole row: it was said by a tree that is past the row's beginning.
_URGENT = frozenset((messages.Stop, messages.Shutdown, messages.EndScenario, messages.EndSession))
AT_MOST_S = 1.0  # for the beginning of the last of a row: the tree has gone on meanwhile, and what else it asks waits


class Row:
    """The actions that were begun one behind the other.

    Args:
        waiting: Tells which calls of some types have come by now and wait.

    Attributes:
        is_end_known: Whether the client sees by the answer to the last one that none behind it is begun.
    """

    def __init__(self, waiting: Callable[[frozenset[type]], Iterable[Any]]) -> None:
        self.is_end_known = False
        self._waiting = waiting
        self._succeeded: int | None = None  # the last tick of one action, if it has ended with SUCCESS
        self._began_s = 0.0

    def may_begin(self, call: messages.Tick, now_s: float) -> bool:
        """Whether *call* is to be carried out."""
        if call.after is None:
            self._began_s = now_s
            return True
        if call.after != self._succeeded:
            return False
        if now_s - self._began_s > AT_MOST_S or any(self._waiting(_URGENT)):
            self._succeeded, self.is_end_known = None, False
            return False
        return True

    def ended(self, call: messages.Tick, result: messages.Result, *, is_said: bool) -> None:
        """*call* has been carried out.

        Args:
            call: The tick.
            result: What it has led to.
            is_said: Whether the client is told of that now, and not of the end of a later tick.
        """
        has_succeeded = result.fault is None and result.status == Status.SUCCESS.name
        self._succeeded = call.call if has_succeeded else None
        self.is_end_known = is_said and not has_succeeded

    def goes_on_with(self, call: Any) -> bool:
        """Whether *call*, the next one, is behind an action that has succeeded."""
        return type(call) is messages.Tick and call.after is not None and call.after == self._succeeded
