# SPDX-License-Identifier: Apache-2.0
"""Generated trees run the same wherever their actions run. `./dev fuzz` tries others each time, and shrinks."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from tests.support.servers import Identity
from tests.support.trees import EXAMPLES, Example, Node
from tests.support.twins import Twins, check, differences, serving_twins

EXAMPLE_COUNT = 60  # in about 20 s


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, owner: Identity, site: str) -> Iterator[Twins]:
    with serving_twins(tmp_path_factory.mktemp("twins"), owner.folder, site) as twins:
        yield twins


def remote(script: str) -> Node:
    return Node(f"script {script}", ("remote",))


@settings(
    max_examples=EXAMPLE_COUNT,
    derandomize=True,  # the same ones each time: what breaks one is then the change that is tested
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # finding the smallest takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(generated=EXAMPLES)
@example(generated=Example(Node("serial", (), (remote("R S"), remote("R F")))))
@example(generated=Example(Node("serial", ("repeat(2)",), (remote("S"), remote("R S")))))
@example(generated=Example(Node("one_of", ("retry(2)",), (remote("R F / R S"), remote("R R R S")))))
@example(generated=Example(Node("parallel", (), (remote("S"), remote("R V")))))
@example(generated=Example(Node("serial", (), (remote("R I"), remote("S")))))
def test_a_generated_tree_runs_the_same_here_and_remotely(twins: Twins, generated: Example) -> None:
    check(twins, generated)


def test_the_comparison_sees_that_an_action_was_called_differently(twins: Twins) -> None:
    """Were it blind, all examples would pass: here the two runs differ on purpose."""
    here, _ = twins.run(Example(Node("serial", (), (remote("R S"),))))
    _, there = twins.run(Example(Node("serial", (), (remote("S"),))))
    found = differences(here, there)
    assert all(part in found for part in ("trace", "states", "ticks")), found


def test_only_the_actions_without_remote_run_in_this_process(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were it more, the comparison would compare this process with itself."""
    scripted = importlib.import_module("scenario_execution_probe.scripted")
    executed_here: list[str] = []
    original = scripted.Scripted.execute

    def execute(self: Any, script: str) -> None:
        executed_here.append(script)
        original(self, script)

    # an action's constructor looks at the signature of execute(), here as well as in the server's process
    monkeypatch.setattr(scripted.Scripted, "execute", execute)
    _, there = twins.run(Example(Node("serial", (), (remote("S"), Node("script R S")))))
    assert executed_here == ["S", "R S", "R S"]
    assert "a0 execute(INVALID)" in there.trace
