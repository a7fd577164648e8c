# SPDX-License-Identifier: Apache-2.0
"""The local launcher as the front sees it: start, stop, and exactly one end per session."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_server import launcher as launcher_module
from scenario_execution_server.launcher import Exit, ExitReason, LauncherError, LocalLauncher, PreloadError
from scenario_execution_server.worker.control import Control
from scenario_execution_server.worker.processes import children, process_info
from tests.support.latency import measure, report
from tests.support.sessions import (
    Worker,
    is_there,
    next_exit,
    next_exits,
    own_children,
    program_path,
    running_launcher,
    zombies,
)
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLauncher]:
    """One for the tests that leave it as it was."""
    with running_launcher(tmp_path_factory.mktemp("sessions")) as running:
        yield running


def open_fds(pid: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_a_worker_runs_in_a_folder_of_its_own_that_goes_with_it(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        folder = worker.handle.folder
        assert folder.parent == tmp_path / "base"
        assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
        assert worker.name not in folder.name  # it is what a client proves its session by
        assert worker.ask("(os.getcwd(), folder, session)") == [str(folder), str(folder), worker.name]
        worker.ask("Path('left behind').write_text('x')")
        ended = worker.end(grace_s=5.0)
        assert (ended.session, ended.reason, ended.code, ended.signal) == (worker.name, ExitReason.FINISHED, 0, None)
        assert not folder.exists()


def test_the_status_a_worker_exits_with_is_told(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base", "leave_with_three") as launcher:
        worker = Worker(launcher)
        ended = next_exit(launcher)
        worker.leave()
        assert (ended.reason, ended.code, ended.signal) == (ExitReason.CRASHED, 3, None)
        assert "exited with status 3" in ended.detail


def test_an_error_in_main_ends_the_worker_with_its_traceback(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base", "raise_error") as launcher:
        worker = Worker(launcher)
        ended = next_exit(launcher)
        worker.leave()
        assert (ended.reason, ended.code) == (ExitReason.CRASHED, 1)
        assert b"ValueError: this went wrong" in ended.output


def test_a_worker_that_calls_sys_exit_with_words_is_heard(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base", "say_and_exit") as launcher:
        worker = Worker(launcher)
        ended = next_exit(launcher)
        worker.leave()
        assert (ended.code, ended.output) == (1, b"leaving with these words\n")


def test_a_status_too_large_for_a_process_is_cut_to_what_the_kernel_keeps(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.tell("sys.exit(2**70 + 5)")
    assert next_exit(launcher).code == 5
    worker.leave()


def test_a_worker_that_aborts_is_told_from_one_that_exits(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.tell("os.abort()")
    ended = next_exit(launcher)
    worker.leave()
    assert (ended.reason, ended.code, ended.signal) == (ExitReason.CRASHED, None, signal.SIGABRT)
    assert "SIGABRT" in ended.detail


def test_a_worker_that_hangs_is_killed_when_its_grace_is_over(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.tell("hang()")
    ended = worker.end(grace_s=0.1)
    assert (ended.reason, ended.code, ended.signal) == (ExitReason.KILLED, None, signal.SIGKILL)
    assert not worker.handle.folder.exists()


def test_a_shepherd_that_an_action_has_stopped_ends_its_session_all_the_same(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.ask("os.kill(os.getppid(), signal.SIGSTOP)")
    assert worker.end(grace_s=5.0).reason is ExitReason.FINISHED
    assert not worker.handle.folder.exists()


def test_a_shepherd_that_does_not_end_its_session_is_killed_and_everything_of_it_ended(
    launcher: LocalLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_module, "_OVERDUE_AFTER_S", 0.1)
    monkeypatch.setattr(Control, "stop", lambda self, grace_s: None)  # it is told, and stopped again before it can act
    worker = Worker(launcher)
    detached = worker.ask("subprocess.Popen(['sleep', '1000'], start_new_session=True).pid")
    worker.ask("os.kill(os.getppid(), signal.SIGSTOP)")
    launcher.stop(worker.handle, 0.1)
    found: list[Exit] = []
    wait_until(lambda: found.extend(launcher.exits()) or found)
    worker.leave()
    assert [ended.reason for ended in found] == [ExitReason.LOST]
    assert process_info(detached) is None
    assert not worker.handle.folder.exists()


def test_a_worker_may_use_its_grace_to_end_by_itself(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    launcher.stop(worker.handle, 10.0)
    assert worker.ask("'still here'") == "still here"
    worker.leave()
    assert next_exit(launcher).reason is ExitReason.FINISHED


def test_stopping_again_is_harmless_and_the_earliest_deadline_counts(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.tell("hang()")
    for grace_s in (600.0, 0.0, 600.0):
        launcher.stop(worker.handle, grace_s)
    assert next_exit(launcher).reason is ExitReason.KILLED
    launcher.stop(worker.handle, 0.0)
    assert launcher.exits() == []
    worker.leave()


def test_a_session_stopped_at_once_after_its_start_still_ends_once(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    launcher.stop(worker.handle, 0.0)
    assert next_exit(launcher).session == worker.name
    assert launcher.exits() == []
    worker.leave()


def test_many_sessions_at_once_each_end_exactly_once(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        workers = [Worker(launcher) for _ in range(20)]
        assert len({worker.worker_pid for worker in workers}) == 20
        for worker in workers:
            worker.leave()
        ended = next_exits(launcher, 20)
        assert sorted(exit.session for exit in ended) == sorted(worker.name for worker in workers)
        assert {exit.reason for exit in ended} == {ExitReason.FINISHED}
        assert launcher.exits() == []
        assert list((tmp_path / "base").iterdir()) == []


def test_fifty_sessions_leave_no_descriptor_and_no_zombie(launcher: LocalLauncher) -> None:
    zygote = launcher.zygote_pid
    assert zygote is not None
    Worker(launcher).end()
    before = open_fds(), open_fds(zygote), own_children()
    for _ in range(50):
        Worker(launcher).end()
    assert (open_fds(), open_fds(zygote), own_children()) == before
    assert children(zygote) == []
    assert zombies() == []


def test_a_worker_that_writes_more_than_anybody_reads_is_ended_and_its_output_bounded(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.tell("write('x' * 1000, times=1000)")
    ended = worker.end(grace_s=0.1)
    assert ended.reason is ExitReason.KILLED
    assert 0 < len(ended.output) <= 64 * 1024


def test_a_worker_that_writes_much_and_dies_ends_like_any_other(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.ask("read_outputs()")
    worker.tell("(write('x' * 1000, times=1000), os.abort())")
    ended = next_exit(launcher)
    worker.leave()
    assert ended.signal == signal.SIGABRT
    assert len(ended.output) <= 64 * 1024


def test_what_a_dead_worker_wrote_last_is_in_its_exit(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.tell("(os.write(1, b'to stdout\\n'), os.write(2, b'to stderr\\n'), os._exit(7))")
    ended = next_exit(launcher)
    worker.leave()
    assert (ended.code, ended.output) == (7, b"to stdout\nto stderr\n")


@pytest.mark.parametrize(
    ("main", "words"),
    [("missing", "AttributeError"), ("not_a_function", "not_a_function is not callable")],
)
def test_a_main_that_is_not_there_is_refused_at_once(tmp_path: Path, main: str, words: str) -> None:
    with pytest.raises(PreloadError, match=words), running_launcher(tmp_path / "base", main):
        pass
    assert zombies() == []


def test_a_module_that_cannot_be_imported_is_named_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(PreloadError, match="No module named 'no_such_module'") as caught:
        LocalLauncher(base=tmp_path / "base", worker_main="no_such_module:main", preload=())
    assert "import_module" in caught.value.traceback


def test_a_module_that_starts_a_thread_when_imported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "restless.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PreloadError, match="started 1 thread"), running_launcher(tmp_path / "b", preload=["restless"]):
        pass


def test_a_killed_fork_server_is_replaced_and_running_sessions_go_on(tmp_path: Path) -> None:
    others = own_children()
    with running_launcher(tmp_path / "base") as launcher:
        survivor = Worker(launcher)
        survivor.ask("0")
        first = launcher.zygote_pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        newcomer = Worker(launcher)
        wait_until(lambda: launcher.exits() or launcher.pids(newcomer.handle)[1] is not None)
        assert newcomer.ask("1 + 1") == 2
        assert launcher.zygote_pid not in (None, first)
        assert survivor.ask("2 + 2") == 4
        assert survivor.end(grace_s=5.0).reason is ExitReason.FINISHED
        assert newcomer.end(grace_s=5.0).reason is ExitReason.FINISHED
        assert own_children() - others == {launcher.zygote_pid}


def test_a_session_waiting_in_the_queue_of_a_killed_fork_server_is_started_by_the_next(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        zygote = launcher.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGSTOP)  # the order stays in its queue
        worker = Worker(launcher)
        worker.tell("1 + 1")
        os.kill(zygote, signal.SIGKILL)
        wait_until(lambda: launcher.exits() or launcher.pids(worker.handle)[1] is not None)
        assert worker.answer() == 2
        assert worker.end(grace_s=5.0).reason is ExitReason.FINISHED


def test_a_session_stopped_before_a_killed_fork_server_began_it_ends_as_not_started(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        zygote = launcher.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGSTOP)
        worker = Worker(launcher)
        launcher.stop(worker.handle, 5.0)
        os.kill(zygote, signal.SIGKILL)
        ended = next_exit(launcher)
        worker.leave()
        assert ended.reason is ExitReason.START_FAILED
        assert "the fork server was killed" in ended.detail
        assert not worker.handle.folder.exists()


def test_a_fork_server_that_stops_working_later_fails_sessions_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fickle = tmp_path / "modules" / "fickle.py"
    fickle.parent.mkdir()
    fickle.write_text("")
    monkeypatch.setenv("PYTHONPATH", str(fickle.parent), prepend=os.pathsep)
    with running_launcher(tmp_path / "base", preload=["fickle"]) as launcher:
        fickle.write_text("raise OSError('the disk is gone')\n# so that it is not taken from the cache")
        zygote = launcher.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGKILL)
        worker = Worker(launcher)
        ended = next_exit(launcher)
        worker.leave()
        assert ended.reason is ExitReason.START_FAILED
        assert "the disk is gone" in ended.detail


def test_a_session_without_descriptors_to_spare_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_launcher(tmp_path / "base") as launcher:

        def no_more() -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(socket, "socketpair", no_more)
        with pytest.raises(LauncherError, match="Too many open files"):
            launcher.start("00" * 16)
        monkeypatch.undo()
        assert list((tmp_path / "base").iterdir()) == []
        assert launcher.exits() == []


@pytest.mark.parametrize("name", ["", "../../etc", "ABCDEF0123", "0123", "0" * 200, "01234567\n"])
def test_a_name_that_is_no_session_is_refused(launcher: LocalLauncher, name: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        launcher.start(name)


def test_a_session_that_is_there_is_not_started_again(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    with pytest.raises(LauncherError, match="a session of this name"):
        launcher.start(worker.name)
    worker.end()


def test_closing_ends_every_session_and_the_fork_server(tmp_path: Path) -> None:
    others = own_children()
    with running_launcher(tmp_path / "base") as launcher:
        workers = [Worker(launcher) for _ in range(3)]
        pids = [pid for worker in workers for pid in (worker.worker_pid, worker.shepherd_pid)]
        for worker in workers:
            worker.tell("hang()")
        launcher.close()
        assert [pid for pid in pids if is_there(pid)] == []
        assert own_children() == others
        assert list((tmp_path / "base").iterdir()) == []
        with pytest.raises(LauncherError, match="closed"):
            launcher.start("00" * 16)
        for worker in workers:
            worker.leave()


def test_a_disk_that_hangs_keeps_no_launcher_from_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_asked, has_answered, is_over = threading.Event(), threading.Event(), threading.Event()

    def hang(_folder: Path) -> str:
        is_asked.set()
        has_answered.wait(30)
        is_over.set()
        return ""

    monkeypatch.setattr(launcher_module, "_HELPER_LIMIT_S", 0.05)
    monkeypatch.setattr(launcher_module, "retire", hang)
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.ask("0")
        os.kill(worker.shepherd_pid, signal.SIGKILL)
        wait_until(lambda: launcher.exits() == [] and is_asked.is_set())
        launcher.close()
        assert not is_over.is_set()
        has_answered.set()
        worker.leave()
        assert is_over.wait(30) and launcher._helper.close(30)
        os.close(launcher._notice)


def test_a_child_that_the_front_started_itself_is_not_taken_for_an_orphan(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher, subprocess.Popen(["tail", "-f", "/dev/null"]) as bystander:
        worker = Worker(launcher)
        worker.ask("0")
        os.kill(worker.shepherd_pid, signal.SIGKILL)
        assert next_exit(launcher).reason is ExitReason.LOST
        worker.leave()
        assert bystander.poll() is None
        bystander.kill()


def test_two_launchers_in_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "one") as one, running_launcher(tmp_path / "two") as two:
        first, second = Worker(one), Worker(two)
        second.ask("0")
        first.ask("0")
        zygote = two.zygote_pid
        assert zygote is not None
        os.kill(zygote, signal.SIGKILL)  # now the second session's shepherd is a child of this process
        shepherd = second.shepherd_pid
        wait_until(lambda: shepherd in own_children())
        os.kill(first.shepherd_pid, signal.SIGKILL)
        assert next_exit(one).reason is ExitReason.LOST
        first.leave()
        assert second.ask("1 + 1") == 2
        assert second.end(grace_s=5.0).reason is ExitReason.FINISHED


def test_the_engine_is_there_and_zmq_is_not_when_a_real_worker_begins(tmp_path: Path) -> None:
    with running_launcher(
        tmp_path / "base", preload=["scenario_execution", "py_trees", "scenario_execution_server.worker.main"]
    ) as launcher:
        worker = Worker(launcher)
        modules = set(worker.ask("facts()")["modules"])
        assert {"scenario_execution", "py_trees"} <= modules
        assert "zmq" not in modules
        worker.end()


def test_a_server_whose_imports_are_shadowed_by_the_current_folder_is_not_led_astray(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    program = (
        "import sys; sys.path[:] = [entry for entry in sys.path if entry]\n"
        "from pathlib import Path\n"
        "from scenario_execution_server.launcher import LocalLauncher\n"
        "LocalLauncher(base=Path('base'), worker_main='session_programs:obey', preload=()).close()\n"
    )
    environment = {**os.environ, "PYTHONPATH": program_path()}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_poll_set_is_quiet_while_nothing_happens(launcher: LocalLauncher) -> None:
    worker = Worker(launcher)
    worker.ask("0")
    wait_until(lambda: launcher.pids(worker.handle)[1] is not None or launcher.exits())
    poll = select.poll()
    for fd in launcher.fds():
        poll.register(fd, select.POLLIN)
    assert poll.poll(0) == []
    worker.end()


def test_the_measurement_of_latencies_measures() -> None:
    found = measure(count=2, many_count=2)
    assert len(found.start_ms) == len(found.stop_ms) == 2
    assert min(found.launcher_ms, found.many_ms, found.replaced_ms, *found.start_ms, *found.stop_ms) > 0
    assert report(found).count("\n") == 5


def test_a_base_folder_that_somebody_tidied_away_is_made_again(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        (tmp_path / "base").rmdir()
        worker = Worker(launcher)
        assert worker.ask("0") == 0
        assert (tmp_path / "base").stat().st_mode & 0o777 == 0o700
        worker.end()
