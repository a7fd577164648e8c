# SPDX-License-Identifier: Apache-2.0
"""How a remote action looks in the tree: like the action it stands for, a leaf or a subtree with all its nodes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import py_trees
from py_trees.common import Status
from scenario_execution.actions.base_action_subtree import BaseActionSubtree

from .config import RemoteSettings
from .leaf import RemoteNode


class RemoteAction(RemoteNode):
    """Stands for one plug-in action; looks like it in every display and log."""

    def __init__(self, local: Any, settings: RemoteSettings) -> None:
        super().__init__(local.name)
        self._take_place_of(local, settings)

    def tick(self) -> Iterator[py_trees.behaviour.Behaviour]:
        """Tick the action on the server; what py_trees' own tick() does besides, it does there."""
        if self.status is not Status.RUNNING:
            self.initialise()
        new_status = self.update()
        if new_status is not Status.RUNNING:
            self.stop(new_status)
        self.status = new_status
        yield self


class RemoteSubtree(RemoteNode, py_trees.composites.Sequence):
    """Stands for an action that is a subtree: one unit on the server, shown here with all of its nodes.

    The nodes are those of the local instance, put to rest: they are never set up or ticked, and show what the server
    says. """

    def __init__(self, local: Any, settings: RemoteSettings) -> None:
        super().__init__(local.name, memory=True)
        self._take_place_of(local, settings)
        for child in local.children:
            child.parent = self
        self.children = local.children
        self._shown = [node for node in self.iterate() if node is not self]
        self._visited: list[py_trees.behaviour.Behaviour] = []
        for node in self._shown:
            node.setup = _do_nothing  # type: ignore[method-assign]
            node.shutdown = _do_nothing  # type: ignore[method-assign]

    def tick(self) -> Iterator[py_trees.behaviour.Behaviour]:
        """Tick the whole subtree on the server, in one call; yields the nodes that it came to."""
        if self.status != Status.RUNNING:
            self.initialise()
        self._visited = []
        new_status = self.update()
        if new_status != Status.RUNNING:
            self.stop(new_status)
        self.status = new_status
        yield from self._visited
        yield self

    def stop(self, new_status: Status = Status.INVALID) -> None:
        """Have the subtree stopped; what is below stops with it, on the server."""
        self.terminate(new_status)
        if new_status == Status.INVALID:
            for node in (*self._shown, self):
                node.status = Status.INVALID
                if isinstance(node, py_trees.composites.Composite):
                    node.current_child = None
        self.status = new_status
        self.iterator = self.tick()

    def _show_below(self, nodes: list[Any]) -> None:
        visits: list[tuple[int, py_trees.behaviour.Behaviour]] = []
        for node, (status, feedback, turn, current) in zip((*self._shown, self), nodes, strict=False):
            if isinstance(node, py_trees.composites.Composite):
                node.current_child = None if current is None else node.children[current]
            if node is self:
                continue  # its own status is the tree's to set
            node.status = Status[status]
            node.feedback_message = feedback
            if turn is not None:
                visits.append((turn, node))
        self._visited = [node for _, node in sorted(visits, key=lambda visit: visit[0])]


def _do_nothing(**_kwargs: Any) -> None:
    pass


def stand_in_for(local: Any, settings: RemoteSettings) -> RemoteNode:
    """The remote node for *local*, under a class that displays and logs cannot tell from the action's own."""
    return _class_like(type(local))(local, settings)  # type: ignore[arg-type]  # classes are hashable


@functools.cache  # one for all actions of a kind: Python's caches go by class, and a thousand classes overflow them
def _class_like(cls: type) -> Callable[[Any, RemoteSettings], RemoteNode]:
    base = RemoteSubtree if issubclass(cls, BaseActionSubtree) else RemoteAction
    members = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (base,), members)
