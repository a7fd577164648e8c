# SPDX-License-Identifier: Apache-2.0
"""What actions do to themselves and the client shows: feedback that they set, blackboard keys that they register."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import py_trees

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.conversation import Conversation

FEEDBACK_CHARACTERS = 64 * 1024  # a message for displays; beyond that it is a file, and would not fit into one body


def feedback_text(value: object) -> str:
    """A feedback message as displays get it: of any object, also of one without a text, for which nobody else asks."""
    try:
        return str(value)[:FEEDBACK_CHARACTERS]
    except Exception as error:  # noqa: BLE001 - an action's own class; locally it does no harm either
        return f"<{type(value).__name__} without a text: {type(error).__name__}>"


def report_feedback(
    cls: type, changed: Callable[[object, str], None], telling: AbstractContextManager[object]
) -> type:
    """A class like *cls* that reports each assignment to ``feedback_message``, which threads may do between ticks.

    Args:
        cls: The class of an action.
        changed: Is told the instance and its feedback as text.
        telling: A lock, so that what is set last is told last. No text is made while it is held, as that runs code of
            the action's, which may wait for a lock of its own. Its holder may ask for it again, all the same: what is
            collected as garbage meanwhile may set something as well.
    """

    def get(self: Any) -> Any:
        return self.__dict__.get("feedback_message", "")

    def assign(self: Any, value: Any) -> None:
        before = self.__dict__.get("feedback_message")
        text, text_before = feedback_text(value), feedback_text(before)
        with telling:
            is_other = self.__dict__.get("feedback_message") is not before  # by now, as set by another thread
            self.__dict__["feedback_message"] = value
            if is_other or text != text_before:
                changed(self, text)

    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls,), names | {"feedback_message": property(get, assign)})


def mirror_registrations(actions: Callable[[], dict[int, Any]], conversation: Conversation) -> None:
    """Have the client register the blackboard keys that actions register here, as its displays list them by node.

    Replaces ``register_key`` of py_trees' blackboard clients in this process, which belongs to one session.

    Args:
        actions: The instances by number.
        conversation: To the client.
    """
    original = py_trees.blackboard.Client.register_key
    told: set[tuple[int, str, str]] = set()

    @functools.wraps(original)
    def register_key(self: Any, key: str, access: Any, *rest: Any, **named: Any) -> Any:
        answer = original(self, key, access, *rest, **named)
        for number, instance in actions().items():
            registered = (number, key, access.name)
            if any(client is self for client in instance.blackboards) and registered not in told:
                told.add(registered)
                conversation.say(messages.RegisteredKey(action=number, key=key, access=access.name))
        return answer

    py_trees.blackboard.Client.register_key = register_key  # type: ignore[method-assign]
