# SPDX-License-Identifier: Apache-2.0
"""Which installed class a client means: entry points of one group only, and exactly one match."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from scenario_execution_remote.plugin import ACTION_GROUP, parameters_of
from scenario_execution_remote.protocol import messages


class UnknownActionError(LookupError):
    """No installed action, or more than one, is what the client means; the sentence names both sides."""


def find_action(wanted: messages.Plugin) -> type:
    """Load the class that *wanted* names.

    Raises:
        UnknownActionError: nothing matches, several do, or the class takes other arguments than the client's.
    """
    entry_point = _choose([ep for ep in entry_points(group=ACTION_GROUP) if ep.name == wanted.key], wanted)
    loaded = entry_point.load()
    if not isinstance(loaded, type):
        raise UnknownActionError(f"The server's plug-in '{entry_point.value}' is not a class.")
    if wanted.value:  # a version 1 client does not say what it takes
        _compare("__init__", parameters_of(loaded, "__init__"), wanted.init_arguments, wanted, entry_point)
        _compare("execute", parameters_of(loaded, "execute"), wanted.execute_arguments, wanted, entry_point)
    return loaded


def _choose(candidates: list[EntryPoint], wanted: messages.Plugin) -> EntryPoint:
    if not candidates:
        source = f" (the client has it from {_source(wanted)})" if wanted.distribution else ""
        raise UnknownActionError(
            f"The server has no plug-in for action '{wanted.key}'{source}. "
            f"Install the package that provides it on the server, then restart the server."
        )
    if not wanted.value:  # a version 1 client
        if len(candidates) == 1:
            return candidates[0]
        raise UnknownActionError(
            f"The server has more than one plug-in for action '{wanted.key}' "
            f"({_list(candidates)}), and this client cannot say which one it means."
        )
    same = [ep for ep in candidates if ep.value == wanted.value]
    if len(same) > 1:
        same = [ep for ep in same if _distribution(ep)[0] == wanted.distribution]
    if len(same) != 1:
        raise UnknownActionError(
            f"Action '{wanted.key}' is '{wanted.value}' of {_source(wanted)} on the client, "
            f"but the server has {_list(candidates)}. Install the same package on both sides."
        )
    return same[0]


def _compare(
    method: str, here: list[str] | None, there: list[str] | None, wanted: messages.Plugin, entry_point: EntryPoint
) -> None:
    if here != there:
        name, version = _distribution(entry_point)
        raise UnknownActionError(
            f"Action '{wanted.key}' takes {_arguments(method, there)} on the client ({_source(wanted)}) "
            f"and {_arguments(method, here)} on the server ({name} {version}). "
            "Install the same version on both sides."
        )


def _source(wanted: messages.Plugin) -> str:
    return f"{wanted.distribution} {wanted.version}" if wanted.distribution else "an unknown package"


def _arguments(method: str, names: list[str] | None) -> str:
    return f"no {method}()" if names is None else f"{method}({', '.join(names)})"


def _distribution(entry_point: EntryPoint) -> tuple[str, str]:
    dist = entry_point.dist
    return ("an unknown package", "") if dist is None else (dist.name, dist.version)


def _list(candidates: list[EntryPoint]) -> str:
    return ", ".join(f"'{ep.value}' of {' '.join(_distribution(ep))}" for ep in candidates)
