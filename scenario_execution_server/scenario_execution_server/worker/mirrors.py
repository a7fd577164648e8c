# SPDX-License-Identifier: Apache-2.0
"""What actions do to themselves and the client shows: feedback that they set, blackboard keys that they register."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import py_trees

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.conversation import Conversation

FEEDBACK_CHARACTERS = 64 * 1024  # a message for displays; beyond that it is a file, and would not fit into one body
_NAME = "feedback_message"
_NOTHING = object()  # a class may have None there


def feedback_text(value: object) -> str | None:
    """A feedback message as displays get it: of any object, also of one without a text, for which nobody else asks.
    None stays None, as displays leave it out."""
    try:
        return None if value is None else str(value)[:FEEDBACK_CHARACTERS]
    except Exception as error:  # noqa: BLE001 - an action's own class; locally it does no harm either
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def feedback_of(instance: Any) -> str | None:
    """The feedback of a node as displays get it; a property of the class's own may raise."""
    try:
        value = instance.feedback_message
    except Exception as error:  # noqa: BLE001 - an action's own class
        return f"<{type(instance).__name__} without feedback: {type(error).__name__}>"
    return feedback_text(value)


class FeedbackReports:
    """Tells each change of the feedback of actions, which threads may set between ticks.

    What is set last is told last. No code of an action's runs under the lock that this takes: a text, or a property of
    the action's own, may wait for whoever waits to set something. The lock may be asked for again by who holds it: what
    is collected as garbage meanwhile may set something as well.

    Args:
        changed: Is told the number of an action and its feedback as text, under the lock.
    """

    def __init__(self, changed: Callable[[int, str | None], None]) -> None:
        self._changed = changed
        self._lock = threading.RLock()
        self._of: dict[int, _Reported] = {}  # by the id of the instance: it may be equal to another

    def begin(self, instance: Any, action: int) -> None:
        """Report the feedback of *instance* from now on, as that of an action. Its class gets a property for that,
        once: it stays the class that it was, to itself and to others. This process belongs to one session."""
        self._of[id(instance)] = _Reported(action)
        cls = type(instance)
        inherited = _inherited(cls)
        if not isinstance(inherited, _Reporting):  # by the metaclass's own way, it might be told of it or refuse it
            type.__setattr__(cls, _NAME, _reporting(inherited, self.look))

    def end(self, instance: Any) -> None:
        """*instance* is no action any more."""
        del self._of[id(instance)]

    def look(self, instance: Any) -> None:
        """Tell the feedback of *instance*, if that is an action and it has changed since it was told last."""
        reported = self._of.get(id(instance))
        if reported is None:
            return
        with self._lock:
            reported.looks += 1
            look = reported.looks
        text = feedback_of(instance)
        with self._lock:
            if reported.looks == look and text != reported.told:  # else who looks later tells what there is then
                reported.told = text
                self._changed(reported.action, text)

    def look_behind(self, instance: Any, answered: str | None) -> None:
        """The same, when an answer has gone out with that feedback, behind what was told until now."""
        with self._lock:
            self._of[id(instance)].told = answered
        self.look(instance)

    def is_made_on_demand(self, instance: Any) -> bool:
        """Whether the class has a property of its own for feedback, which may change without being set."""
        inherited = _inherited(type(instance))
        return isinstance(inherited, _Reporting) and inherited.is_made_on_demand


@dataclass
class _Reported:
    action: int
    told: object = _NOTHING  # what the client shows, or will when the answer of the running call is there
    looks: int = 0


class _Reporting(property):
    """``feedback_message`` of a class whose actions are reported."""

    is_made_on_demand = False


def _inherited(cls: type) -> Any:
    return next((vars(base)[_NAME] for base in cls.__mro__ if _NAME in vars(base)), _NOTHING)


def _plain_ways(inherited: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None], Callable[[Any], None]]:
    """How an attribute is read, set and deleted of which the class knows at most a default."""

    def get(self: Any) -> Any:
        if _NAME in self.__dict__:
            return self.__dict__[_NAME]
        if inherited is _NOTHING:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{_NAME}'", name=_NAME, obj=self)
        return inherited.__get__(self, type(self)) if hasattr(type(inherited), "__get__") else inherited

    def put(self: Any, value: Any) -> None:
        self.__dict__[_NAME] = value

    def drop(self: Any) -> None:
        if self.__dict__.pop(_NAME, _NOTHING) is _NOTHING:
            raise AttributeError(_NAME)

    return get, put, drop


def _own_ways(inherited: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None], Callable[[Any], None]]:
    """The same, of one that the class takes care of by itself."""

    def drop(self: Any) -> None:
        if not hasattr(type(inherited), "__delete__"):
            raise AttributeError(_NAME)
        inherited.__delete__(self)

    return lambda self: inherited.__get__(self, type(self)), inherited.__set__, drop


def _reporting(inherited: Any, look: Callable[[Any], None]) -> _Reporting:
    """A property that does what the class has done before, and looks at the feedback when it has been set."""
    is_made_on_demand = hasattr(type(inherited), "__set__")
    get, put, drop = _own_ways(inherited) if is_made_on_demand else _plain_ways(inherited)

    def assign(self: Any, value: Any) -> None:
        put(self, value)
        look(self)

    found = _Reporting(get, assign, drop, getattr(inherited, "__doc__", None))
    found.is_made_on_demand = is_made_on_demand
    return found


def mirror_registrations(actions: Callable[[], dict[int, Any]], conversation: Conversation) -> None:
    """Have the client register the blackboard keys that actions register here, as its displays list them by node.

    Replaces ``register_key`` of py_trees' blackboard clients in this process, which belongs to one session.

    Args:
        actions: The instances by number.
        conversation: To the client.
    """
    original = py_trees.blackboard.Client.register_key
    told: set[tuple[int, str, str, str]] = set()

    @functools.wraps(original)
    def register_key(self: Any, key: str, access: Any, *rest: Any, **named: Any) -> Any:
        answer = original(self, key, access, *rest, **named)
        absolute = py_trees.blackboard.Blackboard.absolute_name(object.__getattribute__(self, "namespace"), key)
        location = object.__getattribute__(self, "remappings")[absolute]
        for number, instance in actions().items():
            registered = (number, absolute, access.name, location)
            if any(client is self for client in instance.blackboards) and registered not in told:
                told.add(registered)
                conversation.say(
                    messages.RegisteredKey(action=number, key=absolute, access=access.name, location=location)
                )
        return answer

    py_trees.blackboard.Client.register_key = register_key  # type: ignore[method-assign]
