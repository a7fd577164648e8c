# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for values that cannot travel by content: variables, and objects that stay where they were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reference:
    """A scenario variable, passed by name: the engine's ``VariableReference`` on both ends.

    Attributes:
        key: Blackboard key, for example ``/scenario/param/variable``.
    """

    key: str


@dataclass(frozen=True, slots=True)
class Handle:
    """An object that stays in the worker that made it; coming back there, it is that object again.

    Attributes:
        number: Names the object in its worker.
        origin: Names the worker, so that a handle cannot be mistaken for another worker's.
        text: ``str(object)`` when it was sent, for displays.
    """

    number: int
    origin: str
    text: str

    def __str__(self) -> str:
        return self.text

    def __getattr__(self, name: str) -> Any:
        """Say where the object is, to whoever looks inside."""
        if name in ("number", "origin", "text") or name.startswith("__"):  # asked for by copy and pickle; not there yet
            raise AttributeError(name)
        raise AttributeError(
            f"'{self.text}' is an object that lives on the server where an action made it, and only its text is here; "
            f"an action that uses its '{name}' has to run on the same server"
        )
