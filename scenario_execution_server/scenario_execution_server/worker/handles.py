# SPDX-License-Identifier: Apache-2.0
"""Objects that cannot travel: they stay here, a handle goes out, and when it comes back it is the object again."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from typing import Any

from scenario_execution_remote.protocol.values import Handle

KEPT_COUNT = 10_000  # a topic monitor at 100 Hz writes one a second per topic or more; the oldest are long overwritten


class Handles:
    """The objects of one worker that the client knows by a handle.

    Args:
        origin: Names this worker, see :class:`Handle`.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._objects: OrderedDict[int, Any] = OrderedDict()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def keep(self, value: object) -> Handle:
        """Keep *value* and return what goes out instead of it."""
        with self._lock:
            number = next(self._numbers)
            self._objects[number] = value
            if len(self._objects) > KEPT_COUNT:
                self._objects.popitem(last=False)
        return Handle(number, self._origin, str(value))

    def restore(self, value: Any) -> Any:
        """*value* with each handle in it replaced by its object.

        Raises:
            LookupError: a handle is another worker's, or its object has been dropped.
        """
        if isinstance(value, Handle):
            if value.origin != self._origin:
                raise LookupError(f"'{value.text}' is an object that lives on another server and cannot be used here")
            with self._lock:
                if value.number not in self._objects:
                    raise LookupError(f"'{value.text}' was made too long ago and is not kept any more")
                return self._objects[value.number]
        if not self._objects:
            return value
        if isinstance(value, (list, tuple, set, frozenset)):
            return type(value)(self.restore(item) for item in value)
        if isinstance(value, dict):
            return {self.restore(key): self.restore(item) for key, item in value.items()}
        return value
