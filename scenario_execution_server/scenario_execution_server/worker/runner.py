# SPDX-License-Identifier: Apache-2.0
"""Carries out the client's calls on real action instances, one after the other, with py_trees' own tick() and
stop()."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import py_trees
from py_trees.common import Status
from scenario_execution.actions.base_action_subtree import BaseActionSubtree
from scenario_execution.scenario_execution_base import ScenarioExecutionConfig, ShutdownHandler
from scenario_execution.simulation import HostClock

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.catalogue import find_action
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.faults import fault_from
from scenario_execution_server.worker.handles import Handles
from scenario_execution_server.worker.mirrors import FeedbackReports, feedback_of, mirror_registrations
from scenario_execution_server.worker.offer import offer
from scenario_execution_server.worker.permission import NOTHING, check_permitted
from scenario_execution_server.worker.row import Row
from scenario_execution_server.worker.stand_ins import (
    ModelStandIn,
    RecordingLogger,
    ScenarioClock,
    SharedProcessRegistry,
)
from scenario_execution_server.worker.standing import StandingTicks

FUTURES_WAIT_S = 30.0  # as long as the engine's ROS runner waits for what actions want to have finished at the end
_QUICK_S = 0.001  # a tick's work; the answer to the one before may wait for so long, as it goes faster with it
_FUTURES_LOOK_EVERY_S = 0.02  # a future of another library only has done(): it can be looked at, not waited for


class CallError(Exception):
    """The client asked for something that this worker cannot do: an unknown action, a call out of order."""


@dataclass
class Scenario:
    """What the actions of one scenario share."""

    process_registry: SharedProcessRegistry
    host_clock: HostClock = field(default_factory=HostClock)
    clock: ScenarioClock = field(default_factory=ScenarioClock)
    setup_fault: messages.Fault | None = None  # as in a tree, nothing is set up behind an action whose set-up raised


@dataclass
class Hosted:
    """One action instance and what belongs to it."""

    instance: Any
    model: ModelStandIn
    scenario: int
    logger: RecordingLogger
    is_shut_down: bool = False
    has_been_stopped: bool = False  # since its last tick; after an exception in there, its status does not tell
    visited: list[Any] = field(default_factory=list)  # the nodes of a subtree that its last tick came to, in order
    answered: str | None = ""  # its feedback in the last answer
    makes_feedback: bool = False  # whenever it is asked: it may change without being set


class Runner:
    """The actions of one session.

    Args:
        conversation: For log records and feedback on their way to the client.
        handles: The objects that stayed here.
        waiting: Tells which calls of some types have come by now and wait.

    Attributes:
        permit: What the client may run, as the front said last; nothing before it has.
    """

    def __init__(
        self, conversation: Conversation, handles: Handles, waiting: Callable[[frozenset[type]], Iterable[Any]]
    ) -> None:
        self.permit = NOTHING
        self._conversation = conversation
        self._handles = handles
        self._actions: dict[int, Hosted] = {}
        self._feedback = FeedbackReports(self._feedback_changed)
        self._scenarios: dict[int, Scenario] = {}
        self._places: dict[int, Scenario] = {}  # action -> the scenario it belongs to
        self._processes: dict[int, Any] = {}  # token -> what an action has put into a process registry
        self._standing = StandingTicks()
        self._row = Row(waiting)
        self._quick: set[type | None] = set()  # classes of actions whose last tick was
        self._in_call: int | None = None  # action whose call is running in the main thread
        self._answered: list[int] = []  # actions with a feedback in answers that may not be said yet
        self._main_thread = threading.get_ident()
        self._handlers: dict[type, tuple[str, Callable[[Any], tuple[Status | None, bool]]]] = {
            messages.Create: ("create", self._create),
            messages.Setup: ("setup", self._set_up),
            messages.Tick: ("tick", self._tick),
            messages.Execute: ("execute", self._execute),
            messages.Stop: ("terminate", self._stop),
            messages.Shutdown: ("shutdown", self._shut_down),
            messages.EndScenario: ("shutdown", self._end_scenario),
        }
        mirror_registrations(
            lambda: {number: hosted.instance for number, hosted in list(self._actions.items())}, conversation
        )

    def carry_out(self, call: Any) -> messages.Result | messages.Ticked | messages.Actions | None:
        """Do what *call* says, and return the answer; None if that comes later, from :meth:`go_on`.

        Whatever the action raises is part of the answer, SystemExit and all.
        """
        if isinstance(call, messages.TickAll):  # first, as it is the most frequent
            return self._tick_all(call)
        if isinstance(call, messages.Query):
            return self._answer(call)
        if isinstance(call, messages.ListActions):
            return offer(call.call, self.permit)
        action = getattr(call, "action", None)
        if action is not None:
            self._standing.drop(action)
        if isinstance(call, messages.Tick):
            return self._tick_one(call)
        return self._do_in_order(call) if isinstance(call, (messages.Create, messages.Setup)) else self._do(call)

    def _tick_one(self, call: messages.Tick) -> messages.Result | None:
        began_s = time.monotonic()
        if not self._row.may_begin(call, began_s):
            return None if self._row.is_end_known else _result(call.call, None, None, None)
        result = self._do(call, reports_feedback=call.period_s is not None)  # RUNNING is no answer then
        is_quick = time.monotonic() - began_s < _QUICK_S
        (self._quick.add if is_quick else self._quick.discard)(self._class_of(call.action))
        is_standing = call.period_s is not None and _is_running(result)
        self._row.ended(call, result, is_said=not is_standing)
        if is_standing:
            self._standing.add(replace(call, arguments=None), time.monotonic())
            return None
        return result

    def is_hurrying(self) -> bool:
        """Whether the next call begins the next action of a row, and such actions are over in no time."""
        following = self._conversation.peek()
        if following is None or not self._row.goes_on_with(following):
            return False
        return self._class_of(following.action) in self._quick

    def _class_of(self, action: int) -> type | None:
        hosted = self._actions.get(action)
        return None if hosted is None else type(hosted.instance)

    def _do_in_order(self, call: messages.Create | messages.Setup) -> messages.Result:
        """Create or set up an action, unless one before it in the scenario has raised: then answer with that."""
        if isinstance(call, messages.Create):
            scenario = self._scenarios.setdefault(
                call.scenario, Scenario(SharedProcessRegistry(self._conversation, self._processes))
            )
            self._places[call.action] = scenario
        place = self._places.get(call.action)
        if place is not None and place.setup_fault is not None:
            return _result(call.call, None, None, place.setup_fault)
        result = self._do(call)
        if place is not None:
            place.setup_fault = result.fault
        return result

    def look_again(self) -> None:
        """All answers are said: say what a thread of an action has set as its feedback since they were made. It went
        out before them, and the client shows what comes last."""
        for action in self._answered:
            hosted = self._actions.get(action)
            if hosted is not None:
                self._feedback.look_behind(hosted.instance, hosted.answered)
        self._answered.clear()

    def wait_s(self) -> float | None:
        """Seconds until :meth:`go_on` has something to do; None if it never will."""
        return self._standing.wait_s(time.monotonic()) if self._standing.calls else None

    def go_on(self) -> list[messages.Result | messages.Alive]:
        """Tick what stands to be ticked now; returns the results of those that are not RUNNING any more."""
        said: list[messages.Result | messages.Alive] = []
        now_s = time.monotonic()
        for call in self._standing.due(now_s):
            result = self._do(call, reports_feedback=True)
            if not _is_running(result):
                self._standing.drop(call.action)
                said.append(result)
        if self._standing.is_alive_due(now_s):
            said.append(messages.Alive())
        return said

    def _do(self, call: Any, *, reports_feedback: bool = False) -> messages.Result:
        phase, handler = self._handlers[type(call)]
        action = getattr(call, "action", None)
        status, stopped, fault = None, False, None
        self._in_call = None if reports_feedback else action
        try:
            status, stopped = handler(call)
        except BaseException as error:  # noqa: BLE001 - actions may raise anything, and the client has to hear of all
            fault = fault_from(error, "protocol" if isinstance(error, CallError) else phase)
        finally:
            self._in_call = None
        return self._result_of(call, action, status, fault, stopped)

    def _result_of(
        self, call: Any, action: int | None, status: Status | None, fault: messages.Fault | None, stopped: bool = True
    ) -> messages.Result:
        hosted = self._actions.get(action) if action is not None else None
        if hosted is not None and action is not None:
            self._answered.append(action)
        return _result(call.call, hosted, status, fault, stopped=stopped)

    def end(self) -> None:
        """End every scenario, as the end of a session demands."""
        for number in list(self._scenarios):
            self._end(number)

    # -- calls -------------------------------------------------------------------------------------

    def _create(self, call: messages.Create) -> tuple[None, bool]:
        if call.action in self._actions:
            raise CallError(f"action {call.action} exists already")
        check_permitted(call.plugin.key, self.permit)  # first: to import a class is to run its code
        configure(call.directories)
        if call.debug:  # as the engine's own start-up does with -d, for nodes that keep py_trees' logger
            py_trees.logging.level = py_trees.logging.Level.DEBUG
        cls = find_action(call.plugin)
        instance = cls(**call.init_arguments)
        model = ModelStandIn(call.label, call.context, call.actor)
        logger = RecordingLogger(self._conversation, call.debug)
        instance._set_base_properities(call.name, model, logger)
        instance._external_plugin_key = call.plugin.key  # as the engine does, where it builds the tree
        instance._external_init_args = call.init_arguments
        if isinstance(instance, BaseActionSubtree) and hasattr(instance, "create_subtree"):
            instance.create_subtree()
        self._feedback.begin(instance, call.action)
        self._actions[call.action] = Hosted(
            instance=instance, model=model, scenario=call.scenario, logger=logger,
            makes_feedback=self._feedback.is_made_on_demand(instance),
        )  # fmt: skip
        return None, False

    def _set_up(self, call: messages.Setup) -> tuple[None, bool]:
        hosted = self._find(call.action)
        scenario = self._scenarios[hosted.scenario]
        configure(call.directories)
        self._set_clock(scenario, call.now_s)
        own = {
            "logger": hosted.logger,
            "process_registry": scenario.process_registry,
            "host_clock": scenario.host_clock,
            "clock": scenario.clock,
        }
        kwargs = {name: own[name] for name in call.provided if name in own} | call.values
        for node in hosted.instance.iterate():
            node.setup(**kwargs)
        return None, False

    def _tick(self, call: messages.Tick) -> tuple[Status, bool]:
        hosted = self._find(call.action)
        self._set_clock(self._scenarios[hosted.scenario], call.now_s)
        hosted.has_been_stopped = False
        if call.arguments is not None:
            hosted.model.arm(self._handles.restore(call.arguments))
        hosted.visited = list(hosted.instance.tick())
        if hosted.makes_feedback:
            self._feedback.look(hosted.instance)
        status: Status = hosted.instance.status
        return status, status != Status.RUNNING

    def _tick_all(self, call: messages.TickAll) -> messages.Ticked:
        # The hot path: for an action that stays RUNNING nothing is built, and nothing is sent.
        for index, action in enumerate(call.actions):
            hosted = self._actions.get(action)
            try:
                if hosted is None:
                    raise CallError(f"there is no action {action}")
                if call.now_s is not None:
                    self._set_clock(self._scenarios[hosted.scenario], call.now_s)
                hosted.visited = list(hosted.instance.tick())
            except BaseException as error:  # noqa: BLE001 - as in _do
                fault = fault_from(error, "protocol" if isinstance(error, CallError) else "tick")
                result = self._result_of(call, action, None, fault)
                return messages.Ticked(call=call.call, running=index, result=result)
            status = hosted.instance.status
            if status is not Status.RUNNING:
                result = self._result_of(call, action, status, None)
                return messages.Ticked(call=call.call, running=index, result=result)
            if hosted.makes_feedback:
                self._feedback.look(hosted.instance)
        return messages.Ticked(call=call.call, running=len(call.actions), result=None)

    def _execute(self, call: messages.Execute) -> tuple[None, bool]:
        hosted = self._find(call.action)
        hosted.model.arm(self._handles.restore(call.arguments))
        vars(hosted.instance).pop("initialise", None)  # of an activation that was never ticked
        hosted.instance.initialise()

        def already_initialised() -> None:
            del hosted.instance.initialise

        hosted.instance.initialise = already_initialised
        return None, False

    def _stop(self, call: messages.Stop) -> tuple[Status | None, bool]:
        if call.status not in Status.__members__:
            raise CallError(f"'{call.status}' is no py_trees status")
        hosted = self._find(call.action)
        if call.if_begun and hosted.instance.status is Status.INVALID:
            return None, False
        hosted.has_been_stopped = True
        status = Status[call.status]
        hosted.instance.stop(status)
        return status, True

    def _shut_down(self, call: messages.Shutdown) -> tuple[None, bool]:
        hosted = self._find(call.action)
        if not hosted.is_shut_down:
            hosted.is_shut_down = True
            for node in hosted.instance.iterate():
                node.shutdown()
        return None, False

    def _end_scenario(self, call: messages.EndScenario) -> tuple[None, bool]:
        self._end(call.scenario)
        return None, False

    def _answer(self, call: messages.Query) -> messages.Result:
        value: Any = None
        fault = None
        try:
            process = self._processes[call.token]
            if call.question == messages.Question.PROCESS_OUTPUT.value:
                value = process.get_output_snapshot()
            else:
                value = process.is_output_complete()
        except Exception as error:  # noqa: BLE001 - the process is an action's own object
            fault = fault_from(error, "update")
        return messages.Result(
            call=call.call, status=None, stopped=False, feedback="", fault=fault, value=value, nodes=[]
        )

    # -- helpers -----------------------------------------------------------------------------------

    def _end(self, scenario: int) -> None:
        """Stop what runs and shut all down, in the order of creation; a fault is logged and does not stop the rest."""
        numbers = [number for number, hosted in self._actions.items() if hosted.scenario == scenario]
        for number in numbers:
            hosted = self._actions[number]
            if hosted.instance.status == Status.RUNNING and not hosted.has_been_stopped:
                stop = messages.Stop(call=0, action=number, status=Status.INVALID.name, if_begun=False)
                self._log_fault(self._do(stop))
        for number in numbers:
            self._log_fault(self._do(messages.Shutdown(call=0, action=number)))
            self._standing.drop(number)
            self._feedback.end(self._actions[number].instance)
            del self._actions[number], self._places[number]
        await_futures()
        self._scenarios.pop(scenario, None)

    def _find(self, action: int) -> Hosted:
        hosted = self._actions.get(action)
        if hosted is None:
            raise CallError(f"there is no action {action}")
        return hosted

    @staticmethod
    def _set_clock(scenario: Scenario, now_s: float | None) -> None:
        if now_s is not None:
            scenario.clock.now_s = now_s

    def _feedback_changed(self, action: int, text: str | None) -> None:
        if self._in_call == action and threading.get_ident() == self._main_thread:
            return  # the result of the running call carries it
        self._conversation.say(messages.Feedback(action=action, text=text))

    def _log_fault(self, result: messages.Result) -> None:
        if result.fault is not None:
            fault = result.fault
            text = f"{fault.phase} raised {fault.type_name}: {fault.text}\n{fault.traceback}"
            self._conversation.say(messages.Log(level="error", text=text))


def configure(directories: messages.Directories) -> None:
    """Give the engine's process-wide configuration the client's directories."""
    config = ScenarioExecutionConfig()
    config.scenario_file_directory = directories.scenario_file
    config.output_directory = directories.output


def _result(
    call: int, hosted: Hosted | None, status: Status | None, fault: messages.Fault | None, *, stopped: bool = True
) -> messages.Result:
    if hosted is not None:
        hosted.answered = feedback_of(hosted.instance)
    return messages.Result(
        call=call,
        status=status.name if status is not None else None,
        stopped=stopped and status is not None,
        feedback=hosted.answered if hosted is not None else "",
        fault=fault,
        value=None,
        nodes=_nodes_of(hosted) if hosted is not None else [],
    )


def _is_running(result: messages.Result) -> bool:
    return result.fault is None and result.status == Status.RUNNING.name


def await_futures(limit_s: float = FUTURES_WAIT_S) -> None:
    """Wait for the futures that actions have left with the engine's ``ShutdownHandler``, then forget them.

    Only the ROS runner does so locally, and with the same limit; a worker stands in for every runner.
    """
    handler = ShutdownHandler.get_instance()
    deadline_s = time.monotonic() + limit_s
    while not handler.is_done() and time.monotonic() < deadline_s:
        time.sleep(_FUTURES_LOOK_EVERY_S)
    handler.futures.clear()


def _nodes_of(hosted: Hosted) -> list[Any]:
    """What the client has to know to show an action that is a subtree; see ``messages.Result``."""
    if not hosted.instance.children:
        return []
    visits = {id(node): turn for turn, node in enumerate(hosted.visited)}
    return [
        [node.status.name, feedback_of(node), visits.get(id(node)), _current_child(node)]
        for node in hosted.instance.iterate()
    ]


def _current_child(node: py_trees.behaviour.Behaviour) -> int | None:
    current = getattr(node, "current_child", None)
    return node.children.index(current) if current in node.children else None
