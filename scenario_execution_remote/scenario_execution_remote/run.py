# SPDX-License-Identifier: Apache-2.0
"""The remote sessions of one run: made at the first set-up, shared by all actions on a server, ended with the run."""

from __future__ import annotations

import atexit
import functools
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import py_trees
from scenario_execution.scenario_execution_base import ScenarioExecution

from .budget import TickBudget
from .config import RemoteSettings
from .leaves import Leaves
from .link import Pending
from .protocol import messages
from .session import RemoteSession

_LAST_WORD_S = 5.0  # beyond the server's own time for shutting down: for the report to travel
_STALLED_S = 30.0  # without a sign that files move while the server is alive: its disk or ours has given up
_WATCH_EVERY_S = 0.2  # how often a wait for the end looks whether the user has lost patience


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
        self.leaves: Leaves | None = None  # of the scenario's tree

    def enter_scenario(self, setup_kwargs: dict[str, Any]) -> tuple[int, bool]:
        """The number of the scenario that is being set up, and whether it is a new one; then the last one is over."""
        registry = setup_kwargs.get("process_registry")
        is_new = self._scenario == 0 or registry is not self._registry
        if is_new:
            if self._scenario:
                self._end_scenario()
            self._registry = registry
            self._scenario += 1
            self.budget = TickBudget(setup_kwargs.get("tick_period") or 0.1)
        return self._scenario, is_new

    def count_ticks(self, node: py_trees.behaviour.Behaviour) -> None:
        """Have the budget hear of every tick of the tree that leaf *node* stands in, at its beginning.

        The runner hands its tree to nobody, but each tick of the tree is one of its root. Guessing the beginning from
        the actions' own ticks goes wrong where a local action takes most of a period, or a branch begins late. And
        the root need not be the topmost node: of a model file the engine ticks what is below the modifiers of the
        scenario. So each node above *node* is asked, and the outermost one counts.
        """
        budget, is_ticking = self.budget, False

        def counting(tick: Callable[[], Iterator[py_trees.behaviour.Behaviour]]) -> Any:
            def outermost() -> Iterator[py_trees.behaviour.Behaviour]:
                nonlocal is_ticking
                is_ticking = True
                budget.begin(time.monotonic())
                try:
                    yield from tick()
                finally:
                    is_ticking = False

            # Not itself a generator: each node that is visited would pass through one more for each level above it.
            return lambda: tick() if is_ticking else outermost()

        above = node.parent
        while above is not None:
            above.tick = counting(above.tick)  # type: ignore[method-assign]
            above = above.parent

    def new_action(self) -> int:
        """A number for an action, unique in this process."""
        return next(self._numbers)

    def session_for(self, settings: RemoteSettings, logger: Any, setup_kwargs: dict[str, Any]) -> RemoteSession:
        """The session with the server of *settings*, open or on its way; one per server and run.

        Raises:
            RemoteError: it cannot be opened; named for what went wrong.
            KeysError: the key store cannot be used.
        """
        key = (settings.endpoint, settings.server_key)
        session = self._sessions.get(key)
        if session is None or session.link.is_over:
            if session is not None:
                session.close()
            session = RemoteSession(settings, logger, self.budget)
            session.link.start(settings.setup_timeout_s)
            self._sessions[key] = session
        session.enter(logger, self.budget, self.leaves, setup_kwargs)
        return session

    def end(self) -> None:
        """End all sessions and wait until nothing of them runs any more. Harmless to repeat."""
        sessions, self._sessions = list(self._sessions.values()), {}
        scenario, self._scenario, self._registry = self._scenario, 0, None
        with _Impatience() as impatience:
            self._bring_home([session for session in sessions if session.files.is_copying], scenario, impatience)
            for session in sessions:
                session.link.end()
            for session in sessions:
                self._see_out(session, impatience)
                session.close()

    @staticmethod
    def _bring_home(sessions: list[RemoteSession], scenario: int, impatience: _Impatience) -> None:
        """Have the actions shut down, and wait for the files that they leave, as long as any arrive.

        Before the end of the session is asked for, as that gives a server only so much time.
        """
        pending = _call_all(sessions, scenario)
        for session, ended in pending:
            deadline_s = time.monotonic() + _patience_s(session)
            while not (ended.wait(_WATCH_EVERY_S) or impatience.is_shown or time.monotonic() >= deadline_s):
                pass
            session.is_shut_down = isinstance(ended.result, messages.Result)
        for session in sessions:
            progress: Any = None
            stalls_s = 0.0
            while not (session.files.are_home(_WATCH_EVERY_S) or session.link.is_over or impatience.is_shown):
                now = (session.files.progress, session.link.alive_s)
                if now != progress:
                    progress, stalls_s = now, time.monotonic() + _STALLED_S
                elif time.monotonic() >= stalls_s:
                    break

    @staticmethod
    def _see_out(session: RemoteSession, impatience: _Impatience) -> None:
        deadline_s = time.monotonic() + _patience_s(session)
        while not session.link.wait_until_over(_WATCH_EVERY_S):
            if impatience.is_shown or time.monotonic() >= deadline_s:
                session.logger.debug(f"Not waiting any longer for {session.link.endpoint}; it finishes alone.")
                session.link.abort()
                session.link.wait_until_over(_LAST_WORD_S)
                return

    def _end_scenario(self) -> None:
        for session, pending in _call_all(list(self._sessions.values()), self._scenario):
            if pending.wait(_patience_s(session)):
                session.files.are_home(_patience_s(session))


def _call_all(sessions: list[RemoteSession], scenario: int) -> list[tuple[RemoteSession, Pending]]:
    return [
        (session, session.call(messages.EndScenario(call=session.link.next_number(), scenario=scenario)))
        for session in sessions
        if not session.link.is_over
    ]


def _patience_s(session: RemoteSession) -> float:
    """How long the actions of a session may take to shut down, as seen from here."""
    welcome = session.link.welcome
    return _LAST_WORD_S + (welcome.shutdown_timeout_s if welcome is not None else 0.0)


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

    The plain runner never calls ``shutdown()`` and says nobody when it is done; ``process_results`` is the first
    thing that comes after, and the last moment before post-run commands look at the results.
    """
    original = ScenarioExecution.process_results

    @functools.wraps(original)
    def process_results(self: ScenarioExecution) -> Any:
        RUN.end()
        return original(self)

    ScenarioExecution.process_results = process_results
    atexit.register(RUN.end)


