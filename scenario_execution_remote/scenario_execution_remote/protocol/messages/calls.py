# SPDX-License-Identifier: Apache-2.0
"""What a client has its worker do with the actions of its scenarios: one call at a time, each numbered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Which class an action is, beyond its ambiguous name.

    Attributes:
        key: Name of the entry point in group ``scenario_execution.actions``.
        value: The entry point's ``module:Class`` on the client; empty if unknown (version 1 clients).
        distribution: Distribution that registers it on the client; empty if unknown.
        version: That distribution's version.
        init_arguments: Parameter names of ``__init__`` without ``self``, in order; None if unknown.
        execute_arguments: Likewise of ``execute``; None if the class has none, or if unknown.
    """

    key: str
    value: str = ""
    distribution: str = ""
    version: str = ""
    init_arguments: list[str] | None = None
    execute_arguments: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor an action is invoked on: its name and its qualified name, the prefix of its blackboard keys."""

    name: str
    qualified_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Directories:
    """What ``ScenarioExecutionConfig`` says on the client at that moment; absolute paths or None."""

    scenario_file: str | None
    output: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Construct an action. ``context`` is the model's (line, column, text, file), for error messages; ``label`` the osc
    label or None; ``scenario`` numbers the scenarios of a run; ``debug`` whether debug records are wanted."""

    call: int
    action: int
    scenario: int
    plugin: Plugin
    init_arguments: dict[str, Any]
    name: str
    label: str | None
    context: list[Any] | None
    actor: Actor | None
    directories: Directories
    debug: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Call ``setup(**kwargs)``. ``values`` holds the keyword arguments that travel as they are; ``provided`` names
    those the worker makes itself (``logger``, ``process_registry``, ``host_clock``, ``clock``), present only if the
    client got them."""

    call: int
    action: int
    values: dict[str, Any]
    provided: list[str]
    directories: Directories
    now_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One ``tick()``. ``arguments`` for ``execute`` if this tick activates the action, else None; ``now_s`` is scenario
    time, None without a scenario clock. With ``period_s`` the worker goes on ticking by itself, that often, until the
    action is not RUNNING any more, and only then answers: for links on which an answer takes longer than a tick.
    ``after`` is the call of the tick right before it, if this one is to take place only once that one has ended with
    SUCCESS. If it does not take place it is answered without status or fault; or not at all, if the answer to that one,
    with another status or a fault, says so already."""

    call: int
    action: int
    arguments: dict[str, Any] | None
    now_s: float | None
    period_s: float | None
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickAll:
    """One ``tick()`` for each of the running ``actions``, in this order, up to the first that does not stay RUNNING.
    Answered by :class:`Ticked`."""

    call: int
    actions: list[int]
    now_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execute:
    """Call ``initialise()`` alone; the next tick does not repeat it. Only version 1 clients need this."""

    call: int
    action: int
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Call ``stop(status)``, that is ``terminate(status)``; with ``if_begun`` not if the action is INVALID, as
    py_trees' composites do with their children."""

    call: int
    action: int
    status: str
    if_begun: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Call ``shutdown()``, once; a second request is answered without calling it again."""

    call: int
    action: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Ask process ``token``, which the worker has :class:`Registered`, for its ``question``: process-output or
    process-complete."""

    call: int
    token: int
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListActions:
    """Say which actions this client may run here, and what they take. Answered by :class:`Actions`."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndScenario:
    """Shut down and forget all actions of a scenario."""

    call: int
    scenario: int
