# SPDX-License-Identifier: Apache-2.0
"""An action that blocks holds up nobody: not the heartbeats, not other sessions, not the tree of its own client."""

from __future__ import annotations

import re
from pathlib import Path

from py_trees.common import Status

from tests.support.probe import trace_of
from tests.support.rawclients import RawClient
from tests.support.servers import Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Start

BLOCKED_BEATS = 25  # with 0.1 s between them: longer than the watchdog of the server in these tests (2 s)


def test_heartbeats_are_answered_while_an_action_blocks_for_longer_than_the_watchdog(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    with RawClient(server, owner) as client:
        client.hello()
        action = client.create(
            "probe_trouble", trace="", tag="", phase="update", deed="wait", text=str(gate), side="any", ticks=1
        )
        call = client.start_tick(action, {})
        for _ in range(BLOCKED_BEATS):
            client.beat(within_s=2.0)
            assert not client.socket.socket.poll(100), "nothing but answers to beats comes while the action blocks"
        gate.touch()
        assert client.result(call).status == Status.SUCCESS.name
        assert client.bye().reason == "bye"


def test_an_action_that_keeps_the_interpreter_to_itself_holds_up_neither_beats_nor_other_sessions(
    server: ServerProcess, owner: Identity, guest: Identity
) -> None:
    with RawClient(server, owner) as hung, RawClient(server, guest) as other:
        hung.hello()
        other.hello()
        action = hung.create(
            "probe_trouble", trace="", tag="", phase="update", deed="hang", text="", side="any", ticks=1
        )
        hung.start_tick(action, {})
        steps = other.create("probe_steps", trace="", tag="")
        assert other.tick(steps, {"ticks": 1000, "result": "success"}).status == Status.RUNNING.name
        for _ in range(BLOCKED_BEATS):
            hung.beat(within_s=2.0)
            assert other.tick(steps).status == Status.RUNNING.name
        assert other.bye().reason == "bye"
        ended = hung.bye()
        assert ended.reason == "bye"
        assert "killed" in ended.text


def test_the_tree_goes_on_ticking_while_a_remote_action_blocks_beyond_all_timeouts_of_the_link(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    client = start(
        f"""
        parallel:
            probe_trouble(trace: "{trace}", tag: "there", phase: "update", deed: "wait", text: "{gate}") with:
                remote("{server.endpoint}", heartbeat_failure_timeout: 1s)
            probe_steps(trace: "{trace}", tag: "here", ticks: 25)
        """
    )
    wait_until(lambda: "update(RUNNING)" in trace_of(trace, "here"), 60.0)  # the engine has to start first
    wait_until(lambda: "terminate SUCCESS(RUNNING)" in trace_of(trace, "here"), 30.0)
    assert trace_of(trace, "there") == ["setup(INVALID)", "execute(INVALID)", "update(INVALID)"]
    gate.touch()
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert trace_of(trace, "there") == [
        "setup(INVALID)", "execute(INVALID)", "update(INVALID)", "terminate SUCCESS(INVALID)", "shutdown(SUCCESS)",
    ]  # fmt: skip
    assert "Tick too long" not in outcome.output


def test_two_remote_actions_of_one_client_do_not_starve_each_other_into_a_lost_server(
    server: ServerProcess, run: Run
) -> None:
    outcome = run(
        f"""
        parallel:
            probe_trouble(phase: "update", deed: "sleep", text: "2.5")
            run_process("uname")
        with:
            remote("{server.endpoint}", heartbeat_failure_timeout: 1s)
        """
    )
    assert outcome.code == 0, outcome.output
    assert "Linux" in outcome.output


def test_a_call_that_exceeds_execution_timeout_fails_the_action_in_words_and_cancels_it(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    outcome = run(
        f"""
        probe_trouble(trace: "{trace}", phase: "update", deed: "sleep", text: "1.5") with:
            failure_is_success()
            remote("{server.endpoint}", execution_timeout: 500ms)
        run_process("sleep 1.5")
        """,
        "-t",
    )
    assert outcome.code == 0, outcome.output
    said = "\n".join(outcome.said)
    assert re.search(r"ERROR .*the server is alive.*'probe_trouble'.*execution_timeout \(0\.5 s\)", said)
    # it cannot be interrupted, but the moment it returns it is cancelled
    assert trace_of(trace)[3:] == ["a terminate SUCCESS(INVALID)", "a terminate INVALID(SUCCESS)",
                                   "a request_cancel(SUCCESS)", "a shutdown(INVALID)"]  # fmt: skip


def test_a_wait_for_ever_is_possible_with_an_execution_timeout_of_zero(server: ServerProcess, run: Run) -> None:
    outcome = run(
        f"""
        probe_trouble(phase: "update", deed: "sleep", text: "1.0") with:
            remote("{server.endpoint}", execution_timeout: 0s)
        """
    )
    assert outcome.code == 0, outcome.output
