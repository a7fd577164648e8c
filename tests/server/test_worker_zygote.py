# SPDX-License-Identifier: Apache-2.0
"""The fork server: what it refuses, what it survives, and that it never stays behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scenario_execution_server.launcher import ExitReason
from tests.support.sessions import (
    Worker,
    adopting_orphans,
    is_there,
    next_exit,
    program_path,
    running_launcher,
)
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ("forkless_zygote", "there is no process for the session"),
        ("forkless_shepherd", "the worker could not be started"),
    ],
)
def test_a_session_for_which_there_is_no_process_ends_with_the_reason(tmp_path: Path, who: str, words: str) -> None:
    with running_launcher(tmp_path / "base", preload=[who]) as launcher:
        worker = Worker(launcher)
        ended = next_exit(launcher)
        worker.leave()
        assert ended.reason is ExitReason.START_FAILED
        assert words in ended.detail
        assert "Resource temporarily unavailable" in ended.detail
        assert not worker.handle.folder.exists()
        assert launcher.exits() == []


@pytest.mark.parametrize(
    ("name", "first", "since"), [("RLIMIT_NOFILE", 256, 300), ("RLIMIT_CORE", 0, 1)], ids=["descriptors", "core dumps"]
)
def test_a_replacement_has_the_limits_of_the_first_whatever_the_server_has_changed_since(
    name: str, first: int, since: int, tmp_path: Path
) -> None:
    which = getattr(resource, name)
    soft, hard = resource.getrlimit(which)
    resource.setrlimit(which, (first, hard))
    try:
        with running_launcher(tmp_path / "base") as launcher:
            resource.setrlimit(which, (since, hard))
            zygote = launcher.zygote_pid
            assert zygote is not None
            os.kill(zygote, signal.SIGKILL)
            wait_until(lambda: launcher.exits() or launcher.zygote_pid is None)
            worker = Worker(launcher)
            assert worker.ask(f"__import__('resource').getrlimit({which})[0]") == first
            worker.end()
    finally:
        resource.setrlimit(which, (soft, hard))


def test_it_ends_with_a_front_that_dies_before_it_is_ready(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "from scenario_execution_server.worker.fork_server import ForkServer\n"
        "server = ForkServer('session_programs:obey', ['py_trees'])\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": program_path()}
    with adopting_orphans():
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        zygote = int(done.stdout)
        assert os.waitpid(zygote, 0) == (zygote, 0)
    assert not is_there(zygote)
    assert done.stderr == ""


def test_what_a_module_prints_when_imported_goes_to_the_servers_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chatty.py").write_text("print('hello from an import')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with running_launcher(tmp_path / "base", preload=["chatty"]) as launcher:
        Worker(launcher).end()
    assert capfd.readouterr() == ("", "hello from an import\n")
