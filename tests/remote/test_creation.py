# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import types
from typing import Any

import pytest
from scenario_execution.scenario_execution_base import ScenarioExecutionConfig

from scenario_execution_remote.creation import create_call, current_directories, setup_call
from scenario_execution_remote.protocol import messages

ELSEWHERE = messages.Directories(scenario_file="/elsewhere", output=None)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScenarioExecutionConfig(), "scenario_file_directory", "/scenarios")
    monkeypatch.setattr(ScenarioExecutionConfig(), "output_directory", "/results")


class Action:
    """One as the engine has built it here."""

    name = "nap"
    _external_plugin_key = "nap"

    def __init__(self, label: str = "", actor: Any = None) -> None:
        self._external_init_args = {"soundly": True}
        self._model = types.SimpleNamespace(name=label, actor=actor, get_ctx=lambda: (1, 2, "nap()", "x.osc"))

    def execute(self, seconds: float) -> None: ...


def created(action: Action) -> messages.Create:
    return create_call(action, call=3, action=4, scenario=5, directories=ELSEWHERE, debug=False)


def test_an_action_is_made_there_of_what_it_was_made_of_here() -> None:
    create = created(Action(label="later"))
    assert (create.call, create.action, create.scenario, create.directories) == (3, 4, 5, ELSEWHERE)
    assert (create.name, create.label, create.context) == ("nap", "later", [1, 2, "nap()", "x.osc"])
    assert create.init_arguments == {"soundly": True} and create.actor is None
    assert (create.plugin.key, create.plugin.execute_arguments) == ("nap", ["seconds"])


def test_an_action_of_an_actor_says_whose_it_is_and_one_without_a_label_has_none() -> None:
    actor = types.SimpleNamespace(name="bot", get_qualified_name=lambda: "/here/bot")
    create = created(Action(actor=actor))
    assert create.actor == messages.Actor(name="bot", qualified_name="/here/bot") and create.label is None


def test_what_stays_here_is_not_sent_and_what_is_made_there_is_named(config: None) -> None:
    given = {"logger": 1, "clock": 2, "simulation": 3, "node": 4, "tick_period": 0.1, "output_dir": None}
    setup = setup_call(given, call=3, action=4, now_s=0.5)
    assert setup.values == {"tick_period": 0.1, "output_dir": None}
    assert setup.provided == ["logger", "clock"]
    assert setup.directories == current_directories() == messages.Directories(
        scenario_file="/scenarios", output="/results"
    )
    assert setup.now_s == 0.5
