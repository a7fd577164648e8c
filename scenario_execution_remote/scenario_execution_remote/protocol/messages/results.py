# SPDX-License-Identifier: Apache-2.0
"""What has come of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An exception as it travels.

    Attributes:
        phase: Lifecycle method that raised: ``create``, ``setup``, ``execute``, ``update``, ``terminate``,
            ``shutdown``, or ``protocol``.
        type_name: Name of the class, as the last traceback line shows it.
        module: Module of the class.
        text: ``str(exception)``.
        message: The bare ``msg`` of an ``OSC2Error``, without the location; else None.
        arguments: ``args`` if all of them can travel, else None.
        traceback: The remote traceback as text, for the log.
    """

    phase: str
    type_name: str
    module: str
    text: str
    message: str | None
    arguments: list[Any] | None
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The outcome of a call.

    Attributes:
        call: Number of the call this answers.
        status: Name of the py_trees status after a tick, or None for other calls.
        stopped: Whether that tick already ran ``stop(status)``.
        feedback: ``feedback_message`` now, as text; None if it is None, which displays leave out.
        fault: What was raised, or None.
        value: The answer to a :class:`Query`, else None.
        nodes: For each node of an action that is a subtree, in ``iterate()`` order: status name, feedback, its turn
            in the tick (None if that did not come to it), and index of the current child (or None); else empty.
    """

    call: int
    status: str | None
    stopped: bool
    feedback: str | None
    fault: Fault | None
    value: Any
    nodes: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """The outcome of a :class:`TickAll`: the first ``running`` actions stayed RUNNING; ``result`` is that of the next
    one, None if all did. Changed feedback messages come before it, as :class:`Feedback`."""

    call: int
    running: int
    result: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """The outcome of a :class:`ListActions`.

    Attributes:
        call: Number of the call this answers.
        utc_s: The server's clock: seconds since 1970.
        globs: What the client may run, as globs of action names.
        offered: One list for each entry point that these cover, in the order of their names: ``key``, ``value``,
            ``distribution``, ``version``, ``init_arguments`` and ``execute_arguments`` as in :class:`Plugin`, and last
            why it cannot be used, empty if it can.
    """

    call: int
    utc_s: float
    globs: list[str]
    offered: list[Any]
