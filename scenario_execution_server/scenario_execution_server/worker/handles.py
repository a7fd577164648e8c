# SPDX-License-Identifier: Apache-2.0
"""Objects that cannot travel: they stay here, a handle goes out, and when it comes back it is the object again."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import Any

from scenario_execution_remote.protocol.values import Handle

KEPT_COUNT = 10_000  # a topic monitor that writes ten a second is heard for a quarter of an hour before one is lost
_TEXT_CHARACTERS = 1000  # of an object's text: it is for displays, and the text of a picture is longer than the picture
_CONTAINERS = frozenset((list, tuple, dict, set, frozenset))


class Handles:
    """The objects of one worker that the client knows by a handle; those longest out of use are forgotten first.

    Args:
        origin: Names this worker, see :class:`Handle`.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._objects: OrderedDict[int, Any] = OrderedDict()  # longest out of use first
        self._number_of: dict[int, int] = {}  # id() of a kept object -> its number, so that writing it again costs none
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def keep(self, value: object) -> Handle:
        """Keep *value* and return what goes out instead of it; the same object has the same number again."""
        text = _text_of(value)
        with self._lock:
            number = self._number_of.get(id(value))
            if number is None:
                number = next(self._numbers)
                self._objects[number] = value
                self._number_of[id(value)] = number
                if len(self._objects) > KEPT_COUNT:
                    _, forgotten = self._objects.popitem(last=False)
                    del self._number_of[id(forgotten)]
            else:
                self._objects.move_to_end(number)
        return Handle(number, self._origin, text)

    def restore(self, value: Any) -> Any:
        """*value* with each handle in it replaced by its object; *value* itself if there is none to look for.

        Raises:
            LookupError: a handle is another worker's, or its object has been forgotten.
        """
        if isinstance(value, Handle):
            return self._find(value)
        if type(value) not in _CONTAINERS:
            return value
        kinds = set(map(type, value))
        if isinstance(value, dict):
            kinds.update(map(type, value.values()))
        if Handle not in kinds and kinds.isdisjoint(_CONTAINERS):
            return value
        if isinstance(value, dict):
            return {self.restore(key): self.restore(item) for key, item in value.items()}
        return type(value)(self.restore(item) for item in value)

    def _find(self, handle: Handle) -> Any:
        if handle.origin != self._origin:
            raise LookupError(f"'{handle.text}' is an object that lives on another server and cannot be used here")
        with self._lock:
            if handle.number not in self._objects:
                raise LookupError(f"'{handle.text}' was made too long ago and is not kept any more")
            self._objects.move_to_end(handle.number)
            return self._objects[handle.number]


def _text_of(value: object) -> str:
    try:
        return str(value)[:_TEXT_CHARACTERS]
    except Exception as error:  # noqa: BLE001 - str() of an action's object is the action's code
        return f"<{type(value).__qualname__}, whose str() raised {type(error).__qualname__}>"
