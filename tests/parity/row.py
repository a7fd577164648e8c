# SPDX-License-Identifier: Apache-2.0
"""What a row of the parity table says."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

HEAD = "import osc.helpers\nimport osc.remote\nimport osc.probe\nimport osc.parity\n"


class Pace(Enum):
    """How the ticks of a run follow each other; half of the tick period is what a tick may wait for remote results.

    On a busy machine no process gets its turn within a few milliseconds for certain, so that with short periods
    some results would
    come a tick later, as they may; and with long ones the suite would last for hours.
    """

    HURRIED = 4.0  # the period as the engine knows it, in seconds; but the engine's sleep between ticks is cut short
    SIMULATED = (
        0.1  # --simulation, with a simulator that does nothing: time goes by in steps, as fast as they can be made
    )
    WALL = 0.4  # the engine really waits between ticks


class Feature(Enum):
    """What a row is about; a chapter of the reference page."""

    PLACEMENT = "Where remote() stands"
    LIFECYCLE = "Lifecycle"
    END = "The end of a scenario"
    EXCEPTIONS = "Exceptions"
    VALUES = "Values of arguments"
    VARIABLES = "Variables, blackboard and events"
    PROCESS = "The process around an action"
    REGISTRY = "Background processes and their output"
    VOICES = "Logger, feedback and output"
    SUBTREES = "Actions that are subtrees"
    CLOCKS = "Clocks and simulation"
    TOOLS = "Tools that look at the tree"
    FILES = "Files, parameter files and several scenarios"
    PLUGINS = "Which class an action is"
    QUIRKS = "Quirks of the engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference on purpose.

    Attributes:
        title: What is different, as a sentence.
        why: Why it has to be.
        record: File in docs/decisions.
    """

    title: str
    why: str
    record: str


class Live(Protocol):
    """A run that is going on, for a row that does something to it."""

    def wait_for(self, text: str, file: str = "trace", count: int = 1) -> None:
        """Wait until a file of the run has a text that many times; ``output`` is what it printed."""

    def signal(self, name: str) -> None:
        """Send a signal to the runner."""

    def end_after(self, seconds: float) -> None:
        """Kill the runner if it does not end by itself within that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One scenario that is run locally and remotely.

    «Lines of Python» in `text` become a string of the language, which has no quotes in strings. In `text`,
    `options`, `files` and `environment`, ``$F`` is the folder of the run, ``$T`` the argument that has an action write
    a trace there, and ``$N`` a number nobody else uses. A line ``REMOTE`` is a remote() for the first server,
    ``REMOTE2`` for the second, ``APART`` one for the first that shares no files; in the local run it is a comment.

    Attributes:
        name: A sentence that would be false if the row failed.
        feature: Where it belongs.
        text: The scenario file.
        options: More of the engine's options.
        files: More files, by name in the folder of the run.
        environment: More variables for the client.
        program: What is run in place of the engine's own command line; it gets the options and no others.
        pace: How fast it ticks.
        code: The local exit status: a row is not to compare two failures that nobody has meant.
        says: A text that the local run prints, so that it fails for no other reason; if the status is 1 and nothing is
            said here, the verdict of the scenario.
        refused: The scenario is not run, as the row is about what comes before that.
        meanwhile: Done to the run while it lasts.
        as_model: The scenario is a model file (.sce).
        fresh: The engine runs in a process that has to load it first, as that matters to the row.
        alone: It needs the machine for itself, because it measures time.
        unordered: What is compared without regard to order, and why that is undefined.
        unsteady: Why nobody knows in which tick something happens; then only the results of the leaves are
            compared, not the
            ticks in between.
        unlike: What is not compared, and why it cannot be the same.
        cut: How many lines of each trace are compared, for scenarios that would go on for ever.
        differs: The difference on purpose that it shows.
        remotely: What is different: aspect -> what it is for the remote run.
        adds: Log records that the remote run may have besides; at least one of them has to be there.
        tells: A text that the remote run has to print, where its words are not those of the local one.
        here: Tags of actions that run on the client in either case.
        stopped: Tags of actions that still run at the end of the scenario, so that the remote ones are stopped.
    """

    name: str
    feature: Feature
    text: str
    options: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ()
    pace: Pace = Pace.HURRIED
    code: int = 0
    says: str = ""
    refused: bool = False
    meanwhile: Callable[[Live], None] | None = None
    as_model: bool = False
    alone: bool = False
    fresh: bool = False
    unordered: Mapping[str, str] = field(default_factory=dict)
    unsteady: str = ""
    unlike: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    differs: Difference | None = None
    remotely: Mapping[str, object] = field(default_factory=dict)
    adds: tuple[str, ...] = ()
    tells: str = ""
    here: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The name as it stands in the names of tests and folders."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def is_root_remote(self) -> bool:
        """Whether remote() is the outermost modifier of a scenario: then it has the name of the scenario."""
        return re.search(r"^scenario [^\n]*:\n    (REMOTE|APART)$", self.text, re.MULTILINE) is not None

    def __str__(self) -> str:
        return self.slug


def scenario(body: str, *, declare: str = "", modifiers: str = "REMOTE", imports: str = "", name: str = "test") -> str:
    """A scenario, all of it remote unless `modifiers` says otherwise.

    Args:
        body: The lines below ``do serial:``.
        declare: The lines before ``do``: variables, events, actors.
        modifiers: The modifiers of the scenario.
        imports: More lines at the head of the file.
        name: The scenario's.
    """

    def lines(text: str, depth: int) -> str:
        return textwrap.indent(textwrap.dedent(text).strip("\n"), "    " * depth)

    parts = [
        HEAD + imports,
        f"scenario {name}:",
        lines(modifiers, 1),
        lines(declare, 1),
        "    do serial:",
        lines(body, 2),
    ]
    return "\n".join(part.rstrip() for part in parts if part.strip()) + "\n"


def quoted(code: str) -> str:
    """Lines of Python as a string of the language."""
    text = textwrap.dedent(code.strip("\n"))
    return '"' + re.sub(r"""['"\\\n]|[^\x20-\x7e]""", lambda found: f"\\u{ord(found[0]):04x}", text) + '"'


def localised(text: str, endpoints: Mapping[str, str] | None) -> str:
    """The scenario with its REMOTE lines filled in, or, without endpoints, made comments; lines keep their numbers."""
    text = re.sub(r"«(.*?)»", lambda found: quoted(found[1]), text, flags=re.DOTALL)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        word = line.strip()
        if word not in ("REMOTE", "REMOTE2", "APART"):
            continue
        indent = line[: len(line) - len(line.lstrip())]
        if endpoints is not None:
            # a busy machine needs more than the default of 5 s for the set-up
            name, more = ("REMOTE", ', files: "copy"') if word == "APART" else (word, "")
            lines[number] = f'{indent}remote("{endpoints[name]}", setup_timeout: 40s{more})'
            continue
        lines[number] = f"{indent}# remote"
        before, after = lines[number - 1], "\n".join(lines[number + 1 :])
        if before.rstrip().endswith("with:") and not re.match(rf"{indent}\S", after):
            lines[number - 1] = re.sub(r"with:\s*$", "# with:", before)
    return "\n".join(lines)
