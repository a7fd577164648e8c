# SPDX-License-Identifier: Apache-2.0
"""What is certain before an action begins: what a scenario spells out, not what changes while it runs."""

from __future__ import annotations

import py_trees
import pytest
from antlr4 import InputStream
from scenario_execution.model.osc2_parser import OpenScenario2Parser
from scenario_execution.model.types import BehaviorInvocation, ModelElement
from scenario_execution.utils.logging import Logger

from scenario_execution_remote.constancy import is_constant

SCENARIO = """
import osc.helpers

enum color: [
    red,
    green
]

struct point:
    x: float = 1.0
    y: float = 2.0

actor robot:
    title: string = "r"

actor counter:
    var count: int = 1

action probe:
    text: string = "default"
    number: float = 1.0
    where: point
    shade: color
    far: length = 2m
    names: list of string

action robot.move:
    speed: float = 1.0

action counter.step:
    speed: float = 1.0

scenario test:
    fixed: string = "a"
    derived: string = fixed
    size: float = 2.0
    drawn: float = random.get_float(0.0, 1.0)
    spot: point = point(x: 3.0)
    bot: robot
    adder: counter
    var word: string = "b"
    do serial:
        {action}
"""


def is_certain(action: str) -> bool:
    """Whether what an action is given is said to be constant."""
    parser = OpenScenario2Parser(Logger("test", False))
    tree = py_trees.composites.Sequence(name="", memory=True)
    text = InputStream(SCENARIO.replace("{action}", action))
    model = parser.create_internal_model(parser.parse_input_stream(text), tree, "test.osc", False)
    (found,) = model.find_children_of_type(BehaviorInvocation)
    return is_constant(found)


@pytest.mark.parametrize(
    "action",
    [
        "probe()",
        'probe("text", 3.0)',
        "probe(text: fixed)",
        "probe(text: derived)",
        "probe(far: 12cm)",
        "probe(shade: color!green)",
        'probe(names: ["a", "b"])',
        "probe(where: spot)",
        "probe(where: point(x: 1.5))",
        "probe(number: size + 1.0)",
        "bot.move(2.0)",
    ],
)
def test_what_a_scenario_spells_out_is_certain(action: str) -> None:
    assert is_certain(action)


@pytest.mark.parametrize(
    "action",
    [
        "probe(text: word)",
        "probe(number: drawn)",
        "probe(number: random.get_float(0.0, 1.0))",
        "adder.step(2.0)",
    ],
)
def test_a_variable_or_what_a_method_returns_is_not(action: str) -> None:
    assert not is_certain(action)


def test_an_element_that_nobody_knows_is_not() -> None:
    assert not is_constant(ModelElement("new"))
