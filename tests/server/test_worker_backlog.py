# SPDX-License-Identifier: Apache-2.0
"""Whoever stops an action waits for no file on its way, and whatever begins one waits for all of them."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.backlog import Backlog

A, B, C = 1, 2, 3
NOTHING: dict[str, Any] = {}


def begin(action: int) -> messages.Tick:
    return messages.Tick(call=1, action=action, arguments=NOTHING, now_s=None, period_s=None, after=None)


def update(action: int) -> messages.Tick:
    return messages.Tick(call=2, action=action, arguments=None, now_s=None, period_s=None, after=None)


def updates(*actions: int) -> messages.TickAll:
    return messages.TickAll(call=3, actions=list(actions), now_s=None)


def stop(action: int) -> messages.Stop:
    return messages.Stop(call=4, action=action, status="INVALID", if_begun=False)


def shut_down(action: int) -> messages.Shutdown:
    return messages.Shutdown(call=5, action=action)


END = messages.EndScenario(call=6, scenario=1)


def waiting(*calls: Any) -> Backlog:
    backlog = Backlog()
    for call in calls:
        assert backlog.wait(call) is None
    return backlog


def left(backlog: Backlog) -> list[Any]:
    found = []
    while backlog.calls:
        found.append(backlog.next_call())
    return found


@pytest.mark.parametrize("call", [begin(A), update(A), updates(A, B), messages.ListActions(call=1)], ids=repr)
def test_what_stops_nothing_waits_and_keeps_its_place(call: Any) -> None:
    assert left(waiting(begin(B), call, begin(C))) == [begin(B), call, begin(C)]


@pytest.mark.parametrize("call", [stop(A), shut_down(A)], ids=repr)
def test_what_stops_an_action_overtakes_all_others(call: Any) -> None:
    backlog = waiting(begin(B), updates(B, C))
    assert backlog.wait(call) == []
    assert left(backlog) == [begin(B), updates(B, C)]


@pytest.mark.parametrize("before", [begin(A), messages.Execute(call=1, action=A, arguments=NOTHING)], ids=repr)
def test_what_stops_an_action_waits_for_what_begins_it_and_what_comes_behind_it_too(before: Any) -> None:
    backlog = waiting(before, stop(A))
    assert backlog.wait(shut_down(A)) is None
    assert left(backlog) == [before, stop(A), shut_down(A)]


def test_an_action_that_is_stopped_is_not_ticked_after_that() -> None:
    backlog = waiting(updates(B, A, C), update(A), updates(A, C))
    answers = backlog.wait(stop(A))
    assert answers is not None
    (answer,) = answers
    assert isinstance(answer, messages.Result) and (answer.call, answer.status) == (2, "RUNNING")
    # those behind it in a tick of several are ticked anew by the client, as after one that has ended
    assert left(backlog) == [updates(B), updates()]


def test_the_end_of_a_scenario_passes_and_answers_what_is_pointless_now() -> None:
    backlog = waiting(begin(A), stop(A), updates(B, C))
    answers = backlog.wait(END)
    assert answers is not None and [answer.call for answer in answers] == [1, 4, 3]
    assert answers[2] == messages.Ticked(call=3, running=0, result=None)
    assert not backlog.calls


def test_the_end_of_a_scenario_waits_behind_whatever_is_no_action_s() -> None:
    listing = messages.ListActions(call=1)
    assert left(waiting(listing, END)) == [listing, END]


def test_what_waits_can_be_looked_at() -> None:
    backlog = waiting(begin(A), stop(A), begin(B), stop(B))
    assert backlog.of(frozenset((messages.Stop,))) == [stop(A), stop(B)]
    assert len(left(backlog)) == 4
