# SPDX-License-Identifier: Apache-2.0
"""One server within a run: the link, and what its worker says by itself put in its place on this side."""

from __future__ import annotations

import codecs
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import py_trees
from scenario_execution.model.types import VariableReference

from scenario_execution_keys.store import KeyStore

from .budget import TickBudget
from .chains import Rows
from .changes import Changes
from .config import RemoteSettings
from .courtesies import is_good_bye, shut_out
from .endpoint import Endpoint
from .homecoming import LEDGER, Homecoming
from .inputs import Inputs
from .leaves import Leaves, Node
from .link import Link, Pending
from .mounts import Mounts
from .news import News
from .offers import Offers
from .processes import RemoteProcess
from .protocol import messages, wire
from .protocol.values import Reference
from .security import security_for
from .waves import Waves


class RemoteSession:
    """The session with one server, shared by all actions of the run that are there.

    Args:
        settings: Of the ``remote()`` that needs it.
        logger: The run's logger.
        budget: How long a tick may wait.

    Attributes:
        is_shut_down: Whether the server has said that the actions of the last scenario are.
    """

    def __init__(self, settings: RemoteSettings, logger: Any, budget: TickBudget) -> None:
        endpoint = Endpoint.parse(settings.endpoint)
        security = security_for(endpoint, settings, KeyStore.open())
        self.logger = logger
        self._endpoint = endpoint.text
        self.link = Link(endpoint, security, settings.heartbeat_failure_timeout_s, self)
        mounts = Mounts(self.link, endpoint.text, settings.files, self._tell)
        self.files = Homecoming(self.link, endpoint.text, mounts, self._tell)
        changes = Changes(LEDGER, self.files)
        offers = Offers(self.link, endpoint.text, mounts, self._tell, settings.upload_limit_bytes, changes)
        self.inputs = Inputs(endpoint.text, mounts, offers, changes, self.files.behind)
        self.news = News(mounts, offers, changes)
        self.link.hand_files_to(self._take_of_files)
        self.waves = Waves(self._send_wave, self._between)
        self.rows = Rows(self.link, self.call_all)
        self.is_shut_down = False
        self._clock: Any = None
        self._budget = budget
        self._leaves: Leaves | None = None
        self._tick_wait = settings.tick_wait
        self._registry: Any = None
        self._caught_up_for: Any = None
        self._nodes: dict[int, Any] = {}
        self._lent: list[Any] = []  # processes of this side or other servers that this worker has asked for
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")(errors="replace") for name in ("stdout", "stderr")
        }
        if security.warning is not None:
            logger.warning(security.warning)

    def enter(
        self, logger: Any, budget: TickBudget, leaves: Leaves | None, setup_kwargs: dict[str, Any]
    ) -> None:
        """A scenario begins, with these objects of the runner, and of its tree."""
        self.logger = logger
        self._budget = budget
        self._leaves = leaves
        self._registry = setup_kwargs.get("process_registry")
        self._clock = setup_kwargs.get("clock")

    def _tell(self, level: str, text: str) -> None:
        getattr(self.logger, level)(text)

    def _take_of_files(self, message: Any) -> None:
        taker = self.files if isinstance(message, (messages.Collected, messages.Piece)) else self.inputs
        taker.take(message)

    def prepare(
        self, directories: messages.Directories, setup_kwargs: dict[str, Any], uploads: Mapping[str, Sequence[str]]
    ) -> None:
        """Have folders there stand for the directories of a scenario, before anything is said that names them."""
        outputs = (directories.output, setup_kwargs.get("output_dir"))
        self.inputs.prepare(
            directories.scenario_file, setup_kwargs.get("input_dir"), outputs=outputs, uploads=uploads
        )
        for mount in self.files.prepare(*outputs):
            self.news.watch(mount)
        self._catch_up_at_set_up(setup_kwargs)

    def _catch_up_at_set_up(self, setup_kwargs: dict[str, Any]) -> None:
        """Once for a scenario: what the one before it has left here, also beside the scenario."""
        registry = setup_kwargs.get("process_registry")
        if registry is not self._caught_up_for:
            self._caught_up_for = registry
            self.news.catch_up(everywhere=True)

    def close(self) -> None:
        """The link is over."""
        self.inputs.stop()
        end = self.link.failure
        is_complete = self.link.is_home or (self.is_shut_down and is_good_bye(end))
        self.files.close(is_complete=is_complete, shut_out=shut_out(end))
        self.inputs.close()

    def patience_s(self) -> float:
        """How many seconds may still be waited in this tick."""
        return self._budget.left_s(time.monotonic(), self._tick_wait)

    def standing_period_s(self, share: float) -> float | None:
        """How often the worker should tick by itself, in seconds; None if its answers come within a tick.

        A link whose round trip takes longer than a tick may wait cannot be in step with the tree. Then the server keeps
        the beat, and an end is known here after one way instead of a round trip and a tick.

        Args:
            share: Part of the tick period that may be waited.
        """
        round_trip_s = self.link.round_trip_s
        if round_trip_s is None or round_trip_s <= share * self._budget.period_s:
            return None
        return self._budget.period_s

    def _between(self, first: object, second: object) -> Sequence[Node] | None:
        return None if self._leaves is None else self._leaves.between(first, second)

    def _send_wave(self, actions: list[int]) -> Pending:
        now_s = float(self._clock.now()) if self._clock is not None else None
        self.link.go_on_to_the_end()
        return self.link.call(messages.TickAll(call=self.link.next_number(), actions=actions, now_s=now_s))

    def register(self, action: int, node: Any) -> None:
        """Remote action *action* stands in the tree as *node*."""
        self._nodes[action] = node

    def call(self, *calls: Any) -> Pending:
        """See :meth:`Link.call`. The set-ups are over, all of them or at one that has failed."""
        return self.call_all(calls)[-1]

    def call_all(self, calls: Sequence[Any]) -> list[Pending]:
        """See :meth:`Link.call_all`."""
        self.link.go_on_to_the_end()
        return self.link.call_all(calls)

    # -- Sink: what the worker says by itself, in the thread that listens ----------------------------

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
        """Write what the worker wrote to the same stream here: the very bytes, if it takes bytes."""
        decoder = self._decoders.get(chunk.stream)
        stream = sys.stderr if chunk.stream == "stderr" else sys.stdout
        if decoder is None:
            return
        binary = getattr(stream, "buffer", None)
        if binary is None:
            stream.write(decoder.decode(chunk.data))
        else:
            stream.flush()  # what is written as text keeps its place before these bytes
            binary.write(chunk.data)
        stream.flush()

    def feedback(self, change: messages.Feedback) -> None:
        """Show a feedback message that changed between ticks."""
        node = self._nodes.get(change.action)
        if node is not None:
            node.hear(change.text, self.link.answer_count)

    def registered_key(self, registration: messages.RegisteredKey) -> None:
        """Register a blackboard key on this side as well, so that displays list it with the action."""
        node = self._nodes.get(registration.action)
        if node is None:
            return
        access = py_trees.common.Access[registration.access]
        try:
            node.register_key(registration.key, access, registration.location)
        except AttributeError:  # py_trees' word for a writer too many; this action has registered, and has gone on
            if self._is_written_elsewhere(registration.location):
                self._tell(
                    "warning",
                    f"remote({self._endpoint}): '{node.name}' registers {access.name} of '{registration.location}', "
                    "which an action in another process writes, and EXCLUSIVE_WRITE allows one writer only. In one "
                    "process this would raise an AttributeError; register WRITE in both, or take another key",
                )

    def _is_written_elsewhere(self, location: str) -> bool:
        """Whether anybody writes it but the actions of this worker, among which it has decided itself."""
        kept = py_trees.blackboard.Blackboard.metadata.get(location)
        writers = kept.write | kept.exclusive if kept is not None else set()
        own = {client.id() for node in self._nodes.values() for client in node.blackboards}
        return not writers <= own

    def registered(self, registration: messages.Registered) -> None:
        """Put a process of the worker into the scenario's registry, in the order in which they come."""
        if self._registry is not None:
            self._registry.register(registration.label, RemoteProcess(self, registration.token))

    def write(self, write: messages.Write) -> None:
        """Apply a blackboard write."""
        storage = py_trees.blackboard.Blackboard.storage
        if write.unset:
            storage.pop(write.key, None)
        else:
            storage[write.key] = write.value

    def answer(self, question: messages.Ask) -> bytes | None:
        """Answer a worker's question at once, or None if that takes a thread of its own, as another server is asked."""
        if question.question in (messages.Question.PROCESS_OUTPUT.value, messages.Question.PROCESS_COMPLETE.value):
            threading.Thread(target=lambda: self.link.post(self._answer(question)), daemon=True).start()
            return None
        return self._answer(question)

    def _answer(self, question: messages.Ask) -> bytes:
        error, text = None, ""
        try:
            value = self._look_up(messages.Question(question.question), question.key)
            answer = messages.Answer(ticket=question.ticket, value=value, error=None, text="")
            return wire.encode(answer, self.foreign)
        except wire.CannotTravelError as problem:  # what is asked for is named as the action names it
            inside = problem.path.removeprefix("value") if problem.path.startswith("value") else ""
            error = type(problem).__name__
            text = str(problem).replace(problem.path, f"{question.key!r}{inside}", 1)
        except Exception as problem:  # noqa: BLE001 - processes are the user's objects, and an action waits for an answer
            error, text = type(problem).__name__, str(problem)
        return wire.encode(messages.Answer(ticket=question.ticket, value=None, error=error, text=text))

    def _look_up(self, question: messages.Question, key: str) -> Any:
        storage = py_trees.blackboard.Blackboard.storage
        if question is messages.Question.BLACKBOARD_GET:
            return storage[key]
        if question is messages.Question.BLACKBOARD_EXISTS:
            return key in storage
        if question is messages.Question.BLACKBOARD_KEYS:
            return list(storage)
        if question is messages.Question.PROCESS_LIST:
            return [self._token(process) for process in self._registry.get(key)] if self._registry is not None else []
        process = self._lent[int(key)]
        if question is messages.Question.PROCESS_OUTPUT:
            return process.get_output_snapshot()
        return process.is_output_complete()

    def _token(self, process: Any) -> list[Any]:
        if isinstance(process, RemoteProcess) and process.session is self:
            return [True, process.token]
        if process not in self._lent:
            self._lent.append(process)
        return [False, self._lent.index(process)]

    def trouble(self, text: str) -> None:
        """Something about a message from the server went wrong on this side."""
        print(f"scenario_execution_remote: {text}", file=sys.stderr)

    @staticmethod
    def foreign(value: object) -> object:
        """Variables travel by name."""
        return Reference(value.ref) if isinstance(value, VariableReference) else value
