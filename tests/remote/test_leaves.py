# SPDX-License-Identifier: Apache-2.0
"""Which leaves stand between two, and which of them are ticked next."""

from __future__ import annotations

import py_trees
import pytest
from py_trees.behaviours import Running, Success, TickCounter
from py_trees.common import Status

from scenario_execution_remote.leaves import Leaves, Node, is_due


def a_parallel(*children: Node) -> py_trees.composites.Parallel:
    policy = py_trees.common.ParallelPolicy.SuccessOnAll()
    return py_trees.composites.Parallel("parallel", policy=policy, children=list(children))


def test_leaves_are_in_the_order_in_which_they_are_ticked() -> None:
    a, b, c, d = (Running(name) for name in "abcd")
    row = py_trees.composites.Sequence("row", memory=True, children=[b, c])
    leaves = Leaves(a_parallel(a, row, d), lambda _node: False)
    assert leaves.between(a, d) == [b, c]
    assert leaves.between(a, b) == []
    assert leaves.between(d, a) is None
    assert leaves.between(a, Running("not in the tree")) is None


def test_a_unit_is_one_leaf_whatever_is_shown_below_it() -> None:
    a, b, c = (Running(name) for name in "abc")
    unit = py_trees.composites.Sequence("unit", memory=True, children=[b])
    assert Leaves(a_parallel(a, unit, c), lambda node: node is unit).between(a, c) == [unit]


@pytest.mark.parametrize(("repeats", "is_next"), [(False, False), (True, True)])
def test_one_that_has_ended_is_due_where_a_decorator_begins_it_anew(repeats: bool, is_next: bool) -> None:
    leaf = Success("leaf")
    branch: Node = py_trees.decorators.Repeat("repeat", child=leaf, num_success=3) if repeats else leaf
    tree = a_parallel(branch, Running("other"))
    tree.tick_once()
    assert leaf.status is Status.SUCCESS
    assert is_due(leaf) is is_next


def test_in_a_row_only_the_one_that_runs_is_due() -> None:
    first, second, third = Success("first"), TickCounter("second", 5, Status.SUCCESS), Success("third")
    row = py_trees.composites.Sequence("row", memory=True, children=[first, second, third])
    a_parallel(row).tick_once()
    assert [is_due(one) for one in (first, second, third)] == [False, True, False]
