# SPDX-License-Identifier: Apache-2.0
"""What can go wrong before the first tick, and how it is said: as the local engine says it, plus what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.probe import trace_of
from tests.support.scenarios import as_if_local
from tests.support.servers import BRISK, CURVE, Identity, ServerProcess
from tests.system.conftest import Run, Serve, Start


def test_a_plugin_that_the_server_lacks_is_named_with_its_package(serve: Serve, run: Run) -> None:
    server = serve(*CURVE, *BRISK, site="")
    outcome = run(f'probe_steps("") with:\n    remote("{server.endpoint}")')
    assert outcome.code == 1
    assert "The server has no plug-in for action 'probe_steps'" in outcome.output
    assert "scenario-execution-probe 1.0.0" in outcome.output
    server.wait_idle()


@pytest.mark.parametrize(
    ("deed", "text", "type_name"),
    [("ValueError", "no such thing", "ValueError"), ("ActionError", "no such thing", "ActionError")],
)
def test_an_error_in_setup_is_reported_as_it_is_locally(
    deed: str, text: str, type_name: str, server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    action = f'probe_trouble(phase: "setup", deed: "{deed}", text: "{text}")'
    both = (
        start(f"serial:\n    {action}", "-o", str(tmp_path / "local")),
        start(f'serial:\n    {action} with:\n        remote("{server.endpoint}")', "-o", str(tmp_path / "remote")),
    )
    local, remote = (process.finish() for process in both)
    assert local.code == remote.code == 1
    for outcome in (local, remote):
        assert f"ERROR Setup failed: {type_name}:" in outcome.said
    failures = [
        re.search("<failure.*?\n", (tmp_path / side / "test.xml").read_text())
        for side in ("local", "remote")
    ]
    assert None not in failures
    here, there = (found[0] for found in failures if found)
    assert text in here
    assert as_if_local(there) == here


def test_an_error_in_the_constructor_on_the_server_alone_fails_the_setup(server: ServerProcess, run: Run) -> None:
    outcome = run(
        f"""
        probe_trouble(phase: "init", deed: "ValueError", text: "only there", side: "server") with:
            remote("{server.endpoint}")
        """
    )
    assert outcome.code == 1
    assert "Setup failed" in outcome.output
    assert "only there" in outcome.output


def test_a_setup_that_takes_longer_than_setup_timeout_fails_and_leaves_nothing(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    outcome = run(
        f"""
        probe_trouble("{tmp_path}/trace", phase: "setup", deed: "sleep", text: "1.5") with:
            remote("{server.endpoint}", setup_timeout: 500ms)
        """
    )
    assert outcome.code == 1
    assert "did not finish within setup_timeout (0.5 s)" in outcome.output
    assert "setup_timeout: 30s" in outcome.output
    assert trace_of(tmp_path / "trace") == ["a setup(INVALID)", "a shutdown(INVALID)"]


def test_a_setup_may_take_longer_than_the_heartbeat_timeout(server: ServerProcess, run: Run) -> None:
    outcome = run(
        f"""
        probe_trouble(phase: "setup", deed: "sleep", text: "1.5") with:
            remote("{server.endpoint}", heartbeat_failure_timeout: 1s)
        """
    )
    assert outcome.code == 0, outcome.output


def test_nobody_listening_is_said_with_the_command_that_helps(run: Run, tmp_path: Path) -> None:
    outcome = run(f'log("never") with:\n    remote("{tmp_path}/nowhere", setup_timeout: 500ms)')
    assert outcome.code == 1
    assert f"no server can be reached at {tmp_path}/nowhere" in outcome.output
    assert f"scenario_execution_server --socket {tmp_path}/nowhere" in outcome.output
    # The engine shows where it was; by which way the sentence came there would only push it out of sight.
    assert outcome.output.count("Traceback") <= 1 and "The above exception" not in outcome.output


def test_a_stranger_is_told_how_to_be_enrolled(server: ServerProcess, run: Run, stranger: Identity) -> None:
    outcome = run(f'log("never") with:\n    remote("{server.endpoint}")', who=stranger)
    assert outcome.code == 1
    assert f"se-server enrol NAME {stranger.pair.public.text}" in outcome.output
    assert stranger.pair.secret.reveal_z85() not in outcome.output
    assert stranger.pair.secret.reveal_text() not in outcome.output
