# SPDX-License-Identifier: Apache-2.0
"""However a session ends, and whichever of the server's processes is killed: nothing it started is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from scenario_execution_server.launcher import ExitReason, LocalLauncher
from scenario_execution_server.worker.processes import children
from tests.support.programs.session_programs import KINDS
from tests.support.sessions import (
    FrontProcess,
    Worker,
    adopting_orphans,
    is_there,
    left_behind,
    next_exit,
    next_exits,
    own_children,
    running_launcher,
    zombies,
)
from tests.support.waiting import wait_until


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def worker_with_everything(launcher: LocalLauncher, marks: Path) -> Worker:
    worker = Worker(launcher)
    worker.ask(f"plant_everything({str(marks)!r})")
    wait_until(lambda: set(left_behind(marks)) == set(KINDS))
    return worker


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("sys.exit(0)", ExitReason.FINISHED),
        ("sys.exit(3)", ExitReason.CRASHED),
        ("os.abort()", ExitReason.CRASHED),
        ("os.kill(os.getpid(), signal.SIGKILL)", ExitReason.CRASHED),
        ("hang()", ExitReason.KILLED),
    ],
)
def test_nothing_is_left_of_a_session_however_its_worker_ends(
    tmp_path: Path, marks: Path, how: str, reason: ExitReason
) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = worker_with_everything(launcher, marks)
        worker.tell(how)
        if reason is ExitReason.KILLED:
            launcher.stop(worker.handle, 0.05)
        ended = next_exit(launcher)
        worker.leave()
        assert left_behind(marks) == {}
        assert ended.reason is reason
        assert zombies() == []
        assert not worker.handle.folder.exists()


def test_nothing_is_left_of_a_session_whose_shepherd_is_killed(tmp_path: Path, marks: Path) -> None:
    others = own_children()
    with running_launcher(tmp_path / "base") as launcher:
        worker = worker_with_everything(launcher, marks)
        bystander = Worker(launcher)
        bystander.ask("0")
        os.kill(worker.shepherd_pid, signal.SIGKILL)
        ended = next_exit(launcher)
        worker.leave()
        assert left_behind(marks) == {}
        assert (ended.session, ended.reason) == (worker.name, ExitReason.LOST)
        assert not worker.handle.folder.exists()
        assert own_children() - others == {launcher.zygote_pid}
        assert bystander.ask("1 + 1") == 2
        bystander.end()


def test_nothing_is_left_of_a_session_whose_fork_server_and_shepherd_are_killed(tmp_path: Path, marks: Path) -> None:
    others = own_children()
    with running_launcher(tmp_path / "base") as launcher:
        worker = worker_with_everything(launcher, marks)
        shepherd, zygote = worker.shepherd_pid, launcher.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGKILL)
        os.kill(shepherd, signal.SIGKILL)
        ended = next_exit(launcher)
        worker.leave()
        assert left_behind(marks) == {}
        assert ended.reason is ExitReason.LOST
        assert own_children() == others


def test_several_sessions_that_lose_their_shepherds_at_once_each_end_once(tmp_path: Path, marks: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        workers = [Worker(launcher) for _ in range(4)]
        for worker in workers:
            worker.ask(f"plant_bomb({str(marks)!r}, 1)")
        for worker in workers:
            os.kill(worker.shepherd_pid, signal.SIGKILL)
        ended = next_exits(launcher, len(workers))
        assert left_behind(marks) == {}
        assert sorted(exit.session for exit in ended) == sorted(worker.name for worker in workers)
        assert {exit.reason for exit in ended} == {ExitReason.LOST}
        for worker in workers:
            worker.leave()


def test_a_swarm_that_starts_itself_anew_without_end_is_ended(tmp_path: Path, marks: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.ask(f"plant_bomb({str(marks)!r}, 30)")
        wait_until(lambda: len((marks / "respawner").read_text().splitlines()) > 100)
        launcher.stop(worker.handle, 0.0)
        ended = next_exit(launcher)
        worker.leave()
        assert left_behind(marks) == {}
        assert ended.reason is ExitReason.KILLED


def test_orphans_that_end_while_the_session_runs_are_reaped(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.ask("plant_zombies(50)")
        shepherd, pid = worker.shepherd_pid, worker.worker_pid
        # the worker's own children are the worker's to wait for; what they left came to the shepherd
        wait_until(lambda: children(shepherd) == [pid])
        worker.end()


def test_sigterm_to_the_shepherd_ends_its_session(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base", lost_grace_s=0.05) as launcher:
        worker = Worker(launcher)
        worker.ask("0")
        worker.tell("hang()")
        os.kill(worker.shepherd_pid, signal.SIGTERM)
        assert next_exit(launcher).reason is ExitReason.KILLED
        worker.leave()


def test_stray_signals_to_the_shepherd_and_the_fork_server_change_nothing(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.ask("0")
        zygote = launcher.zygote_pid
        assert zygote is not None
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE, signal.SIGALRM):
            os.kill(worker.shepherd_pid, number)
            os.kill(zygote, number)
        os.kill(zygote, signal.SIGTERM)
        assert worker.ask("1 + 1") == 2
        assert worker.end(grace_s=5.0).reason is ExitReason.FINISHED
        assert launcher.zygote_pid == zygote


def test_a_fronts_death_gives_the_worker_time_to_end_by_itself(tmp_path: Path, marks: Path) -> None:
    farewell = tmp_path / "farewell"
    # the channel ends with the front; what stands after the loop that reads it is a worker's clean-up
    then = f"__import__('atexit') and _channel.receive() or Path({str(farewell)!r}).write_text('done')"
    others = own_children()
    with adopting_orphans():
        front = FrontProcess(tmp_path / "base", marks, lost_grace_s=10.0, then=then)
        front.kill("front")
        wait_until(farewell.exists)
        wait_until(lambda: not left_behind(marks) and not list((tmp_path / "base").iterdir()))
        _expect_to_inherit(front, others, "shepherd", "zygote")
        front.close()


@pytest.mark.parametrize("killed", [("front",), ("front", "zygote"), ("zygote", "front")], ids="+".join)
def test_nothing_is_left_when_the_front_is_killed_while_its_worker_blocks(
    tmp_path: Path, marks: Path, killed: tuple[str, ...]
) -> None:
    others = own_children()
    with adopting_orphans():
        front = FrontProcess(tmp_path / "base", marks, lost_grace_s=0.05, then="hang()")
        front.kill(*killed)
        wait_until(lambda: not left_behind(marks) and not list((tmp_path / "base").iterdir()))
        _expect_to_inherit(front, others, "shepherd", "zygote")
        front.close()


@pytest.mark.parametrize("killed", [("worker",), ("shepherd",), ("shepherd", "zygote")], ids="+".join)
def test_nothing_is_left_for_process_one_when_another_process_is_killed(
    tmp_path: Path, marks: Path, killed: tuple[str, ...]
) -> None:
    others = own_children()
    with adopting_orphans():
        front = FrontProcess(tmp_path / "base", marks, lost_grace_s=0.05, then="hang()")
        front.kill(*killed)
        told = front.line()
        assert left_behind(marks) == {}
        assert told["reason"] == ("crashed" if killed == ("worker",) else "lost")
        assert told["children"] == ([] if "zygote" in killed else [front.pids["zygote"]])
        _expect_to_inherit(front, others)
        front.close()


def _expect_to_inherit(front: FrontProcess, others: set[int], *names: str) -> None:
    """Of what the front left, only these may have come to this process; wait for them, so that none stays a zombie."""
    pids = {front.pids[name] for name in names}
    adopted = own_children() - others - {front.process.pid}
    assert adopted <= pids
    for pid in adopted:
        os.waitpid(pid, 0)
    assert [name for name in ("worker", *names) if is_there(front.pids[name])] == []
