# SPDX-License-Identifier: Apache-2.0
"""An exception of a remote action ends the run as it does locally: same type name, same text, same files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.scenarios import Outcome, as_if_local
from tests.support.servers import ServerProcess
from tests.system.conftest import Run, Start

CASES = [
    ("execute", "ValueError"),
    ("update", "ValueError"),
    ("update", "KeyError"),
    ("update", "ActionError"),
    ("update", "ProbeError"),
    ("update", "SystemExit"),
    ("update", "KeyboardInterrupt"),
    ("terminate", "ValueError"),
]


def last_words(outcome: Outcome) -> str:
    return re.sub(r"\[[\d.]+\]", "[time]", outcome.output.strip().splitlines()[-1])


@pytest.mark.parametrize(("phase", "deed"), CASES)
def test_an_exception_comes_out_as_it_does_locally(
    phase: str, deed: str, server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    action = f'probe_trouble(phase: "{phase}", deed: "{deed}", text: "so it goes")'
    both = (
        start(action, "-o", str(tmp_path / "here")),
        start(f'{action} with:\n    remote("{server.endpoint}")', "-o", str(tmp_path / "there")),
    )
    local, remote = (process.finish() for process in both)
    assert local.code == remote.code == 1
    assert as_if_local(last_words(remote)) == last_words(local)
    # an uncaught exception ends the engine before it writes its verdict, and so it does here
    assert (tmp_path / "there" / "test.xml").exists() == (tmp_path / "here" / "test.xml").exists()


def test_an_exception_in_shutdown_is_logged_with_its_traceback_and_fails_nothing(
    server: ServerProcess, run: Run
) -> None:
    outcome = run(
        f"""
        probe_trouble(phase: "shutdown", deed: "ValueError", text: "too late") with:
            remote("{server.endpoint}")
        """
    )
    assert outcome.code == 0, outcome.output
    assert "shutdown raised ValueError: too late" in outcome.output
    assert "raise getattr(builtins, deed)(text)" in outcome.output


def test_the_traceback_on_the_server_is_shown_as_the_cause(server: ServerProcess, run: Run) -> None:
    outcome = run(f'probe_trouble(phase: "update", deed: "KeyError", text: "x") with:\n    remote("{server.endpoint}")')
    assert "on the server:" in outcome.output
    assert "in do\n" in outcome.output
    assert outcome.output.strip().endswith("KeyError: 'x'")
