# SPDX-License-Identifier: Apache-2.0
"""Actions in a row, which the server begins one behind the other: never one that the tree would not have begun."""

from __future__ import annotations

from pathlib import Path

from py_trees.common import Status

from benchmarks.delay import delayed
from scenario_execution_remote.protocol import messages, wire
from tests.support.probe import trace_of
from tests.support.rawclients import RawClient
from tests.support.servers import Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Start

FAR_S = 0.4  # one way: longer than the tree takes to stop the row
SLOW_S = 1.5  # longer than a row goes on for
START_S = 60.0  # the engine has to start first
QUICK = {"ticks": 1, "result": "success"}
ONCE = [
    "setup(INVALID)", "execute(INVALID)", "update(INVALID)", "terminate SUCCESS(INVALID)", "shutdown(SUCCESS)"
]  # fmt: skip


def test_none_is_begun_behind_an_action_that_was_cancelled_while_it_blocked(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    client = start(
        f"""
        serial:
            probe_trouble(trace: "{trace}", tag: "first", phase: "update", deed: "wait", text: "{gate}")
            probe_steps(trace: "{trace}", tag: "second")
        with:
            failure_is_success()
            timeout(500ms)
            remote("{server.endpoint}")
        probe_steps(trace: "{trace}", tag: "here", ticks: 3)
        """
    )
    wait_until(lambda: "update(RUNNING)" in trace_of(trace, "here"), START_S)  # so the row has been given up
    gate.touch()
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert "terminate SUCCESS(INVALID)" in trace_of(trace, "first")  # it did succeed, but too late
    assert trace_of(trace, "second") == ["setup(INVALID)", "shutdown(INVALID)"]


def test_one_that_runs_already_is_cancelled_by_a_tree_that_does_not_know_of_it_yet(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    with delayed(server.endpoint, FAR_S) as far:
        client = start(
            f"""
            one_of:
                serial:
                    probe_steps(trace: "{trace}", tag: "first", ticks: 1)
                    probe_steps(trace: "{trace}", tag: "second", ticks: 1000)
                    probe_steps(trace: "{trace}", tag: "third")
                with:
                    remote("{far}")
                probe_steps(trace: "{trace}", tag: "here", ticks: 2)
            probe_trouble(phase: "update", deed: "wait", text: "{gate}")
            """
        )
        wait_until(lambda: "request_cancel(RUNNING)" in trace_of(trace, "second"), START_S)  # not at the end of all
        gate.touch()
        assert client.finish().code == 0
    assert "terminate INVALID(SUCCESS)" in trace_of(trace, "first")
    assert trace_of(trace, "second")[:5] == [
        "setup(INVALID)", "execute(INVALID)", "update(INVALID)", "terminate INVALID(RUNNING)",
        "request_cancel(RUNNING)",
    ]  # fmt: skip
    assert "execute(INVALID)" not in trace_of(trace, "third")


def test_a_stop_if_begun_is_for_those_that_were(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with RawClient(server, owner) as client:
        client.hello()
        first, second, third = (client.create("probe_steps", trace=str(trace), tag=tag) for tag in "abc")
        long = {"ticks": 9, "result": "success"}
        calls = [client.start_tick(first, QUICK)]
        calls += [client.start_tick(second, long, after=calls[-1])]
        calls += [client.start_tick(third, QUICK, after=calls[-1])]
        assert [client.result(call).status for call in calls[:2]] == [Status.SUCCESS.name, Status.RUNNING.name]
        stopped = [
            client.call(messages.Stop, action=action, status=Status.INVALID.name, if_begun=True).status
            for action in (second, third)
        ]
        assert stopped == [Status.INVALID.name, None]
        client.bye()
    assert "b request_cancel(RUNNING)" in trace_of(trace)
    assert trace_of(trace, "c") == ["setup(INVALID)", "shutdown(INVALID)"]


def test_the_answer_of_an_action_does_not_wait_for_one_behind_it_that_blocks(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with RawClient(server, owner) as client:
        client.hello()
        quick = [client.create("probe_steps", trace="", tag="") for _ in range(2)]
        blocking = client.create(
            "probe_trouble", trace="", tag="", phase="update", deed="wait", text=str(gate), side="any", ticks=1
        )
        calls = [client.start_tick(quick[0], QUICK)]
        calls += [client.start_tick(quick[1], QUICK, after=calls[0])]
        calls += [client.start_tick(blocking, {}, after=calls[1])]
        assert [client.result(call).status for call in calls[:2]] == [Status.SUCCESS.name] * 2
        gate.touch()
        assert client.result(calls[2]).status == Status.SUCCESS.name
        client.bye()


def test_an_action_raises_in_its_own_turn_and_none_behind_it_is_begun(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    client = start(
        f"""
        serial:
            probe_steps(trace: "{trace}", tag: "first", ticks: 1)
            probe_trouble(trace: "{trace}", tag: "second", phase: "update", deed: "raise", text: "ValueError")
            probe_steps(trace: "{trace}", tag: "third")
        with:
            remote("{server.endpoint}")
        """
    )
    outcome = client.finish()
    assert outcome.code == 1
    assert "execute(INVALID)" not in trace_of(trace, "third")
    assert "terminate SUCCESS(INVALID)" in trace_of(trace, "first")


def test_one_behind_an_action_whose_first_tick_took_longer_than_the_trees_is_begun_in_its_own_turn(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    client = start(
        f"""
        serial:
            probe_trouble(trace: "{trace}", tag: "first", phase: "execute", deed: "sleep", text: "0.3", ticks: 2)
            probe_steps(trace: "{trace}", tag: "second")
            probe_steps(trace: "{trace}", tag: "third")
        with:
            timeout(10s)
            remote("{server.endpoint}")
        """
    )
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert trace_of(trace, "second") == trace_of(trace, "third") == ONCE


def test_far_away_one_behind_an_action_of_several_ticks_is_begun_in_its_own_turn(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with delayed(server.endpoint, FAR_S) as far:
        client = start(
            f"""
            serial:
                probe_steps(trace: "{trace}", tag: "first", ticks: 3)
                probe_steps(trace: "{trace}", tag: "second")
                probe_steps(trace: "{trace}", tag: "third")
            with:
                timeout(20s)
                remote("{far}")
            """
        )
        outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert trace_of(trace, "second") == trace_of(trace, "third") == ONCE


def test_behind_an_action_that_has_taken_long_the_tree_is_asked_again(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    slow = f'phase: "execute", deed: "sleep", text: "{SLOW_S}"'
    client = start(
        f"""
        serial:
            probe_trouble(trace: "{trace}", tag: "first", {slow})
            probe_steps(trace: "{trace}", tag: "second")
            probe_steps(trace: "{trace}", tag: "third")
        with:
            timeout(20s)
            remote("{server.endpoint}")
        """
    )
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert trace_of(trace, "second") == trace_of(trace, "third") == ONCE


def test_a_stop_of_any_action_waits_for_no_row(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    with RawClient(server, owner) as client:
        client.hello()
        running = client.create("probe_steps", trace=str(trace), tag="running")
        waits = {"phase": "update", "deed": "wait", "text": str(gate), "side": "any", "ticks": 1}
        first = client.create("probe_trouble", trace=str(trace), tag="a", **waits)
        second, third = (client.create("probe_steps", trace=str(trace), tag=tag) for tag in "bc")
        assert client.tick(running, {"ticks": 9, "result": "success"}).status == Status.RUNNING.name
        calls = [client.start_tick(first, {})]
        calls += [client.start_tick(second, QUICK, after=calls[-1])]
        calls += [client.start_tick(third, QUICK, after=calls[-1])]
        stop = client.start_call(messages.Stop, action=running, status=Status.INVALID.name, if_begun=False)
        client.beat()  # what was said before has come
        gate.touch()
        assert [client.result(call).status for call in calls] == [Status.SUCCESS.name, None, None]
        assert client.result(stop).status == Status.INVALID.name
        client.bye()
    assert trace_of(trace, "b") == trace_of(trace, "c") == ["setup(INVALID)", "shutdown(INVALID)"]


def test_a_stop_that_waits_for_files_like_the_row_before_it_ends_the_row(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    with RawClient(server, owner) as client:
        client.hello()
        first, second = (client.create("probe_steps", trace=str(trace), tag=tag) for tag in "ab")
        assert client.call(
            messages.Mount, mount=1, path="/nowhere/scenario", names=[], role="input", mode="copy", marker="",
            content=b"", working_folder="",
        ).value == "copy"  # fmt: skip
        calls = [client.start_tick(first, QUICK)]
        calls += [client.start_tick(second, QUICK, after=calls[-1])]
        stop = client.start_call(messages.Stop, action=first, status=Status.INVALID.name, if_begun=False)
        client.data(wire.encode(messages.Offer(offer=1, mount=1, entries=[], is_last=True)))
        assert [client.result(call).status for call in (*calls, stop)] == [Status.SUCCESS.name, None, "INVALID"]
        client.bye()
    assert trace_of(trace, "b") == ["setup(INVALID)", "shutdown(INVALID)"]
