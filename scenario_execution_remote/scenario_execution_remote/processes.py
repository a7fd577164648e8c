# SPDX-License-Identifier: Apache-2.0
"""Processes that remote actions have started, as the engine's registry on this side lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .completeness import Completeness
from .link import Pending
from .protocol import messages

if TYPE_CHECKING:
    from .session import RemoteSession

_OUTPUT, _COMPLETE = messages.Question.PROCESS_OUTPUT.value, messages.Question.PROCESS_COMPLETE.value


class RemoteProcess:
    """A process that a remote action has registered, as ``process_log_check`` wants to see it.

    Attributes:
        session: Where it runs.
        token: Its name there.
    """

    def __init__(self, session: RemoteSession, token: int) -> None:
        self.session = session
        self.token = token
        self._completeness = Completeness()
        self._had_ended = False  # when the output was asked for
        self._last: dict[str, Any] = {}
        self._pending: dict[str, Pending] = {}

    def get_output_snapshot(self) -> list[str]:
        """The lines captured so far; those known before if the worker does not answer within this tick's waiting."""
        if _OUTPUT not in self._pending:
            self._had_ended = self._completeness.has_ended
        if self._ask(_OUTPUT):
            self._completeness.seen(had_ended=self._had_ended)
        lines: list[str] = self._last.get(_OUTPUT, [])
        return lines

    def is_output_complete(self) -> bool:
        """Whether the process has ended and all of its output has been seen here."""
        self._ask(_COMPLETE)
        return self._completeness.told(bool(self._last.get(_COMPLETE, False)))

    def _ask(self, question: str) -> bool:
        """Ask, or wait for the answer to what was asked before; returns whether there is one."""
        link = self.session.link
        pending = self._pending.get(question)
        if pending is None:
            query = messages.Query(call=link.next_number(), token=self.token, question=question)
            pending = self._pending[question] = self.session.call(query)
        if not pending.wait(self.session.patience_s()):
            return False
        self._pending.pop(question, None)  # several threads may have waited for it, one for each server that asks
        if not isinstance(pending.result, messages.Result) or pending.result.fault is not None:
            return False
        self._last[question] = pending.result.value
        return True
