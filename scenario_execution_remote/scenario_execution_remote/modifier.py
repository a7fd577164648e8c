# SPDX-License-Identifier: Apache-2.0
"""The ``remote()`` modifier: replaces every plug-in action below it by a remote leaf, in place and without I/O."""

from __future__ import annotations

from typing import Any

import py_trees

from .config import RemoteSettings
from .guise import stand_in_for
from .leaf import RemoteNode
from .marker import Remote


def create_remote_modifier(child: py_trees.behaviour.Behaviour, resolved_values: dict[str, Any]) -> Remote:
    """Build what ``remote(...)`` stands for; called by the engine while it parses.

    Args:
        child: What the modifier is applied to: an action, a modifier, a composite or the whole scenario.
        resolved_values: Argument by parameter name.

    Raises:
        ValueError: an argument is wrong, or there is no action below; the engine adds the place in the file.
    """
    settings = RemoteSettings.from_arguments(resolved_values)
    rewritten = rewrite(child, settings)
    if not any(isinstance(node, RemoteNode) for node in rewritten.iterate()):
        raise ValueError("remote() has no action below it that could run on a server: put it on an action, or on a "
                         "composition that contains one")  # fmt: skip
    return Remote(name="remote", child=rewritten)


def rewrite(node: py_trees.behaviour.Behaviour, settings: RemoteSettings) -> py_trees.behaviour.Behaviour:
    """*node* with every plug-in action below replaced, in place, as trees from ``.sce`` files keep only their
    leaves."""
    if hasattr(node, "_external_plugin_key"):  # not isinstance(BaseAction): conditions of `wait` are BaseActions too
        leaf = stand_in_for(node, settings)
        leaf.parent, node.parent = node.parent, None
        return leaf
    if isinstance(node, RemoteNode):
        return node  # an inner remote() wins
    for index, child in enumerate(node.children):
        node.children[index] = rewrite(child, settings)
    if isinstance(node, py_trees.decorators.Decorator):
        node.decorated = node.children[0]
    return node
