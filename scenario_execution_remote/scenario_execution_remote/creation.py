# SPDX-License-Identifier: Apache-2.0
"""What is said to a worker so that it makes an action like the one here, and sets it up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenario_execution.scenario_execution_base import ScenarioExecutionConfig

from .plugin import describe
from .protocol import messages

# What ``setup()`` gets and the worker makes itself. ``simulation`` is not among them: a live simulator cannot
# travel, and without the key an action that needs it says so in the engine's own words.
_MADE_THERE = ("logger", "process_registry", "host_clock", "clock")
_STAYS_HERE = (*_MADE_THERE, "simulation", "node", "marker_handler")


def current_directories() -> messages.Directories:
    """Those that the engine's configuration names now."""
    config = ScenarioExecutionConfig()
    return messages.Directories(scenario_file=config.scenario_file_directory, output=config.output_directory)


def create_call(
    local: Any, *, call: int, action: int, scenario: int, directories: messages.Directories, debug: bool
) -> messages.Create:
    """The call that makes an action.

    Args:
        local: The action as the engine built it here.
        call: Number of the call.
        action: Its number in this process.
        scenario: Number of its scenario.
        directories: As its constructor saw them here.
        debug: Whether the run's logger shows debug records.
    """
    model = local._model
    actor = getattr(model, "actor", None)
    return messages.Create(
        call=call,
        action=action,
        scenario=scenario,
        plugin=describe(type(local), local._external_plugin_key),
        init_arguments=local._external_init_args,
        name=local.name,
        label=model.name or None,
        context=list(model.get_ctx()),
        actor=messages.Actor(name=actor.name, qualified_name=actor.get_qualified_name()) if actor else None,
        directories=directories,
        debug=debug,
    )


def setup_call(kwargs: Mapping[str, Any], *, call: int, action: int, now_s: float | None) -> messages.Setup:
    """The call that sets it up.

    Args:
        kwargs: What its ``setup()`` gets here.
        call: Number of the call.
        action: Its number in this process.
        now_s: Scenario time, if there is a clock.
    """
    return messages.Setup(
        call=call,
        action=action,
        values={name: value for name, value in kwargs.items() if name not in _STAYS_HERE},
        provided=[name for name in _MADE_THERE if name in kwargs],
        directories=current_directories(),
        now_s=now_s,
    )
