# SPDX-License-Identifier: Apache-2.0
"""The actions a server offers, as it says: checked, because nobody knows yet what the other side is. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scenario_execution_remote.errors import RemoteProtocolError
from scenario_execution_remote.protocol.messages import Actions


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedAction:
    """One action that can be run there.

    Attributes:
        key: Its name.
        value: Its entry point, ``module:Class``.
        distribution: The package that provides it.
        version: That package's version.
        init_arguments: What its constructor takes; None if unknown.
        execute_arguments: What ``execute`` takes; None if it has none, or if unknown.
        trouble: Why it cannot be used; empty if it can.
    """

    key: str
    value: str
    distribution: str
    version: str
    init_arguments: tuple[str, ...] | None
    execute_arguments: tuple[str, ...] | None
    trouble: str

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "name": self.key,
            "entry_point": self.value,
            "distribution": self.distribution,
            "version": self.version,
            "init_arguments": None if self.init_arguments is None else list(self.init_arguments),
            "execute_arguments": None if self.execute_arguments is None else list(self.execute_arguments),
            "trouble": self.trouble or None,
        }


def offered_by(answer: Actions) -> list[OfferedAction]:
    """The actions in a server's answer.

    Raises:
        RemoteProtocolError: it is not what such an answer looks like.
    """
    if not isinstance(answer, Actions):
        raise RemoteProtocolError(f"the server answered the question for its actions with {type(answer).__name__}")
    return [_read(entry) for entry in answer.offered]


def _read(entry: Any) -> OfferedAction:
    if not isinstance(entry, list) or len(entry) != 7:
        raise RemoteProtocolError("the server describes an action with other words than this client knows")
    key, value, distribution, version, init, execute, trouble = entry
    if not all(isinstance(text, str) for text in (key, value, distribution, version, trouble)):
        raise RemoteProtocolError("the server describes an action with something that is no text")
    return OfferedAction(
        key=key, value=value, distribution=distribution, version=version, init_arguments=_names(init),
        execute_arguments=_names(execute), trouble=trouble,
    )  # fmt: skip


def _names(names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RemoteProtocolError("the server describes an action's arguments with something that is no list of names")
    return tuple(names)
