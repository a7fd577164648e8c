# SPDX-License-Identifier: Apache-2.0
"""However a client goes, its actions are ended and nothing they started keeps running."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from scenario_execution_remote.protocol.frames import Kind
from tests.support.inventory import is_alive
from tests.support.probe import pids_of, trace_of
from tests.support.rawclients import RawClient
from tests.support.servers import Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Start

BODY = """
    serial:
        probe_spawn("{pids}", "child")
        probe_spawn("{pids}", "session")
        probe_spawn("{pids}", "daemon")
        run_process("sleep 1000", wait_for_shutdown: false)
        probe_steps("{trace}", ticks: 10000)
    with:
        remote("{endpoint}", heartbeat_failure_timeout: 1s)
"""


@pytest.mark.parametrize(
    ("number", "reason", "code"),
    [
        (signal.SIGKILL, "silent", -signal.SIGKILL),
        (signal.SIGINT, "bye", 1),
        (signal.SIGTERM, "bye", 1),
        (signal.SIGHUP, "bye", 1),
    ],
)
def test_nothing_on_the_server_outlives_a_client_that_is_ended_by_a_signal(
    number: signal.Signals, reason: str, code: int, server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    pids, trace = tmp_path / "pids", tmp_path / "trace"
    client = start(BODY.format(pids=pids, trace=trace, endpoint=server.endpoint))
    wait_until(lambda: "a update(RUNNING)" in trace_of(trace), 30.0)
    started = pids_of(pids)
    assert len(started) == 3 and all(map(is_alive, started))
    sleepers = [process.pid for process in server.of_sessions() if process.command == "sleep 1000"]
    (sleeper,) = set(sleepers) - set(started)
    client.signal(number)
    assert client.finish().code == code
    server.wait_idle()
    assert [pid for pid in (*started, sleeper) if is_alive(pid)] == []
    assert trace_of(trace)[-3:] == ["a terminate INVALID(RUNNING)", "a request_cancel(RUNNING)", "a shutdown(INVALID)"]
    assert f"reason={reason}" in server.lines("session ended")[-1]


def test_when_a_scenario_is_over_its_background_processes_are(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    outcome = run(
        f"""
        serial:
            probe_spawn("{tmp_path}/pids", "child")
            probe_spawn("{tmp_path}/pids", "daemon")
            run_process("sleep 1000", wait_for_shutdown: false)
            probe_steps("{tmp_path}/trace", ticks: 2)
        with:
            remote("{server.endpoint}")
        """
    )
    assert outcome.code == 0, outcome.output
    # the run waits for its actions' end, so that there is nothing to wait for here
    assert server.of_sessions() == []
    assert [pid for pid in pids_of(tmp_path / "pids") if is_alive(pid)] == []
    assert trace_of(tmp_path / "trace")[-1] == "a shutdown(SUCCESS)"


def test_a_client_that_is_ended_while_its_action_blocks_leaves_nothing_either(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    client = start(
        f"""
        probe_trouble("{trace}", phase: "update", deed: "hang") with:
            remote("{server.endpoint}", heartbeat_failure_timeout: 1s)
        """
    )
    wait_until(lambda: "a update(INVALID)" in trace_of(trace), 30.0)
    client.signal(signal.SIGTERM)
    assert client.finish().code == 1
    server.wait_idle()


def test_a_client_that_loses_patience_with_a_slow_shutdown_goes_at_once_and_the_server_finishes_alone(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    client = start(
        f"""
        probe_trouble("{trace}", phase: "shutdown", deed: "wait", text: "{tmp_path}/never") with:
            remote("{server.endpoint}")
        """
    )
    wait_until(lambda: "a shutdown(SUCCESS)" in trace_of(trace), 30.0)
    client.signal(signal.SIGINT)
    client.finish(2.5)  # less than the 3 s the server gives its actions to shut down
    server.wait_for_log("session ended", "exit=killed")


def test_a_silent_client_loses_its_session_and_is_told_so_when_it_speaks_again(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    with RawClient(server, owner) as client:
        client.hello()
        action = client.create("probe_steps", trace=str(tmp_path / "trace"), tag="a")
        assert client.tick(action, {"ticks": 9, "result": "success"}).status == "RUNNING"
        ended = client.ended()
        assert ended.reason == "silent"
        assert trace_of(tmp_path / "trace")[-1] == "a shutdown(INVALID)"
        client.send(Kind.BEAT)
        assert client.refusal().code == "unknown-session"
