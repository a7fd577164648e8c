# SPDX-License-Identifier: Apache-2.0
"""A worker that dies takes down its own scenario, with the reason, and nobody else's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from scenario_execution_remote.protocol.frames import BODY_LIMIT_BYTES
from tests.support.probe import trace_of
from tests.support.rawclients import RawClient
from tests.support.servers import BRISK, CURVE, Identity, ServerProcess
from tests.support.sessions import program_path
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve, Start

TROUBLE = {"trace": "", "tag": "", "phase": "update", "side": "any", "ticks": 2}


@pytest.mark.parametrize(
    ("deed", "text", "reason", "last_words"),
    [
        ("exit", "3", "exited with status 3", "last words before exit"),
        ("exit", "0", "the worker exited", "last words before exit"),
        ("signal", "SIGKILL", "was ended by SIGKILL", "last words before SIGKILL"),
        ("signal", "SIGSEGV", "was ended by SIGSEGV", "last words before SIGSEGV"),
        ("signal", "SIGTERM", "was ended by SIGTERM", "last words before SIGTERM"),
    ],
)
def test_a_client_learns_how_its_worker_died_and_another_one_notices_nothing(
    deed: str, text: str, reason: str, last_words: str, server: ServerProcess, owner: Identity, guest: Identity
) -> None:
    with RawClient(server, owner) as dying, RawClient(server, guest) as other:
        dying.hello()
        other.hello()
        steps = other.create("probe_steps", trace="", tag="")
        assert other.tick(steps, {"ticks": 3, "result": "success"}).status == "RUNNING"
        action = dying.create("probe_trouble", deed=deed, text=text, **TROUBLE)
        assert dying.tick(action, {}).status == "RUNNING"
        dying.start_tick(action)
        ended = dying.ended()
        assert ended.reason == "worker-lost"
        assert f"{reason}. " in ended.text
        # what it said last arrives as output, or at the latest with the farewell
        assert last_words in dying.output.decode() + ended.text
        assert [other.tick(steps).status for _ in range(2)] == ["RUNNING", "SUCCESS"]
        assert other.bye().reason == "bye"


def test_a_client_for_which_there_is_no_process_hears_that_nothing_has_run_and_where_to_look(
    serve: Serve, run: Run, site: str, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import forkless_shepherd\n")
    server = serve(*CURVE, *BRISK, site=os.pathsep.join((str(tmp_path / "site"), program_path(), site)))
    outcome = run(f'log("there") with:\n    remote("{server.endpoint}")')
    assert outcome.code == 1 and outcome.count("INFO there") == 0, outcome.output
    (ended,) = server.wait_for_log("session ended", "reason=start-failed")
    (name,) = re.findall(r"session=(\w+)", ended)
    (line,) = [line for line in outcome.said if "Setup failed remote(" in line]
    assert "The server could not start a process for this session, and no action has run: " in line
    assert "Resource temporarily unavailable. Try again" in line
    assert line.endswith(f"ask its operator to look for session {name} in the server's log.")


def test_an_action_that_writes_to_the_front_what_no_worker_does_loses_its_session_and_nobody_else_anything(
    server: ServerProcess, owner: Identity, guest: Identity
) -> None:
    with RawClient(server, owner) as mad, RawClient(server, guest) as other:
        mad.hello()
        other.hello()
        action = mad.create("probe_trouble", deed="announce", text=str(BODY_LIMIT_BYTES + 2), **TROUBLE)
        assert mad.tick(action, {}).status == "RUNNING"
        mad.start_tick(action)
        ended = mad.ended()
        assert (ended.reason, "misbehaved" in ended.text) == ("worker-lost", True)
        assert other.bye().reason == "bye"


def test_a_client_that_sends_and_sends_to_a_busy_worker_loses_its_session_before_it_costs_much_memory(
    server: ServerProcess, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    with RawClient(server, owner) as greedy, RawClient(server, guest) as other:
        greedy.hello()
        other.hello()
        gate = str(tmp_path / "never")
        action = greedy.create("probe_trouble", deed="wait", text=gate, **{**TROUBLE, "ticks": 1})
        greedy.start_tick(action, {})
        for _ in range(6):
            greedy.data(bytes(BODY_LIMIT_BYTES))
        ended = greedy.ended()
        assert ended.reason == "limit"
        assert f"{4 * (BODY_LIMIT_BYTES + 1)} bytes may wait" in ended.text
        assert other.bye().reason == "bye"


def test_a_scenario_whose_worker_dies_fails_with_the_reason_while_another_one_runs_on(
    server: ServerProcess, start: Start, guest: Identity, tmp_path: Path
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    other = start(f'probe_hold("{trace}", gate: "{gate}") with:\n    remote("{server.endpoint}")', who=guest)
    wait_until(lambda: "update(RUNNING)" in trace_of(trace, "a"), 30.0)
    dying = start(
        f"""
        probe_trouble(phase: "update", deed: "signal", text: "SIGSEGV", ticks: 2) with:
            remote("{server.endpoint}")
        """
    ).finish()
    assert dying.code == 1
    assert "ended by SIGSEGV" in dying.output
    assert "last words before" in dying.output
    assert "Traceback" not in dying.output
    gate.touch()
    outcome = other.finish()
    assert outcome.code == 0, outcome.output
    assert [line for line in outcome.said if line.startswith(("WARN", "ERROR"))] == []


def test_a_scenario_can_handle_the_loss_of_its_worker_like_any_failure(server: ServerProcess, run: Run) -> None:
    outcome = run(
        f"""
        probe_trouble(phase: "execute", deed: "exit", text: "3") with:
            failure_is_success()
            remote("{server.endpoint}")
        log("went on")
        """
    )
    assert outcome.code == 0, outcome.output
    assert "INFO went on" in outcome.said


def test_a_worker_that_hangs_in_c_for_ever_is_killed_when_its_scenario_gives_up(
    server: ServerProcess, run: Run
) -> None:
    outcome = run(
        f"""
        probe_trouble(phase: "update", deed: "hang") with:
            remote("{server.endpoint}", execution_timeout: 500ms, heartbeat_failure_timeout: 1s)
        """
    )
    assert outcome.code == 1
    assert "did not return within execution_timeout" in outcome.output
    server.wait_for_log("session ended", "exit=killed")


def test_a_shutdown_that_does_not_end_is_cut_off_after_the_time_it_is_given(server: ServerProcess, run: Run) -> None:
    outcome = run(f'probe_trouble(phase: "shutdown", deed: "hang") with:\n    remote("{server.endpoint}")')
    assert outcome.code == 0, outcome.output
    (line,) = server.lines("session ended", "exit=killed")[-1:]
    assert "reason=bye" in line
