# SPDX-License-Identifier: Apache-2.0
"""Feedback of actions is reported as text, whatever it is, and their classes stay what they are."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction

from scenario_execution_server.worker.mirrors import FEEDBACK_CHARACTERS, FeedbackReports, feedback_of

ACTION = 7


class Stage:
    """What is told of the actions that begin here."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reports = FeedbackReports(lambda action, text: self.told.append(f"{action}: {text}"))

    def begin(self, instance: Any, action: int = ACTION) -> Any:
        self.reports.begin(instance, action)
        return instance


def plain_action() -> Any:
    """One of a class that nothing has been done to."""

    class Action(BaseAction):
        def update(self) -> Status:
            return Status.RUNNING

    return Action()


class Textless:
    def __str__(self) -> str:
        raise ValueError("no text")


class Incomparable:
    def __ne__(self, other: object) -> bool:
        raise ValueError("neither")

    def __str__(self) -> str:
        return "incomparable"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (3, "3"),
        (None, None),
        (Textless(), "<Textless without a text: ValueError>"),
        (Incomparable(), "incomparable"),
        ("x" * 100_000, "x" * FEEDBACK_CHARACTERS),
    ],
    ids=["text", "number", "none", "textless", "incomparable", "long"],
)
def test_what_an_action_sets_is_told_once_and_stays_what_it_is(value: Any, text: str | None) -> None:
    stage = Stage()
    action = stage.begin(plain_action())
    action.feedback_message = value
    action.feedback_message = value
    assert stage.told == [f"{ACTION}: {text}"] and action.feedback_message is value and feedback_of(action) == text


def is_free(lock: Any) -> bool:
    """Whether another thread gets it."""
    found: list[bool] = []

    def look() -> None:
        found.append(lock.acquire(blocking=False))
        if found[0]:
            lock.release()

    another = threading.Thread(target=look)
    another.start()
    another.join()
    return found[0]


def test_nobody_else_tells_a_message_before_one_is_told() -> None:
    was_free = list[bool]()
    reports = FeedbackReports(lambda *_: was_free.append(is_free(reports._lock)))
    action = plain_action()
    reports.begin(action, ACTION)
    action.feedback_message = "first"
    assert was_free == [False]


def test_no_text_is_made_while_nobody_else_can_set_one() -> None:
    stage, was_free = Stage(), list[bool]()

    class Guarded:
        def __str__(self) -> str:  # it may wait for somebody who waits to set another message
            was_free.append(is_free(stage.reports._lock))
            return "guarded"

    action = stage.begin(plain_action())
    action.feedback_message = Guarded()
    action.feedback_message = "next"
    assert was_free == [True]


def test_what_is_set_while_the_text_of_another_is_made_is_told_last() -> None:
    stage = Stage()
    action = stage.begin(plain_action())

    class Overtaken:
        def __str__(self) -> str:
            action.feedback_message = "newer"
            return "older"

    action.feedback_message = Overtaken()
    assert stage.told[-1] == f"{ACTION}: newer"


def test_what_the_client_shows_behind_an_answer_is_told_again_if_it_is_something_else() -> None:
    stage = Stage()
    action = stage.begin(plain_action())
    action.feedback_message = "by a thread"
    stage.reports.look_behind(action, "by the tick")
    stage.reports.look_behind(action, "by a thread")
    assert stage.told == [f"{ACTION}: by a thread"] * 2


def test_the_class_of_an_action_stays_the_class_that_it_was() -> None:
    stage = Stage()

    class Action(BaseAction):
        def __init_subclass__(cls, *, kind: str) -> None:
            super().__init_subclass__()

        def __init__(self) -> None:
            super(self.__class__, self).__init__()

        def update(self) -> Status:
            return Status.RUNNING

    first = stage.begin(Action())
    again = stage.begin(Action(), ACTION + 1)
    again.feedback_message = "again"
    assert type(first) is type(again) is Action and stage.told == [f"{ACTION + 1}: again"]


def test_a_class_that_inherits_the_property_tells_no_change_twice() -> None:
    stage = Stage()
    parent = stage.begin(plain_action())
    child = stage.begin(type("Child", (type(parent),), {})(), ACTION + 1)
    child.feedback_message = "once"
    assert stage.told == [f"{ACTION + 1}: once"]


def test_another_instance_of_the_class_is_not_taken_for_an_action() -> None:
    stage = Stage()
    action = stage.begin(plain_action())
    type(action)().feedback_message = "below a subtree"
    stage.reports.end(action)
    action.feedback_message = "afterwards"
    assert stage.told == [] and action.feedback_message == "afterwards"


class Counting(BaseAction):
    """Makes its feedback whenever it is asked."""

    count = 0

    @property
    def feedback_message(self) -> str:  # type: ignore[override]
        return f"{self.count} of {self.of}" if hasattr(self, "of") else "none"

    @feedback_message.setter
    def feedback_message(self, value: Any) -> None:
        self.of = value

    def update(self) -> Status:
        return Status.RUNNING


def test_a_property_of_the_class_is_asked_and_told_and_its_changes_are_found() -> None:
    stage = Stage()
    action = stage.begin(type("Own", (Counting,), {})())
    action.feedback_message = 3
    action.count = 1
    stage.reports.look(action)
    assert stage.told == [f"{ACTION}: 0 of 3", f"{ACTION}: 1 of 3"] and action.feedback_message == "1 of 3"
    assert stage.reports.is_made_on_demand(action) and not stage.reports.is_made_on_demand(stage.begin(plain_action()))


def test_a_property_that_raises_does_no_harm_to_others() -> None:
    def fail(_self: Any) -> str:
        raise ValueError("not now")

    failing = type("Failing", (plain_action().__class__,), {"feedback_message": property(fail, lambda *_: None)})
    action = Stage().begin(failing())
    assert feedback_of(action) == "<Failing without feedback: ValueError>"


def test_a_default_of_the_class_is_found_and_what_was_never_set_is_missing() -> None:
    stage = Stage()
    default = stage.begin(type("Default", (plain_action().__class__,), {"feedback_message": "default"})())
    del default.feedback_message
    without = stage.begin(plain_action())
    del without.feedback_message
    assert default.feedback_message == "default" and not hasattr(without, "feedback_message")
