# SPDX-License-Identifier: Apache-2.0
"""Ending a whole tree of processes, and finding out about one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scenario_execution_server.worker import processes
from tests.support.sessions import PROGRAMS, Worker, is_there, next_exit, next_exits, program_path, running_launcher
from tests.support.waiting import wait_until


def run(function: str) -> subprocess.CompletedProcess[str]:
    """Call one of the functions in `process_programs` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"import process_programs; process_programs.{function}()"],
        env={**os.environ, "PYTHONPATH": program_path()},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_tree_of_processes_is_ended_and_every_one_of_it_reaped() -> None:
    assert run("end_a_tree").stdout == "[] True 3 []\n"


def test_a_kernel_that_does_not_list_children_is_no_obstacle() -> None:
    assert run("end_a_tree_on_another_kernel").stdout == "[] True 3 []\n"


def test_children_that_are_spared_live_on() -> None:
    assert run("end_all_but_one").stdout == "[] None\n"


def test_a_process_that_ignores_its_dead_children_can_still_end_them() -> None:
    assert run("end_a_tree_with_sigchld_ignored").stdout == "[] []\n"


def test_a_signal_is_not_sent_to_a_process_of_another_family() -> None:
    with subprocess.Popen(["tail", "-f", "/dev/null"]) as bystander:
        processes._send(bystander.pid, signal.SIGKILL, parents={1})
        processes._send(bystander.pid, signal.SIGTERM, parents={os.getpid()})
        assert bystander.wait(timeout=10.0) == -signal.SIGTERM


def test_a_process_dies_with_a_parent_that_was_gone_before_it_asked_for_that() -> None:
    assert run("die_with_a_parent_that_is_gone").returncode == -signal.SIGKILL


def test_a_name_with_spaces_and_parentheses_does_not_shift_the_fields() -> None:
    assert run("take_a_confusing_name").stdout == "a) R 1 (b True True True\n"


def test_a_process_that_is_not_there_has_no_information_and_no_children() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    assert processes.process_info(gone.pid) is None
    assert processes.children(gone.pid) == []


def test_another_system_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(processes.UnsupportedPlatformError, match="needs Linux .* not darwin"):
        processes.require_linux()


def test_an_old_kernel_is_refused_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", missing)
    with pytest.raises(processes.UnsupportedPlatformError, match="Linux 5.4"):
        processes.require_linux()


def test_a_process_that_cannot_be_killed_is_named_and_its_shepherd_stays_with_it(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base", preload=["unkillable"]) as launcher:
        worker = Worker(launcher)
        name = "se-unkillable"  # the module of that name protects it while it is called so
        program = (
            "import signal, sys; call_me = lambda name: open('/proc/self/comm', 'w').write(name); call_me(sys.argv[1]);"
            "print(flush=True); sys.stdin.read(); call_me('mortal'); signal.pause()"
        )
        pid = worker.ask(
            "globals().update(child=subprocess.Popen("
            f"[sys.executable, '-c', {program!r}, {name!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE))"
            " or child.stdout.readline() and child.pid"
        )
        shepherd = worker.shepherd_pid
        # It can be killed when its input has ended; the worker's end of it is not the last.
        held = os.open(f"/proc/{pid}/fd/0", os.O_WRONLY)
        ended = worker.end()
        assert f"these processes could not be killed: {pid} ({name}, state " in ended.detail
        assert not worker.handle.folder.exists()
        assert is_there(pid) and is_there(shepherd)
        assert launcher.exits() == []
        os.close(held)
        wait_until(lambda: not is_there(pid) and not is_there(shepherd))
        assert launcher.exits() == []


def test_an_ordinary_user_needs_no_privilege_for_any_of_it(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from tests.support.sessions import PROGRAMS, Worker, left_behind, next_exit, running_launcher
from tests.support.programs.session_programs import KINDS
from tests.support.waiting import wait_until
marks = Path(sys.argv[2])
with running_launcher(Path(sys.argv[1])) as launcher:
    for victim in ("worker_pid", "shepherd_pid"):
        worker = Worker(launcher)
        worker.ask(f"plant_everything({str(marks)!r})")
        wait_until(lambda: set(left_behind(marks)) == set(KINDS))
        os.kill(getattr(worker, victim), signal.SIGKILL)
        print(next_exit(launcher).reason.value, left_behind(marks), list(Path(sys.argv[1]).iterdir()))
        worker.leave()
print([line for line in open("/proc/self/status") if line.startswith("CapEff")])
"""
    (tmp_path / "marks").mkdir()
    done = subprocess.run(
        [
            *(sys.executable, str(PROGRAMS / "unprivileged.py")),
            *(sys.executable, "-c", program, str(tmp_path / "base"), str(tmp_path / "marks")),
        ],
        env={**os.environ, "PYTHONPATH": program_path()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout == "crashed {} []\nlost {} []\n['CapEff:\\t0000000000000000\\n']\n"


def test_nothing_here_waits_for_a_front_that_looks_only_now_and_then(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        workers = [Worker(launcher) for _ in range(3)]
        for worker in workers:
            worker.leave()
        wait_until(lambda: not list((tmp_path / "base").iterdir()))  # all done, and not one report read
        assert len(next_exits(launcher, 3)) == 3


def test_the_end_of_one_session_is_told_once_even_when_asked_for_often(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.leave()
        next_exit(launcher)
        assert [launcher.exits() for _ in range(5)] == [[], [], [], [], []]
