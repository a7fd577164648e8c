# SPDX-License-Identifier: Apache-2.0
"""Which actions a client may run here, and what they take: for whoever asks before writing a scenario."""

from __future__ import annotations

import time
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from scenario_execution_keys.permissions import is_allowed
from scenario_execution_remote.plugin import ACTION_GROUP, parameters_of
from scenario_execution_remote.protocol import messages

_TROUBLE_CHARACTERS = 500  # of what a failing import says; whoever tries to run the action gets all of it


def offer(call: int, permit: messages.Permit) -> messages.Actions:
    """The answer to `ListActions`. Imports what the client may run, and nothing else.

    Args:
        call: Number of the call.
        permit: What the client may run.
    """
    permitted = [ep for ep in entry_points(group=ACTION_GROUP) if is_allowed(ep.name, permit.actions)]
    offered = [_described(ep) for ep in sorted(permitted, key=lambda ep: (ep.name, ep.value))]
    return messages.Actions(call=call, utc_s=time.time(), globs=list(permit.actions), offered=offered)


def _described(entry_point: EntryPoint) -> list[Any]:
    dist = entry_point.dist
    source = ["", ""] if dist is None else [dist.name, dist.version]
    init: list[str] | None = None
    execute: list[str] | None = None
    trouble = ""
    try:
        loaded = entry_point.load()
        if isinstance(loaded, type):
            init, execute = parameters_of(loaded, "__init__"), parameters_of(loaded, "execute")
        else:
            trouble = "it is not a class"
    except BaseException as error:  # noqa: BLE001 - an import may raise anything, and the others count
        trouble = f"{type(error).__name__}: {error}"[:_TROUBLE_CHARACTERS]
    return [entry_point.name, entry_point.value, *source, init, execute, trouble]
