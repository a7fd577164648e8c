# SPDX-License-Identifier: Apache-2.0
"""What a worker tells the front about its calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server.worker.deeds import Deeds

NOWHERE = messages.Directories(scenario_file=None, output=None)


def result(fault: messages.Fault | None = None) -> list[Any]:
    return [messages.Result(call=1, status=None, stopped=False, feedback="", fault=fault, value=None, nodes=[])]


def fault(name: str = "RuntimeError") -> messages.Fault:
    return messages.Fault(
        phase="create", type_name=name, module="m", text="", message=None, arguments=None, traceback=""
    )


def create(action: int, key: str) -> messages.Create:
    return messages.Create(
        call=1, action=action, scenario=1, plugin=messages.Plugin(key=key), init_arguments={"secret": "hush"},
        name=key, label=None, context=None, actor=None, directories=NOWHERE, debug=False,
    )  # fmt: skip


def set_up(action: int) -> messages.Setup:
    return messages.Setup(
        call=1, action=action, values={"secret": "hush"}, provided=[], directories=NOWHERE, now_s=None
    )


def stop(action: int, status: str) -> messages.Stop:
    return messages.Stop(call=1, action=action, status=status, if_begun=False)


def test_an_action_is_told_once_when_it_is_set_up_and_again_when_it_is_cancelled() -> None:
    deeds = Deeds()
    assert deeds.of(create(1, "log"), result()) is None
    assert deeds.of(set_up(1), result()) == messages.Deed(what="set-up", action="log")
    assert deeds.of(stop(1, "SUCCESS"), result()) is None
    assert deeds.of(stop(1, "INVALID"), result()) == messages.Deed(what="cancelled", action="log")


def test_an_action_that_was_to_be_cancelled_if_it_had_begun_is_told_if_it_had() -> None:
    deeds = Deeds()
    deeds.of(create(1, "log"), result())
    call = messages.Stop(call=1, action=1, status="INVALID", if_begun=True)
    assert deeds.of(call, result()) is None
    assert deeds.of(call, [replace(*result(), status="INVALID")]) == messages.Deed(what="cancelled", action="log")


def test_an_action_that_is_not_permitted_is_told_as_refused_and_another_failure_as_that() -> None:
    deeds = Deeds()
    assert deeds.of(create(1, "mine"), result(fault("NotPermittedError"))) == messages.Deed(
        what="refused", action="mine"
    )
    assert deeds.of(create(2, "broken"), result(fault())) == messages.Deed(what="failed", action="broken")


def test_what_stands_behind_a_failed_action_is_not_told_again() -> None:
    deeds, reason = Deeds(), fault()
    assert deeds.of(create(1, "first"), result(reason)) is not None
    assert deeds.of(create(2, "second"), result(reason)) is None
    assert deeds.of(set_up(2), result(reason)) is None


def test_ticks_are_not_told() -> None:
    deeds = Deeds()
    tick = messages.TickAll(call=1, actions=[1], now_s=None)
    assert deeds.of(tick, [messages.Ticked(call=1, running=1, result=None)]) is None


def test_a_megabyte_of_name_is_cut() -> None:
    deeds = Deeds()
    deeds.of(create(1, "x" * 1_000_000), result())
    deed = deeds.of(set_up(1), result())
    assert deed is not None and len(deed.action) == 200


def test_a_body_for_the_front_begins_with_bytes_that_no_other_body_begins_with() -> None:
    deed = wire.encode(messages.Deed(what="set-up", action="log"))
    started = wire.encode(messages.Started(pid=1))
    beginnings = {wire.beginning_of(cls) for cls in wire.FOR_FRONT}
    assert {deed[:2], started[:2]} == beginnings
    others = {wire.beginning_of(cls) for cls in wire.FROM_WORKER}
    assert not beginnings & others and len(others) == len(wire.FROM_WORKER)


def test_a_client_cannot_say_what_only_a_worker_says_and_is_not_sent_it() -> None:
    assert not wire.FOR_FRONT & (wire.FROM_CLIENT | wire.FROM_FRONT | wire.FROM_WORKER)
