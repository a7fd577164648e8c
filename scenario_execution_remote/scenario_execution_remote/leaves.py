# SPDX-License-Identifier: Apache-2.0
"""The leaves of a tree in the order in which it ticks them, and which of them it will tick next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import py_trees
from py_trees.common import Status

Node = py_trees.behaviour.Behaviour


class Leaves:
    """Where each leaf of one tree stands.

    Args:
        root: Of the tree.
        is_unit: Whether a node is ticked as one, whatever is shown below it.
    """

    def __init__(self, root: Node, is_unit: Callable[[Node], bool]) -> None:
        self._order = list(_leaves_below(root, is_unit))
        self._places = {id(leaf): place for place, leaf in enumerate(self._order)}

    def between(self, first: object, second: object) -> Sequence[Node] | None:
        """Those behind *first* and before *second*; None if *second* does not come behind it, or one is not there."""
        begin, end = self._places.get(id(first)), self._places.get(id(second))
        return None if begin is None or end is None or begin >= end else self._order[begin + 1 : end]


def is_due(leaf: Node) -> bool:
    """Whether the next tick of the tree comes to this leaf, if nothing before it ends.

    It does if it is RUNNING; and if it has ended, and a decorator such as ``repeat`` will begin it anew. Whatever else
    may come to it, in a sequence say, comes behind another leaf that is RUNNING until then.
    """
    if leaf.status is Status.RUNNING:
        return True
    above = leaf.parent
    while above is not None and above.status is not Status.RUNNING:
        above = above.parent
    return isinstance(above, py_trees.decorators.Decorator)


def _leaves_below(node: Node, is_unit: Callable[[Node], bool]) -> Iterator[Node]:
    if not node.children or is_unit(node):
        yield node
        return
    for child in node.children:
        yield from _leaves_below(child, is_unit)
