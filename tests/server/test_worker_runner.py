# SPDX-License-Identifier: Apache-2.0
"""The runner without a client: when feedback is told, and the end of a scenario."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import py_trees
import pytest
from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction
from scenario_execution.scenario_execution_base import ShutdownHandler

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server.worker import main, runner
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.files import Files
from scenario_execution_server.worker.handles import Handles
from scenario_execution_server.worker.origin import Origin
from scenario_execution_server.worker.runner import Runner, await_futures
from tests.server.test_worker_conversation import Channel

ACTION, SCENARIO = 1, 1
NOWHERE = messages.Directories(scenario_file=None, output=None)


class Speaker(BaseAction):
    """Says in each of its ticks how many there have been."""

    count = 0

    def update(self) -> Status:
        self.count += 1
        self.feedback_message = f"tick {self.count}"
        return Status.RUNNING


class Stage:
    """A worker with one action, whose calls the test makes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.channel = Channel()
        self.conversation = Conversation(self.channel)
        monkeypatch.setenv("PWD", str(folder))  # both are set by what follows, and set back after the test
        monkeypatch.chdir(folder)
        self.files = Files(self.conversation, folder)
        monkeypatch.setattr(py_trees.blackboard.Client, "register_key", py_trees.blackboard.Client.register_key)
        speaker = type("Speaker", (Speaker,), {})  # the runner changes the classes of its actions
        monkeypatch.setattr(runner, "find_action", lambda _plugin: speaker)
        self.runner = Runner(self.conversation, Handles("here"), self.files.waiting)
        self.before_answers: Callable[[], None] = lambda: None

    def flush(self) -> None:
        """What an action has printed would go out now, before the answers that are made already."""
        self.before_answers()

    def carry_out(self, *calls: Any) -> list[Any]:
        """All that is said when these calls have come."""
        self.channel.client_says(*calls)
        self.channel.raw(Origin.FRONT.value + wire.encode(messages.EndSession(reason="bye")))
        main._carry_out_calls(self.conversation, self.runner, self, self.files)  # type: ignore[arg-type]
        self.channel.raw_said()  # to the front, that it has started
        said = []
        while not self.channel.is_silent:
            said += self.channel.said_at_once()
        return said

    def create(self) -> None:
        self.runner.permit = messages.Permit(client="me", actions=["*"], mend="")
        plugin = messages.Plugin(
            key="speak", value="x:Speaker", distribution="", version="", init_arguments=[], execute_arguments=None
        )
        create = messages.Create(
            call=1, action=ACTION, scenario=SCENARIO, plugin=plugin, init_arguments={}, name="speaker", label=None,
            context=[], actor=None, directories=NOWHERE, debug=False,
        )  # fmt: skip
        assert [result.fault for result in self.carry_out(create)] == [None]

    def set_by_a_thread(self, feedback: str) -> None:
        action = self.runner._actions[ACTION].instance
        thread = threading.Thread(target=lambda: setattr(action, "feedback_message", feedback))
        thread.start()
        thread.join()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage(tmp_path, monkeypatch)
    stage.create()
    return stage


def begin(period_s: float | None = None) -> messages.Tick:
    return messages.Tick(call=2, action=ACTION, arguments={}, now_s=None, period_s=period_s, after=None)


def feedback_in(said: list[Any]) -> list[str]:
    return [one.text if isinstance(one, messages.Feedback) else one.feedback for one in said]


def test_the_last_word_is_what_was_set_last_although_an_answer_was_made_before_it(stage: Stage) -> None:
    stage.before_answers = lambda: stage.set_by_a_thread("by a thread")
    assert feedback_in(stage.carry_out(begin())) == ["by a thread", "tick 1", "by a thread"]


def test_an_answer_with_the_newest_feedback_is_enough(stage: Stage) -> None:
    assert feedback_in(stage.carry_out(begin())) == ["tick 1"]


def test_a_feedback_without_a_text_is_answered_like_another_and_the_worker_goes_on(stage: Stage) -> None:
    class Textless:
        def __str__(self) -> str:
            raise ValueError("no text")

    stage.before_answers = lambda: setattr(stage.runner._actions[ACTION].instance, "feedback_message", Textless())
    shown = "<Textless without a text: ValueError>"
    assert feedback_in(stage.carry_out(begin())) == [shown, "tick 1", shown]
    stage.before_answers = lambda: None
    stop = messages.Stop(call=3, action=ACTION, status="INVALID", if_begun=False)
    assert feedback_in(stage.carry_out(stop)) == [shown]


def test_an_action_that_the_worker_goes_on_ticking_by_itself_is_heard_from_its_first_tick_on(stage: Stage) -> None:
    assert feedback_in(stage.carry_out(begin(period_s=600.0))) == ["tick 1"]


class _Future:
    """What rclpy's futures offer to the engine: whether it is done."""

    def __init__(self) -> None:
        self.looked_at = threading.Event()
        self.is_finished = threading.Event()

    def done(self) -> bool:
        self.looked_at.set()
        return self.is_finished.is_set()


def test_the_end_of_a_scenario_waits_for_the_futures_its_actions_have_left_and_forgets_them() -> None:
    future = _Future()
    ShutdownHandler.get_instance().add_future(future)
    waiting = threading.Thread(target=await_futures)
    waiting.start()
    assert future.looked_at.wait(10)
    assert waiting.is_alive()
    future.is_finished.set()
    waiting.join(10)
    assert not waiting.is_alive()
    assert ShutdownHandler.get_instance().futures == []


def test_a_future_that_is_never_done_does_not_hold_up_the_end_for_ever() -> None:
    ShutdownHandler.get_instance().add_future(_Future())
    await_futures(limit_s=0.05)
    assert ShutdownHandler.get_instance().futures == []
