# SPDX-License-Identifier: Apache-2.0
"""Runs a generated scenario in this process, once with its actions here and once with its remote() in place."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import py_trees
from scenario_execution import ScenarioExecution
from scenario_execution.model.osc2_parser import OpenScenario2Parser
from scenario_execution.scenario_execution_base import ScenarioExecutionConfig
from scenario_execution.simulation import SimulationInterface
from scenario_execution.utils.logging import BaseLogger

from scenario_execution_remote.marker import Remote
from scenario_execution_remote.run import RUN
from tests.support.servers import CURVE, serving
from tests.support.trees import VARIABLES, Example

MOST_TICKS = 12  # beyond every activation that a generated script distinguishes


# The place in the file and the invocation's own text, with its remote(), before what an ActionError says.
PLACE = re.compile(r"\(line: \d+, column: \d+ in '[^']*'\) -> .*: (?=a\d+ in \w+$)", re.DOTALL)
# What draws the tree in a record, with the nodes of remote() in it.
TREE = re.compile(r" (\{-\}|/_/|-\^-).*", re.DOTALL)


class _Parser(OpenScenario2Parser):
    """Parses imported files once per process: they are the same each time, and most of an example's time goes there."""

    _parsed: ClassVar[dict[str, Any]] = {}

    def parse_input_stream(self, input_stream: Any, log_model: bool = False, error_prefix: str = "") -> Any:
        text = str(input_stream)
        if "scenario here:" in text:
            return super().parse_input_stream(input_stream, log_model, error_prefix)
        if text not in self._parsed:
            self._parsed[text] = super().parse_input_stream(input_stream, log_model, error_prefix)
        return self._parsed[text]


class Records(BaseLogger):
    """Keeps what is logged, as LEVEL TEXT."""

    def __init__(self) -> None:
        super().__init__("scenario_execution", False)
        self.lines: list[str] = []

    def info(self, msg: str) -> None:
        self.lines.append(f"info {msg}")

    def debug(self, msg: str) -> None:
        pass

    def warning(self, msg: str) -> None:
        self.lines.append(f"warning {msg}")

    def error(self, msg: str) -> None:
        self.lines.append(f"error {msg}")


class Steps(SimulationInterface):
    """A simulation of nothing: the engine ticks a bounded number of times, unpaced, one second of its time each.

    Under a simulation time stands still while a remote action is waited for, so a result always comes in its own tick.
    """

    def __init__(self) -> None:
        self.tree: py_trees.behaviour.Behaviour | None = None
        self.states: list[str] = []
        self.count = 0

    @property
    def dt(self) -> float:
        return 1.0

    def step(self) -> None:
        self.look()
        if self.count == MOST_TICKS:
            raise KeyboardInterrupt
        self.count += 1

    def look(self) -> None:
        """Note the state of every node. Those of remote() itself are left out: they are not there locally."""
        assert self.tree is not None
        nodes = [node for node in self.tree.iterate() if not isinstance(node, Remote)]
        for node in nodes:
            # the outermost modifier of a scenario gets the scenario's name, and that may be remote() or another one
            name = type(node).__name__ if isinstance(node, py_trees.decorators.Decorator) else node.name
            self.states.append(f"{self.count}: {name} {node.status.name} {node.feedback_message!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything about a run that must not depend on where actions run.

    Attributes:
        trace: Every lifecycle call of every scripted action, with the status before it; one group after the other, see
            `Example.groups`.
        states: Status and feedback of every node, before the first tick and after each.
        ticks: How often the tree was ticked.
        verdict: The results that the engine would write into test.xml.
        raised: What came out of the engine, if anything did.
        logged: Records at info level and above.
        variables: Their last values.
    """

    trace: list[str]
    states: list[str]
    ticks: int
    verdict: list[str]
    raised: str
    logged: list[str]
    variables: list[Any]


class Twins:
    """Runs examples one after the other.

    Args:
        folder: For the scenario and its trace.
        endpoints: For the two kinds of remote() in an example.
    """

    def __init__(self, folder: Path, endpoints: tuple[str, str]) -> None:
        self._file, self._trace = folder / "twins.osc", folder / "trace.txt"
        self._endpoints = endpoints

    def run(self, example: Example) -> tuple[Outcome, Outcome]:
        """Both outcomes: here, there."""
        self._file.write_text(example.text(str(self._trace), self._endpoints), encoding="utf-8")
        py_trees.blackboard.Blackboard.clear()
        logger = Records()
        parsed = _Parser(logger).process_file(str(self._file), False)
        here, there = (self._run(scenario, example.groups(), logger) for scenario in parsed)
        return here, there

    def _run(self, scenario: tuple[Any, ...], groups: list[str], logger: Records) -> Outcome:
        steps = Steps()
        steps.tree, name = scenario[0], scenario[0].name
        self._trace.write_bytes(b"")
        logger.lines.clear()
        execution = ScenarioExecution(
            debug=False, log_model=False, live_tree=False, scenario_file=str(self._file), output_dir="",
            logger=logger, register_signal=False, simulation=steps,
        )  # fmt: skip
        execution.scenarios_list = [scenario]
        raised = ""
        try:
            execution.run()
        except BaseException as error:  # noqa: BLE001  (actions raise anything, and it must be the same on both sides)
            raised = f"{type(error).__name__}: {error}"
        try:
            steps.look()
            # before the session ends: what it does to its actions then has no local counterpart
            trace = self._trace.read_text(encoding="utf-8").splitlines()
            logged = [TREE.sub("", line).replace(name, "NAME") for line in logger.lines]
            values = [py_trees.blackboard.Blackboard.storage.get(f"/{name}/{variable}") for variable in VARIABLES]
        finally:
            RUN.end()
        return Outcome(
            trace=sorted(trace, key=lambda line: groups[int(line.split()[0][1:])]),  # keeps the order within a group
            states=[line.replace(f" {name} ", " NAME ") for line in steps.states],
            ticks=steps.count,
            verdict=[f"{result.name} {result.result} {result.failure_message}".replace(name, "NAME")
                     for result in execution.results],
            raised=PLACE.sub("", raised),
            logged=logged,
            variables=values,
        )  # fmt: skip


def differences(here: Outcome, there: Outcome) -> str:
    """What is not the same, for people; nothing if all is."""
    found = []
    for field in fields(Outcome):
        one, other = getattr(here, field.name), getattr(there, field.name)
        if one == other:
            continue
        if isinstance(one, list):
            pairs = enumerate(zip(one, other, strict=False))
            equal = next((number for number, pair in pairs if pair[0] != pair[1]), min(len(one), len(other)))
            one, other = (["...", *side[max(0, equal - 3) : equal + 3]] for side in (one, other))
            found.append(f"{field.name}, from number {equal} on:")
            found += ["  here:", *(f"    {line}" for line in one), "  there:", *(f"    {line}" for line in other)]
        else:
            found.append(f"{field.name}: here {one!r}, there {other!r}")
    return "\n".join(found)


def check(twins: Twins, example: Example) -> None:
    """Fail, and say how, if an example does not run the same here and there."""
    here, there = twins.run(example)
    found = differences(here, there)
    assert not found, f"it does not run the same here and there\n\n{example!r}\n{found}"


@contextmanager
def serving_twins(folder: Path, keys: Path, site: str) -> Iterator[Twins]:
    """Twins with a server for the length of a block: one with two doors, for the two kinds of remote()."""
    before = os.environ.get("SCENARIO_EXECUTION_KEYS_DIR")
    os.environ["SCENARIO_EXECUTION_KEYS_DIR"] = str(keys)
    try:
        options = (*CURVE, "--socket", str(folder / "server" / "s"))
        with _plug_ins_of(site), serving(folder / "server", *options, keys=keys, site=site) as server:
            server.wait_for_log("listening on")
            yield Twins(folder, (str(folder / "server" / "s"), server.endpoint))
    finally:
        config = ScenarioExecutionConfig()  # of this process: what comes after is not in a scenario's directory
        config.scenario_file_directory = config.output_directory = None
        if before is None:
            del os.environ["SCENARIO_EXECUTION_KEYS_DIR"]
        else:
            os.environ["SCENARIO_EXECUTION_KEYS_DIR"] = before


@contextmanager
def _plug_ins_of(site: str) -> Iterator[None]:
    """Make the plug-ins on a PYTHONPATH available to this process for the length of a block."""
    parts = site.split(os.pathsep)
    sys.path[:0] = parts
    try:
        yield
    finally:
        for part in parts:
            with suppress(ValueError):
                sys.path.remove(part)
