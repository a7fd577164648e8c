# SPDX-License-Identifier: Apache-2.0
"""Feedback of actions is reported as text, whatever it is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from scenario_execution_server.worker.mirrors import FEEDBACK_CHARACTERS, report_feedback


class Action:
    feedback_message: Any


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
        (Textless(), "<Textless without a text: ValueError>"),
        (Incomparable(), "incomparable"),
        ("x" * 100_000, "x" * FEEDBACK_CHARACTERS),
    ],
    ids=["text", "number", "textless", "incomparable", "long"],
)
def test_what_an_action_sets_is_told_once_and_stays_what_it_is(value: Any, text: str) -> None:
    told: list[str] = []
    action = report_feedback(Action, lambda _action, said: told.append(said), threading.RLock())()
    action.feedback_message = value
    action.feedback_message = value
    assert told == [text] and action.feedback_message is value


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


def test_nobody_sets_another_message_before_one_is_told() -> None:
    telling, was_free = threading.RLock(), list[bool]()
    report_feedback(Action, lambda *_: was_free.append(is_free(telling)), telling)().feedback_message = "first"
    assert was_free == [False]


def test_no_text_is_made_while_nobody_else_can_set_one() -> None:
    telling, was_free = threading.RLock(), list[bool]()

    class Guarded:
        def __str__(self) -> str:  # it may wait for somebody who waits to set another message
            was_free.append(is_free(telling))
            return "guarded"

    action = report_feedback(Action, lambda *_: None, telling)()
    action.feedback_message = Guarded()
    action.feedback_message = "next"
    assert was_free == [True, True]
