# SPDX-License-Identifier: Apache-2.0
"""Which class an action is, told so that another machine can find the same one."""

from __future__ import annotations

import inspect
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from scenario_execution_remote.protocol import messages

ACTION_GROUP = "scenario_execution.actions"


def describe(cls: type, key: str) -> messages.Plugin:
    """The identity of the plug-in class *cls*, registered under the entry point name *key*.

    The name alone may be registered by several packages; the entry point that loads to this very class is meant.
    """
    entry_point = next((ep for ep in _named(key) if ep.load() is cls), None)
    dist = entry_point.dist if entry_point is not None else None
    return messages.Plugin(
        key=key,
        value=entry_point.value if entry_point is not None else f"{cls.__module__}:{cls.__qualname__}",
        distribution="" if dist is None else dist.name,
        version="" if dist is None else dist.version,
        init_arguments=parameters_of(cls, "__init__"),
        execute_arguments=parameters_of(cls, "execute"),
    )


def parameters_of(cls: type, method: str) -> list[str] | None:
    """Positional parameter names of a method without ``self``; None if the class has no such method."""
    function = getattr(cls, method, None)
    if function is None:
        return None
    try:
        return inspect.getfullargspec(function).args[1:]
    except TypeError:  # object.__init__, of a class without its own
        return []


@cache  # a scenario names the same few actions over and over, and each look-up reads every installed package's metadata
def _named(key: str) -> tuple[EntryPoint, ...]:
    return tuple(ep for ep in entry_points(group=ACTION_GROUP) if ep.name == key)
