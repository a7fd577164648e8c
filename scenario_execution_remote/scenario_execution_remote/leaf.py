# SPDX-License-Identifier: Apache-2.0
"""The behaviours that stand in the tree for actions which run on a server. They do no work, and wait only so long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import py_trees
from py_trees.common import Access, Status
from scenario_execution.actions.base_action import BaseAction
from scenario_execution.actions.base_action_subtree import BaseActionSubtree
from scenario_execution.scenario_execution_base import ScenarioExecutionConfig

from scenario_execution_keys.errors import KeysError

from .config import RemoteSettings
from .errors import RemoteError
from .faults import exception_from
from .link import Pending
from .plugin import describe
from .protocol import messages
from .run import RUN, end_with_the_run
from .session import RemoteSession

# What ``setup()`` gets and the worker makes itself. ``simulation`` is not among them: a live simulator cannot
# travel, and without the key an action that needs it says so in the engine's own words.
_MADE_THERE = ("logger", "process_registry", "host_clock", "clock")
_STAYS_HERE = (*_MADE_THERE, "simulation", "node", "marker_handler")


class RemoteNode(py_trees.behaviour.Behaviour):
    """What a remote action is to the tree, whether it is shown as a leaf or as a subtree.

    Args:
        local: The action as the engine built it. It is never set up or ticked; it knows name, arguments and source
            line.
        settings: Of the innermost ``remote()`` above it.
    """

    def _take_place_of(self, local: Any, settings: RemoteSettings) -> None:
        self.logger = _QuietLogger(local.logger, type(local).__name__)  # type: ignore[assignment]  # it logs like one
        self.blackboards = local.blackboards
        self.osc_source = getattr(local, "osc_source", None)
        self._local = local
        self._settings = settings
        self._directories = _directories()  # as the local constructor saw them
        self._number = RUN.new_action()
        self._session: RemoteSession | None = None
        self._arguments: dict[str, Any] | None = None  # for the next tick, if it activates the action
        self._pending: Pending | None = None  # the tick that has not been answered yet
        self._stopped_as: Status | None = None  # the worker has run stop() with this already
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
        scenario = RUN.enter_scenario(kwargs)
        self._clock = kwargs.get("clock")
        self._waits_without_limit = "simulation" in kwargs  # simulated time stands still meanwhile
        run_logger = kwargs.get("logger") or self._local.logger
        try:
            session = RUN.session_for(self._settings, run_logger, self._settings.setup_timeout_s)
        except (RemoteError, KeysError) as error:
            raise RuntimeError(f"remote({self._settings.endpoint}): {error}") from error
        self._session = session
        session.register(self._number, self)
        pending = session.call(
            self._create_call(scenario, bool(getattr(run_logger, "log_debug", False))), self._setup_call(kwargs)
        )
        if not pending.wait(max(0.0, deadline_s - time.monotonic())):
            raise RuntimeError(
                f"remote({self._settings.endpoint}): the set-up of '{self.name}' did not finish within setup_timeout "
                f"({self._settings.setup_timeout_s:g} s); give it more, as in remote(..., setup_timeout: 30s)"
            )
        result = self._outcome(pending)
        if result is None:
            raise RuntimeError(f"remote({self._settings.endpoint}): {pending.error}")

    def initialise(self) -> None:
        """Resolve the arguments of this activation, here and now, exactly as the engine would."""
        self._abandon_pending()
        captured: dict[str, Any] = {}
        local = self._local
        if getattr(local, "execute_method", None) is not None:
            local.execute = captured.update
            BaseAction.initialise(local)
        self._arguments = captured

    def update(self) -> Status:
        """One tick of the remote action, if its result comes within this tick's share of waiting; else RUNNING."""
        session = self._require_session()
        RUN.budget.enter(self._number, time.monotonic())
        if self._pending is None or self._was_running(self._pending):
            self._pending = session.call(
                messages.Tick(
                    call=session.link.next_number(), action=self._number, arguments=self._arguments, now_s=self._now_s()
                )
            )
            self._arguments = None
        pending = self._pending
        if not pending.wait(self._patience_s()):
            return self._still_running(pending)
        self._pending = None
        result = self._outcome(pending)
        if result is None or result.status is None:
            return self._lost(str(pending.error or "the server answered a tick without a status"))
        status = Status[result.status]
        self._stopped_as = status if result.stopped else None
        return status

    def terminate(self, new_status: Status) -> None:
        """Have the remote action stopped, unless its last tick has done so already."""
        stopped_as, self._stopped_as = self._stopped_as, None
        if stopped_as is not None and stopped_as == new_status:
            return
        self._abandon_pending()
        session = self._session
        if session is None or self._is_lost or session.link.is_over:
            return
        pending = session.call(
            messages.Stop(call=session.link.next_number(), action=self._number, status=new_status.name)
        )
        if pending.wait(self._patience_s()):
            self._outcome(pending)
        else:
            pending.abandon(self._log_late_fault)

    def shutdown(self) -> None:
        """Have the remote action shut down; the plain runner never asks for it, middleware runners repeatedly."""
        session = self._session
        if session is None or session.link.is_over:
            return
        pending = session.call(messages.Shutdown(call=session.link.next_number(), action=self._number))
        pending.wait(None)  # done, or failed when the link is: liveness is the limit, as shutdown() may take long
        if pending.result is not None and pending.result.fault is not None:
            self._log_late_fault(pending.result)

    def register_key(self, key: str, access: Access) -> None:
        """The remote action has registered a blackboard key; displays list it with this node's client."""
        if hasattr(self._local, "get_blackboard_client"):
            self._local.get_blackboard_client().register_key(key, access)

    def _show_below(self, nodes: list[Any]) -> None:
        """Take over status and feedback of the nodes below, if there are any."""

    # -- what the calls consist of -----------------------------------------------------------------

    def _create_call(self, scenario: int, debug: bool) -> messages.Create:
        local, session = self._local, self._require_session()
        model = local._model
        actor = getattr(model, "actor", None)
        return messages.Create(
            call=session.link.next_number(),
            action=self._number,
            scenario=scenario,
            plugin=describe(type(local), local._external_plugin_key),
            init_arguments=local._external_init_args,
            name=local.name,
            label=model.name or None,
            context=list(model.get_ctx()),
            actor=messages.Actor(name=actor.name, qualified_name=actor.get_qualified_name()) if actor else None,
            directories=self._directories,
            debug=debug,
        )

    def _setup_call(self, kwargs: dict[str, Any]) -> messages.Setup:
        return messages.Setup(
            call=self._require_session().link.next_number(),
            action=self._number,
            values={name: value for name, value in kwargs.items() if name not in _STAYS_HERE},
            provided=[name for name in _MADE_THERE if name in kwargs],
            directories=_directories(),
            now_s=self._now_s(),
        )

    def _now_s(self) -> float | None:
        return float(self._clock.now()) if self._clock is not None else None

    # -- what comes back ---------------------------------------------------------------------------

    def _patience_s(self) -> float | None:
        if self._waits_without_limit:
            return self._settings.execution_timeout_s or None
        return RUN.budget.left_s(time.monotonic())

    @staticmethod
    def _was_running(pending: Pending) -> bool:
        """Whether a late answer says RUNNING and nothing else: then this tick is due as well."""
        result = pending.result
        return result is not None and result.fault is None and result.status == Status.RUNNING.name

    def _outcome(self, pending: Pending) -> messages.Result | None:
        """The result, with its feedback shown and its fault raised; None if the server is lost."""
        result = pending.result
        if result is None:
            return None
        self.feedback_message = result.feedback
        self._show_below(result.nodes)
        if result.fault is not None:
            raise exception_from(result.fault, self._local)
        return result

    def _still_running(self, pending: Pending) -> Status:
        limit_s = self._settings.execution_timeout_s
        if limit_s and time.monotonic() - pending.sent_s >= limit_s:
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
        if self._pending is not None:
            self._pending.abandon(self._log_late_fault)
            self._pending = None

    def _log_late_fault(self, result: messages.Result) -> None:
        fault = result.fault
        if fault is not None:
            self._local.logger.error(
                f"remote({self._settings.endpoint}): '{self.name}' raised {fault.type_name}: {fault.text} in "
                f"{fault.phase}, after this side had stopped waiting for it\n{fault.traceback}"
            )

    def _require_session(self) -> RemoteSession:
        if self._session is None:
            raise RuntimeError(f"'{self.name}' was ticked without having been set up")
        return self._session


class RemoteAction(RemoteNode):
    """Stands for one plug-in action; looks like it in every display and log."""

    def __init__(self, local: Any, settings: RemoteSettings) -> None:
        super().__init__(local.name)
        self._take_place_of(local, settings)


class RemoteSubtree(RemoteNode, py_trees.composites.Sequence):
    """Stands for an action that is a subtree: one unit on the server, shown here with all of its nodes.

    The nodes are those of the local instance, put to rest: they are never set up or ticked, and show what the server
    says. """

    def __init__(self, local: Any, settings: RemoteSettings) -> None:
        super().__init__(local.name, memory=True)
        self._take_place_of(local, settings)
        for child in local.children:
            child.parent = self
        self.children = local.children
        self._shown = [node for node in self.iterate() if node is not self]
        for node in self._shown:
            node.setup = _do_nothing  # type: ignore[method-assign]
            node.shutdown = _do_nothing  # type: ignore[method-assign]

    def tick(self) -> Iterator[py_trees.behaviour.Behaviour]:
        """Tick the whole subtree on the server, in one call; yields the nodes that took part."""
        if self.status != Status.RUNNING:
            self.initialise()
        new_status = self.update()
        if new_status != Status.RUNNING:
            self.stop(new_status)
        self.status = new_status
        yield from (node for node in self._shown if node.status != Status.INVALID)
        yield self

    def stop(self, new_status: Status = Status.INVALID) -> None:
        """Have the subtree stopped; what is below stops with it, on the server."""
        self.terminate(new_status)
        if new_status == Status.INVALID:
            for node in self._shown:
                node.status = Status.INVALID
        self.status = new_status
        self.iterator = self.tick()

    def _show_below(self, nodes: list[Any]) -> None:
        for node, (status, feedback) in zip(self._shown, nodes, strict=False):
            node.status = Status[status]
            node.feedback_message = feedback
            if node.parent is self and node.status != Status.INVALID:
                self.current_child = node


def _do_nothing(**_kwargs: Any) -> None:
    pass


class _QuietLogger:
    """The run's logger without the lines that py_trees itself logs in tick() and stop(): the worker's tick logs them.

    Args:
        logger: The run's logger.
        class_name: As py_trees names the action in those lines.
    """

    def __init__(self, logger: Any, class_name: str) -> None:
        self._logger = logger
        self._not_twice = (f"{class_name}.tick()", f"{class_name}.stop(")

    def debug(self, msg: str) -> None:
        """Log at debug level."""
        if not msg.startswith(self._not_twice):
            self._logger.debug(msg)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)


def stand_in_for(local: Any, settings: RemoteSettings) -> RemoteNode:
    """The remote node for *local*, under a class that displays and logs cannot tell from the action's own."""
    cls = type(local)
    base = RemoteSubtree if isinstance(local, BaseActionSubtree) else RemoteAction
    members = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    node: RemoteNode = type(cls.__name__, (base,), members)(local, settings)
    return node


def _directories() -> messages.Directories:
    config = ScenarioExecutionConfig()
    return messages.Directories(scenario_file=config.scenario_file_directory, output=config.output_directory)
