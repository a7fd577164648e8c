# SPDX-License-Identifier: Apache-2.0
"""The behaviours that stand in the tree for actions which run on a server. They do no work, and wait only so long."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import py_trees
from py_trees.common import Access, Status
from scenario_execution.actions.base_action import BaseAction

from scenario_execution_keys.errors import KeysError

from .chains import Chain
from .config import RemoteSettings
from .constancy import is_constant
from .creation import create_call, current_directories, setup_call
from .errors import ProtocolError, RemoteError
from .faults import exception_from
from .leaves import Leaves, is_due
from .link import Link, Pending
from .protocol import messages
from .protocol.wire import CannotTravelError
from .quiet_logger import QuietLogger
from .run import RUN, end_with_the_run
from .session import RemoteSession
from .uploads import UploadError, found
from .waves import Tick

_STATUSES: dict[str | None, Status] = {status.name: status for status in Status}


class RemoteNode(py_trees.behaviour.Behaviour):
    """What a remote action is to the tree, whether it is shown as a leaf or as a subtree.

    Args:
        local: The action as the engine built it. It is never set up or ticked; it knows name, arguments and source
            line.
        settings: Of the innermost ``remote()`` above it.
    """

    def _take_place_of(self, local: Any, settings: RemoteSettings) -> None:
        self.logger = QuietLogger(local.logger, type(local).__name__)  # type: ignore[assignment]  # it logs like one
        self.blackboards = local.blackboards
        self.osc_source = getattr(local, "osc_source", None)
        self._local = local
        self._settings = settings
        self._directories = current_directories()  # as the local constructor saw them
        self.number = RUN.new_action()
        self._session: RemoteSession | None = None
        self._scenario: int | None = None  # for which the set-up has begun
        self._setup_pending: Pending | None = None
        self._setup_error: Exception | None = None
        self._arguments: dict[str, Any] | None = None  # for the next tick, if it activates the action
        self._awaited: Tick | None = None  # the tick that has not been answered yet, or whose answer was not looked at
        self._showing = threading.Lock()  # of feedback, by the tree and by who listens
        self._heard_behind = 0  # so many answers a thread of the action has last said something
        self._stopped_as: Status | None = None  # the worker has run stop() with this already
        self.chain: Chain | None = None  # of actions in a row that are on their way together, this one among them
        self._has_constant_arguments = False
        self._is_debugging = False
        self._clock: Any = None
        self._waits_without_limit = False
        self._is_lost = False

    # -- lifecycle, in py_trees' order -------------------------------------------------------------

    def setup(self, **kwargs: Any) -> None:
        """Create the action on the server and set it up there.

        Raises:
            RuntimeError: the server cannot be reached or does not do it in time; says why and what to run next.
            BaseException: whatever the action's own ``__init__`` and ``setup`` raise.
        """
        deadline_s = time.monotonic() + self._settings.setup_timeout_s
        end_with_the_run()
        scenario, is_new = RUN.enter_scenario(kwargs)
        if is_new:
            RUN.count_ticks(self)
            RUN.leaves = Leaves(self._root(), lambda node: isinstance(node, RemoteNode))
            for node in self._all_in_the_tree():
                node.begin_setup(scenario, kwargs)
        elif self._scenario != scenario:  # it was not in the tree when the set-up of the others began
            self.begin_setup(scenario, kwargs)
        try:
            session, pending = self._begun_setup()
            session.link.wait_until_open()
        except (RemoteError, KeysError, UploadError) as error:
            # The sentence says it all; the way that it took through the link is of use only to who mends the protocol.
            cause = error if isinstance(error, ProtocolError) else None
            raise RuntimeError(f"remote({self._settings.endpoint}): {error}") from cause
        session.link.go_on()
        if not self._wait_for_setup(session, pending, deadline_s):
            raise RuntimeError(
                f"remote({self._settings.endpoint}): the set-up of '{self.name}' did not finish within setup_timeout "
                f"({self._settings.setup_timeout_s:g} s); give it more, as in remote(..., setup_timeout: 30s)"
            )
        if not isinstance(pending.result, messages.Result):
            raise RuntimeError(f"remote({self._settings.endpoint}): {pending.error}")
        self._show(pending, pending.result)

    def begin_setup(self, scenario: int, kwargs: dict[str, Any]) -> None:
        """Send this action's set-up, for :meth:`setup` to wait for: those of a whole tree travel at the same time."""
        self._scenario = scenario
        self.chain, self._heard_behind = None, 0  # of a set-up before this one, on another link
        self._clock = kwargs.get("clock")
        self._waits_without_limit = "simulation" in kwargs  # simulated time stands still meanwhile
        run_logger = kwargs.get("logger") or self._local.logger
        self._setup_error = None
        self._has_constant_arguments = is_constant(self._local._model)
        try:
            self._session = session = RUN.session_for(self._settings, run_logger, kwargs)
            session.register(self.number, self)
            base = self._directories.scenario_file or kwargs.get("input_dir") or ""
            session.prepare(self._directories, kwargs, found(self._settings.upload, os.path.abspath(base)))
            self._is_debugging = bool(getattr(run_logger, "log_debug", False))
            link, number = session.link, self.number
            create = create_call(
                self._local, call=link.next_number(), action=number, scenario=scenario, directories=self._directories,
                debug=self._is_debugging,
            )  # fmt: skip
            set_up = setup_call(kwargs, call=link.next_number(), action=number, now_s=self._now_s())
            self._setup_pending = link.call_step(create, set_up)
        except (RemoteError, KeysError, CannotTravelError, UploadError) as error:  # to be raised in this action's turn
            self._setup_error = error

    def _begun_setup(self) -> tuple[RemoteSession, Pending]:
        if self._setup_error is not None or self._session is None or self._setup_pending is None:
            raise self._setup_error or RuntimeError("the set-up has not begun")
        return self._session, self._setup_pending

    def _wait_for_setup(self, session: RemoteSession, pending: Pending, deadline_s: float) -> bool:
        """Wait for the set-up; while files move, which takes as long as it takes, only their standing still counts."""
        while not pending.wait(max(0.0, deadline_s - time.monotonic())):
            moved_s = max(session.inputs.moved_s, session.link.alive_s)
            deadline_s = max(deadline_s, moved_s + self._settings.setup_timeout_s)
            if time.monotonic() >= deadline_s:
                return False
        return True

    def _root(self) -> py_trees.behaviour.Behaviour:
        root: py_trees.behaviour.Behaviour = self
        while root.parent is not None:
            root = root.parent
        return root

    def _all_in_the_tree(self) -> list[RemoteNode]:
        return [node for node in self._root().iterate() if isinstance(node, RemoteNode)]

    def initialise(self) -> None:
        """Resolve the arguments of this activation, here and now, exactly as the engine would."""
        self._abandon_pending()
        if self.chain is not None:
            if self.chain.goes_on_with(self):
                return  # begun already, with arguments that are the same now
            self._forget_row()
        self._arguments = self._resolve()

    def _resolve(self) -> dict[str, Any]:
        captured: dict[str, Any] = {}
        local = self._local
        if getattr(local, "execute_method", None) is not None:
            local.execute = captured.update
            BaseAction.initialise(local)
        return captured

    def update(self) -> Status:
        """One tick of the remote action, if its result comes within this tick's share of waiting; else RUNNING."""
        session = self._session or self._require_session()
        tick = RUN.budget.number
        session.waves.enter(self, tick)
        awaited = self._awaited
        if awaited is not None and awaited.number == tick and awaited.has_left_running(self.number):
            self._awaited = None  # the usual case: ticked along with one that came before it
            return Status.RUNNING
        if awaited is None:
            awaited = self._begin_tick(session, tick)
        elif awaited.has_missed(self.number):
            awaited = self._begin_again(session, tick, awaited)
        elif awaited.number != tick and awaited.has_left_running(self.number):
            self._show_running(awaited.pending)
            awaited = self._begin_tick(session, tick)
        self._awaited = awaited
        # One wait for each call: what has not come within a tick's wait is slow, and must not keep every tick, and what
        # comes behind it in the tree, waiting for as long again.
        may_wait = awaited.number == tick or self._waits_without_limit
        if not awaited.pending.wait(self._patience_s() if may_wait else 0.0):
            return self._still_running(awaited.pending)
        has_stayed = awaited.has_left_running(self.number)
        if not has_stayed and awaited.has_missed(self.number):  # the one before it in its wave has ended meanwhile
            awaited = self._awaited = self._begin_again(session, tick, awaited)
            if not awaited.pending.wait(self._patience_s()):
                return self._still_running(awaited.pending)
            has_stayed = awaited.has_left_running(self.number)
        if has_stayed:
            self._awaited = None
            if self.chain is not None:
                self._forget_row()
            self._show_running(awaited.pending)
            return Status.RUNNING
        if not session.files.are_home(self._patience_s()):
            if not session.link.is_over:
                return self._still_running(awaited.pending)  # it has ended, and what it wrote is on its way
            self._awaited = None
            return self._lost(f"what '{self.name}' wrote did not all come home: {session.link.failure}")
        self._awaited = None
        result = awaited.result_of(self.number)
        if result is None:
            return self._lost(str(awaited.pending.error))
        if result.status != Status.SUCCESS.name:
            self._forget_row()
        self._show(awaited.pending, result)
        status = _STATUSES.get(result.status)
        if status is None:
            return self._lost(f"the server answered a tick with {ascii(result.status)} in place of a status")
        self._stopped_as = status if result.stopped else None
        return status

    def terminate(self, new_status: Status) -> None:
        """Have the remote action stopped, unless its last tick has done so already."""
        stopped_as, self._stopped_as = self._stopped_as, None
        if stopped_as is not None and stopped_as == new_status:
            return
        is_ahead = self._awaited is not None and getattr(self._awaited.pending.call, "after", None) is not None
        self._abandon_pending()
        session = self._session
        if session is None or self._is_lost or session.link.is_over:
            return
        pending = session.rows.stop(self, new_status, if_begun=is_ahead)
        if not pending.wait(self._patience_s()):
            pending.abandon(self.log_late_fault)
        elif isinstance(pending.result, messages.Result):
            self._show(pending, pending.result)

    def shutdown(self) -> None:
        """Have the remote action shut down; the plain runner never asks for it, middleware runners repeatedly."""
        session = self._session
        if session is None or session.link.is_over:
            return
        pending = session.call(messages.Shutdown(call=session.link.next_number(), action=self.number))
        pending.wait(None)  # done, or failed when the link is: liveness is the limit, as shutdown() may take long
        if pending.result is not None:
            self.log_late_fault(pending.result)

    def register_key(self, key: str, access: Access, location: str) -> None:
        """The remote action has registered a blackboard key; displays list it with this node's client.

        Raises:
            AttributeError: another client has it for itself, or has it and this one wants that.
        """
        if hasattr(self._local, "get_blackboard_client"):
            self._local.get_blackboard_client().register_key(key, access, remap_to=location)

    def _show_below(self, nodes: list[Any]) -> None:
        """Take over status and feedback of the nodes below, if there are any."""

    # -- ticks -------------------------------------------------------------------------------------

    def can_follow(self) -> bool:
        """Whether this node may be ticked along with one that comes before it."""
        return (
            self.status is Status.RUNNING
            and self._arguments is None
            and (self._awaited is None or self._awaited.has_left_running(self.number))
        )

    def holds_up(self) -> bool:
        """Whether it gets a tick of its own in this tick of the tree: not while its last one is under way."""
        awaited = self._awaited
        is_under_way = awaited is not None and not (
            awaited.has_left_running(self.number) or awaited.has_missed(self.number)
        )
        return not is_under_way and is_due(self)

    def follow(self, tick: Tick) -> None:
        """*tick* ticks this node as well."""
        self._awaited = tick

    def _begin_tick(self, session: RemoteSession, tick: int) -> Tick:
        if self.chain is not None and self.chain.is_ahead(self):
            pending = self.chain.reach()
            pending.sent_s = time.monotonic()  # it may have waited for its predecessor until now
            return Tick(tick, pending, [self.number])
        period_s = None if self._waits_without_limit else session.standing_period_s(self._settings.tick_wait)
        if self._arguments is None and period_s is None and not self.children:
            return session.waves.begin(self)
        arguments, self._arguments = self._arguments, None
        if arguments is not None:
            session.news.catch_up()  # it begins, and may read what others have written here
        call = messages.Tick(
            call=session.link.next_number(), action=self.number, arguments=arguments, now_s=self._now_s(),
            period_s=period_s, after=None,
        )  # fmt: skip
        # Scenario time that goes on meanwhile would be too old for those behind; simulated time does not go on. And who
        # debugs is to see the tree's own steps in between.
        is_alone = arguments is None or self._is_debugging or not (self._clock is None or self._waits_without_limit)
        return Tick(tick, session.call(call) if is_alone else session.rows.begin(self, call), [self.number])

    def _begin_again(self, session: RemoteSession, tick: int, missed: Tick) -> Tick:
        """Tick this node, as *missed* has not: in its row, or along with one that came before it."""
        call = missed.pending.call
        if isinstance(call, messages.Tick):
            self._forget_row()
            self._arguments = call.arguments
        return self._begin_tick(session, tick)

    def _forget_row(self) -> None:
        """None of those behind this one is begun but by the tree."""
        if self.chain is not None:
            self._require_session().rows.forget(self.chain)

    def arguments_ahead(self, link: Link) -> dict[str, Any] | None:
        """What the next activation will give to this action, if that is certain already and it may be begun on *link*
        without the tree; else None."""
        session = self._session
        if session is None or session.link is not link or self.status is not Status.INVALID or self.chain is not None:
            return None
        try:
            return self._resolve() if self._has_constant_arguments else None
        except Exception:  # noqa: BLE001 - the engine's code; whatever it is, it is said in this action's own turn
            return None

    def _now_s(self) -> float | None:
        return float(self._clock.now()) if self._clock is not None else None

    # -- what comes back ---------------------------------------------------------------------------

    def _patience_s(self) -> float | None:
        if self._waits_without_limit:
            return self._settings.execution_timeout_s or None
        return RUN.budget.left_s(time.monotonic(), self._settings.tick_wait)

    def hear(self, text: str | None, place: int) -> None:
        """Show what a thread of the action has said by itself, behind so many answers; in the thread that listens."""
        with self._showing:
            self._heard_behind = place
            self.feedback_message = text  # type: ignore[assignment]  # None too, as locally

    def _show(self, pending: Pending, result: messages.Result) -> None:
        """Show what the result of a call says, and raise what it raised. The tree may have come to it late: what a
        thread of the action has said since is newer."""
        with self._showing:
            if pending.place > self._heard_behind:
                self.feedback_message = result.feedback  # type: ignore[assignment]
        self._show_below(result.nodes)
        if result.fault is not None:
            raise exception_from(result.fault, self._local)

    def _show_running(self, pending: Pending) -> None:
        """Show what a tick says that has left the action RUNNING; in company, that is nothing."""
        if isinstance(pending.result, messages.Result):
            self._show(pending, pending.result)

    def _still_running(self, pending: Pending) -> Status:
        limit_s = self._settings.execution_timeout_s
        session = self._require_session()
        if limit_s and time.monotonic() - max(pending.sent_s, session.link.alive_s, session.inputs.moved_s) >= limit_s:
            self.terminate(Status.INVALID)  # once that call returns, the action is cancelled
            self._stopped_as = Status.FAILURE
            return self._lost(
                f"the server is alive, but a call of '{self.name}' did not return within execution_timeout "
                f"({limit_s:g} s); give it more, as in remote(..., execution_timeout: 120s)"
            )
        return Status.RUNNING

    def _lost(self, why: str) -> Status:
        text = f"remote({self._settings.endpoint}): {why}"
        if not self._is_lost:
            self._is_lost = self._require_session().link.is_over
            self._local.logger.error(text)
        self.feedback_message = text
        return Status.FAILURE

    def _abandon_pending(self) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            awaited.pending.abandon(lambda _answer: self.log_late_fault(awaited.result_of(self.number)))

    def log_late_fault(self, answer: messages.Result | messages.Ticked | None) -> None:
        """Log what this action has raised in a call that nobody waits for any more."""
        fault = answer.fault if isinstance(answer, messages.Result) else None
        if fault is not None:
            self._local.logger.error(
                f"remote({self._settings.endpoint}): '{self.name}' raised {fault.type_name}: {fault.text} in "
                f"{fault.phase}, after this side had stopped waiting for it\n{fault.traceback}"
            )

    def _require_session(self) -> RemoteSession:
        if self._session is None:
            raise RuntimeError(f"'{self.name}' was ticked without having been set up")
        return self._session
