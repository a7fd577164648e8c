# SPDX-License-Identifier: Apache-2.0
"""What an action finds around itself in a worker, in place of the runner's own objects: model, logger, clock,
storage."""

from __future__ import annotations

import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

from scenario_execution.actions.process_registry import ProcessRegistry
from scenario_execution.model.types import VariableReference
from scenario_execution.simulation import Clock
from scenario_execution.utils.logging import BaseLogger

from scenario_execution_remote.completeness import Completeness
from scenario_execution_remote.protocol import messages
from scenario_execution_remote.protocol.values import Reference
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.handles import Handles
from scenario_execution_server.worker.outputs import flush_outputs


class ActorStandIn:
    """The actor part of a :class:`ModelStandIn`."""

    def __init__(self, actor: messages.Actor) -> None:
        self.name = actor.name
        self._qualified_name = actor.qualified_name
        self.values: dict[str, Any] = {}

    def get_qualified_name(self) -> str:
        """Prefix of the actor's blackboard keys."""
        return self._qualified_name

    def get_resolved_value(self, _blackboard: object = None) -> dict[str, Any]:
        """The actor's parameters as the client resolved them for this activation."""
        return dict(self.values)


class ModelStandIn:
    """What ``BaseAction`` reads from its model element: the client's answers, sent along with the call.

    Args:
        label: The invocation's osc label, or None.
        context: (line, column, text, file) of the invocation, for error messages.
        actor: The actor it is invoked on, or None.
    """

    def __init__(self, label: str | None, context: list[Any] | None, actor: messages.Actor | None) -> None:
        self.name = label
        self.actor = None if actor is None else ActorStandIn(actor)
        self._context = None if context is None else tuple(context)
        self._arguments: dict[str, Any] = {}

    def arm(self, arguments: dict[str, Any]) -> None:
        """Set the resolved arguments of the activation that follows."""
        self._arguments = dict(arguments)
        if self.actor is not None:
            associated = self._arguments.pop("associated_actor", {})
            self.actor.values = associated if isinstance(associated, dict) else {}

    def get_ctx(self) -> tuple[Any, ...] | None:
        """As the engine's model elements answer it."""
        return self._context

    def get_resolved_value(self, blackboard: Any = None, skip_keys: object = None) -> dict[str, Any]:
        """The arguments, variables among them as references on *blackboard*."""
        return {
            name: VariableReference(blackboard, value.key) if isinstance(value, Reference) else value
            for name, value in self._arguments.items()
        }

    get_resolved_value_with_variable_references = get_resolved_value


class RecordingLogger(BaseLogger):
    """The run's logger as an action sees it; every record goes to the client at once.

    Args:
        conversation: Where the records go.
        log_debug: Whether the client wants debug records; others are dropped here.
    """

    def __init__(self, conversation: Conversation, log_debug: bool) -> None:
        super().__init__("scenario_execution", log_debug)
        self._conversation = conversation

    def info(self, msg: object) -> None:
        """Log at info level."""
        self._record("info", msg)

    def debug(self, msg: object) -> None:
        """Log at debug level, if the client shows it."""
        if self.log_debug:
            self._record("debug", msg)

    def warning(self, msg: object) -> None:
        """Log a warning."""
        self._record("warning", msg)

    def error(self, msg: object) -> None:
        """Log an error."""
        self._record("error", msg)

    def _record(self, level: str, msg: object) -> None:
        flush_outputs()  # what was printed before is shown before
        self._conversation.say(messages.Log(level=level, text=f"{msg}"))


class SharedProcessRegistry(ProcessRegistry):
    """The scenario's process registry, as far as this worker is concerned: the client keeps the list for all servers.

    Args:
        conversation: To the client.
        own: The processes registered here, by the token under which the client knows them; shared by all scenarios.
    """

    _numbering = threading.Lock()  # of all registries of the worker: actions register from threads of theirs, too

    def __init__(self, conversation: Conversation, own: dict[int, Any]) -> None:
        super().__init__()
        self._conversation = conversation
        self._own = own

    def register(self, name: str, process: Any) -> None:
        """Register a process under its label, here and with the client."""
        with self._numbering:
            token = len(self._own) + 1
            self._own[token] = process
        self._conversation.say(messages.Registered(label=name, token=token))

    def get(self, name: str) -> list[Any]:
        """All processes of the scenario with this label, wherever they run, in the order of registration."""
        listed = self._conversation.ask(messages.Question.PROCESS_LIST, name)
        return [self._own[token] if is_own else DistantProcess(self._conversation, token) for is_own, token in listed]


class DistantProcess:
    """A process that was started on the client or on another server, as ``process_log_check`` wants to see it."""

    def __init__(self, conversation: Conversation, token: int) -> None:
        self._conversation = conversation
        self._token = token
        self._completeness = Completeness()

    def get_output_snapshot(self) -> list[str]:
        """The lines captured so far."""
        had_ended = self._completeness.has_ended
        lines: list[str] = self._conversation.ask(messages.Question.PROCESS_OUTPUT, str(self._token))
        self._completeness.seen(had_ended=had_ended)
        return lines

    def is_output_complete(self) -> bool:
        """Whether the process has ended and all of its output has been seen here."""
        has_ended = bool(self._conversation.ask(messages.Question.PROCESS_COMPLETE, str(self._token)))
        return self._completeness.told(has_ended)


class ScenarioClock(Clock):
    """Scenario time as of the client's current tick, in seconds."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        """Seconds since the scenario began."""
        return self.now_s


class ClientStorage(MutableMapping[str, Any]):
    """The client's blackboard, behind py_trees' own ``Blackboard.storage``: reads ask it, writes go there in order."""

    def __init__(self, conversation: Conversation, handles: Handles) -> None:
        self._conversation = conversation
        self._handles = handles

    def __getitem__(self, key: str) -> Any:
        return self._handles.restore(self._conversation.ask(messages.Question.BLACKBOARD_GET, key))

    def __setitem__(self, key: str, value: Any) -> None:
        self._conversation.say(messages.Write(key=key, value=value, unset=False))

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._conversation.say(messages.Write(key=key, value=None, unset=True))

    def __contains__(self, key: object) -> bool:
        return bool(self._conversation.ask(messages.Question.BLACKBOARD_EXISTS, str(key)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._conversation.ask(messages.Question.BLACKBOARD_KEYS, ""))

    def __len__(self) -> int:
        return sum(1 for _ in self)
