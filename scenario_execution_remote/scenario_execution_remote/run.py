# SPDX-License-Identifier: Apache-2.0
"""The remote sessions of one scenario run: made at the first set-up, shared by all actions on a server, ended with the run."""

from __future__ import annotations

import atexit
import codecs
import functools
import itertools
import signal
import sys
import threading
import time
from typing import Any

import py_trees
from scenario_execution.model.types import VariableReference
from scenario_execution.scenario_execution_base import ScenarioExecution
from scenario_execution_keys.store import KeyStore

from .budget import TickBudget
from .config import RemoteSettings
from .endpoint import Endpoint
from .link import Link, Pending
from .protocol import messages, wire
from .protocol.values import Reference
from .security import security_for

_LAST_WORD_S = 5.0  # beyond the server's own time for shutting down: for the report to travel
_WATCH_EVERY_S = 0.2  # how often a wait for the end looks whether the user has lost patience


class RemoteSession:
    """One server within a run: the link, and what the worker says by itself put in its place on this side.

    Args:
        settings: Of the ``remote()`` that needs it.
        logger: The run's logger.
    """

    def __init__(self, settings: RemoteSettings, logger: Any) -> None:
        endpoint = Endpoint.parse(settings.endpoint)
        security = security_for(endpoint, settings, KeyStore.open())
        self.logger = logger
        self.link = Link(endpoint, security, settings.heartbeat_failure_timeout_s, self)
        self._feedback: dict[int, Any] = {}
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")(errors="replace") for name in ("stdout", "stderr")
        }
        if security.warning is not None:
            logger.warning(security.warning)

    def register(self, action: int, node: py_trees.behaviour.Behaviour) -> None:
        """Show the feedback of remote action *action* on *node*."""
        self._feedback[action] = node

    def call(self, *calls: Any) -> Pending:
        """See :meth:`Link.call`."""
        return self.link.call(*calls)

    # -- Sink: what the worker says by itself, in the link's thread --------------------------------------------------------

    def log(self, record: messages.Log) -> None:
        """Pass a record on through the run's own logger."""
        levels = {
            "debug": self.logger.debug,
            "info": self.logger.info,
            "warning": self.logger.warning,
            "error": self.logger.error,
        }
        levels.get(record.level, self.logger.info)(record.text)

    def output(self, chunk: messages.Output) -> None:
        """Write what the worker wrote to the same stream here."""
        decoder = self._decoders.get(chunk.stream)
        stream = sys.stderr if chunk.stream == "stderr" else sys.stdout
        if decoder is not None:
            stream.write(decoder.decode(chunk.data))
            stream.flush()

    def feedback(self, change: messages.Feedback) -> None:
        """Show a feedback message that changed between ticks."""
        node = self._feedback.get(change.action)
        if node is not None:
            node.feedback_message = change.text

    def write(self, write: messages.Write) -> None:
        """Apply a blackboard write."""
        storage = py_trees.blackboard.Blackboard.storage
        if write.unset:
            storage.pop(write.key, None)
        else:
            storage[write.key] = write.value

    def answer(self, question: messages.Ask) -> bytes:
        """Answer a worker's question from this side's blackboard."""
        storage = py_trees.blackboard.Blackboard.storage
        value: Any = None
        error, text = None, ""
        try:
            if question.question == messages.Question.BLACKBOARD_GET.value:
                value = storage[question.key]
            elif question.question == messages.Question.BLACKBOARD_EXISTS.value:
                value = question.key in storage
            elif question.question == messages.Question.BLACKBOARD_KEYS.value:
                value = list(storage)
            else:
                error, text = "ValueError", f"unknown question {question.question!r:.80}"
            return wire.encode(messages.Answer(ticket=question.ticket, value=value, error=error, text=text), self.foreign)
        except (KeyError, wire.CannotTravelError) as problem:
            error, text = type(problem).__name__, str(problem)
        return wire.encode(messages.Answer(ticket=question.ticket, value=None, error=error, text=text))

    def trouble(self, text: str) -> None:
        """Something about a message from the server went wrong on this side."""
        print(f"scenario_execution_remote: {text}", file=sys.stderr)

    @staticmethod
    def foreign(value: object) -> object:
        """Variables travel by name."""
        return Reference(value.ref) if isinstance(value, VariableReference) else value


class Run:
    """All remote sessions of this process.

    A scenario is told from the next one by its ``process_registry``, which the engine makes anew for each.
    """

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], RemoteSession] = {}
        self._registry: Any = None
        self._scenario = 0
        self._numbers = itertools.count(1)
        self.budget = TickBudget(tick_period_s=0.1)  # the engine's default, until a set-up says otherwise

    def enter_scenario(self, setup_kwargs: dict[str, Any]) -> int:
        """The number of the scenario that is being set up; the one before it is over."""
        registry = setup_kwargs.get("process_registry")
        if self._scenario == 0 or registry is not self._registry:
            if self._scenario:
                self._end_scenario()
            self._registry = registry
            self._scenario += 1
            self.budget = TickBudget(setup_kwargs.get("tick_period") or 0.1)
        return self._scenario

    def new_action(self) -> int:
        """A number for an action, unique in this process."""
        return next(self._numbers)

    def session_for(self, settings: RemoteSettings, logger: Any, timeout_s: float) -> RemoteSession:
        """The open session with the server of *settings*; one per server and run.

        Raises:
            RemoteError: it cannot be opened; named for what went wrong.
            KeysError: the key store cannot be used.
        """
        key = (settings.endpoint, settings.server_key)
        session = self._sessions.get(key)
        if session is None or session.link.is_over:
            session = RemoteSession(settings, logger)
            session.link.open(timeout_s)
            self._sessions[key] = session
        session.logger = logger
        return session

    def end(self) -> None:
        """End all sessions and wait until nothing of them runs any more. Harmless to repeat."""
        sessions, self._sessions = list(self._sessions.values()), {}
        self._scenario, self._registry = 0, None
        for session in sessions:
            session.link.end()
        with _Impatience() as impatience:
            for session in sessions:
                self._see_out(session, impatience)

    @staticmethod
    def _see_out(session: RemoteSession, impatience: _Impatience) -> None:
        welcome = session.link.welcome
        patience_s = _LAST_WORD_S + (welcome.shutdown_timeout_s if welcome is not None else 0.0)
        deadline_s = time.monotonic() + patience_s
        while not session.link.wait_until_over(_WATCH_EVERY_S):
            if impatience.is_shown or time.monotonic() >= deadline_s:
                session.logger.debug(f"Not waiting any longer for {session.link.endpoint}; it finishes alone.")
                session.link.abort()
                session.link.wait_until_over(_LAST_WORD_S)
                return

    def _end_scenario(self) -> None:
        waiting = []
        for session in self._sessions.values():
            if not session.link.is_over:
                number = session.link.next_number()
                waiting.append((session, session.call(messages.EndScenario(call=number, scenario=self._scenario))))
        for session, pending in waiting:
            welcome = session.link.welcome
            pending.wait(_LAST_WORD_S + (welcome.shutdown_timeout_s if welcome is not None else 0.0))


class _Impatience:
    """While the run waits for its remote actions to shut down, Ctrl-C means: do not wait."""

    is_shown = False

    def __enter__(self) -> _Impatience:
        self._previous: Any = None
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._show)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _show(self, _signum: int, _frame: object) -> None:
        self.is_shown = True


RUN = Run()


@functools.cache  # once per process, at the first set-up of a remote action
def end_with_the_run() -> None:
    """Have the remote sessions ended when the run is: before its results are processed, or at the interpreter's exit.

    The plain runner never calls ``shutdown()`` and says nobody when it is done; ``process_results`` is the first thing that
    comes after, and the last moment before post-run commands look at the results.
    """
    original = ScenarioExecution.process_results

    @functools.wraps(original)
    def process_results(self: ScenarioExecution) -> Any:
        RUN.end()
        return original(self)

    ScenarioExecution.process_results = process_results
    atexit.register(RUN.end)


