# SPDX-License-Identifier: Apache-2.0
"""What a worker says and asks beside the results of calls, for the actions that it runs."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """The worker is between two calls and goes on ticking; said about once a second while it does so by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One record for the client's logger. ``level``: ``debug``, ``info``, ``warning`` or ``error``."""

    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What the worker wrote to ``stdout`` or ``stderr``."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """``feedback_message`` changed between calls. Of this and the feedback in results, what comes last counts."""

    action: int
    text: str | None


class Question(str, enum.Enum):
    """What a worker may ask the client while a call runs or between calls."""

    BLACKBOARD_GET = "blackboard-get"
    BLACKBOARD_EXISTS = "blackboard-exists"
    BLACKBOARD_KEYS = "blackboard-keys"
    PROCESS_LIST = "process-list"  # tokens of the processes registered under a label, in order
    PROCESS_OUTPUT = "process-output"  # captured lines of the process with this token
    PROCESS_COMPLETE = "process-complete"  # whether no more will come


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question the worker waits for; ``ticket`` names the answer."""

    ticket: int
    question: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The client's answer to an :class:`Ask`: a value, or the name and text of the error it raised there."""

    ticket: int
    value: Any
    error: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A blackboard write, in order with everything else the worker sends; ``unset`` removes the key."""

    key: str
    value: Any
    unset: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredKey:
    """An action has registered a blackboard key.

    Attributes:
        key: Its absolute name, whatever the namespace of the action's blackboard client.
        access: Name of the py_trees access.
        location: Under which the blackboard keeps it: the same, unless the action has it remapped.
    """

    action: int
    key: str
    access: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An action has registered itself in the scenario's process registry under ``label``; ``token`` names it."""

    label: str
    token: int
