# SPDX-License-Identifier: Apache-2.0
"""Trees of the benchmark's own actions, built by the engine from OSC text, with or without ``remote()`` around them."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import py_trees
from antlr4.InputStream import InputStream
from scenario_execution.actions.process_registry import ProcessRegistry
from scenario_execution.model.model_to_py_tree import create_py_tree
from scenario_execution.model.osc2_parser import OpenScenario2Parser
from scenario_execution.simulation import HostClock
from scenario_execution.utils.logging import Logger

from tests.support.probe import make_site

PLUGIN = Path(__file__).parent / "plugin"


def install_plugin(folder: Path, environment: dict[str, str]) -> None:
    """Make the benchmark's actions known to this process and to servers started with *environment*."""
    path = make_site(folder / "site", PLUGIN)
    environment["PYTHONPATH"] = path
    sys.path[:0] = path.split(":")


def text(composition: str, action: str | Sequence[str], count: int, remote: str) -> str:
    """A scenario: *count* times *action*, or those, in one *composition*, all under *remote* unless that is empty."""
    actions = [action] * count if isinstance(action, str) else action
    lines = ["import osc.bench", "import osc.remote", "scenario bench:"]
    if remote:
        lines += [f"    {remote}"]
    lines += [f"    do {composition}:", *[f"        {one}" for one in actions]]
    return "\n".join(lines) + "\n"


def build(
    scenario: str, tick_period_s: float = 0.1, input_dir: str | None = None
) -> py_trees.trees.BehaviourTree:  # fmt: skip
    """The tree, set up as the engine's own runner does it, with the visitor that the runner always adds.

    Args:
        scenario: Its text.
        tick_period_s: Seconds from tick to tick.
        input_dir: The folder that goes to the server; none unless told otherwise.
    """
    return timed_build(scenario, tick_period_s, input_dir)[0]


def timed_build(
    scenario: str, tick_period_s: float = 0.1, input_dir: str | None = None
) -> tuple[py_trees.trees.BehaviourTree, float]:
    """The same, and how many seconds its set-up took."""
    logger = Logger("bench", False)
    parser = OpenScenario2Parser(logger)
    root = py_trees.composites.Sequence(name="", memory=True)
    model = parser.create_internal_model(parser.parse_input_stream(InputStream(scenario)), root, "bench.osc", False)
    tree = py_trees.trees.BehaviourTree(create_py_tree(model, root, logger, False))
    tree.add_visitor(py_trees.visitors.DisplaySnapshotVisitor())
    kwargs: dict[str, Any] = {
        "logger": logger, "input_dir": input_dir, "output_dir": None, "tick_period": tick_period_s,
        "process_registry": ProcessRegistry(), "host_clock": HostClock(),
    }  # fmt: skip
    began_s = time.perf_counter()
    tree.setup(**kwargs)
    return tree, time.perf_counter() - began_s


def quietly(work: Any) -> Any:
    """Run *work* without what a display visitor prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return work()
