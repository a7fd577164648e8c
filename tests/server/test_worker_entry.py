# SPDX-License-Identifier: Apache-2.0
"""What a worker finds when its main is called: a process like a fresh Python, with nothing of the server's in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_server.launcher import LocalLauncher
from tests.support.sessions import Worker, program_path, running_launcher

SIGNALS_AS_PYTHON_HAS_THEM = {
    "SigBlk": 0,
    "SigIgn": 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1),
    "SigCgt": 1 << (signal.SIGINT - 1),
}


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalLauncher]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SCENARIO_EXECUTION_KEYS_DIR", "a secret place")
        environment.setenv("SOME_SETTING_OF_THE_USER", "kept")
        with running_launcher(tmp_path_factory.mktemp("sessions")) as running:
            yield running


@pytest.fixture
def worker(launcher: LocalLauncher) -> Iterator[Worker]:
    started = Worker(launcher)
    yield started
    started.end()


def test_it_leads_a_session_and_a_group_of_its_own(worker: Worker) -> None:
    facts = worker.ask("facts()")
    assert facts["session"] == facts["group"] == facts["pid"]
    assert facts["parent"] == worker.shepherd_pid
    assert os.getsid(worker.shepherd_pid) == worker.shepherd_pid


def test_its_main_runs_in_the_main_thread_of_a_process_with_one_thread(worker: Worker) -> None:
    facts = worker.ask("facts()")
    assert (facts["main thread"], facts["threads"]) == (True, 1)


def test_it_holds_its_channel_and_its_pipes_and_no_other_descriptor(worker: Worker) -> None:
    facts = worker.ask("facts()")
    assert len(facts["fds"]) == 6
    assert facts["fds"][:3] == [0, 1, 2]
    assert facts["links"]["0"] == "/dev/null"
    assert facts["links"]["1"].startswith("pipe:")
    assert facts["links"]["2"].startswith("pipe:")
    assert facts["links"]["1"] != facts["links"]["2"]


def test_what_it_starts_inherits_neither_channel_nor_pipes(worker: Worker) -> None:
    source = "subprocess.run(['ls', '/proc/self/fd'], capture_output=True, text=True, close_fds=False).stdout.split()"
    assert worker.ask(source) == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_nothing_of_the_session_is_in_its_command_line_or_environment(worker: Worker) -> None:
    facts = worker.ask("facts()")
    for text in (facts["command"], facts["initial environment"], *facts["argv"]):
        assert worker.name not in text
        assert str(worker.handle.folder) not in text
    assert facts["argv"] == ["scenario_execution_server"]


def test_the_servers_settings_are_not_in_its_environment_and_the_users_are(worker: Worker) -> None:
    facts = worker.ask("facts()")
    assert "SCENARIO_EXECUTION_" not in facts["initial environment"]
    assert not any(name.startswith("SCENARIO_EXECUTION_") for name in facts["environment"])
    assert facts["environment"]["SOME_SETTING_OF_THE_USER"] == "kept"
    assert facts["environment"]["PWD"] == facts["folder"]


def test_its_module_path_begins_as_any_programs_does_and_not_with_the_current_folder(worker: Worker) -> None:
    path = worker.ask("facts()")["path"]
    assert "" not in path
    assert os.getcwd() not in path


def test_its_umask_is_the_servers(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with running_launcher(tmp_path / "base") as launcher:
            worker = Worker(launcher)
            assert worker.ask("facts()")["umask"] == ["0027"]
            worker.end()
    finally:
        os.umask(before)


def test_two_workers_draw_different_random_numbers(launcher: LocalLauncher) -> None:
    workers = [Worker(launcher) for _ in range(2)]
    assert len({worker.ask("facts()")["random"] for worker in workers}) == 2
    for worker in workers:
        worker.end()


def test_its_signals_are_those_of_a_fresh_python(worker: Worker) -> None:
    assert worker.ask("signal_state()") == SIGNALS_AS_PYTHON_HAS_THEM
    assert worker.ask("signal.getsignal(signal.SIGINT) is signal.default_int_handler")
    assert worker.ask("child_signal_state()") == {"SigBlk": 0, "SigIgn": 0}


def test_its_signals_are_those_of_a_fresh_python_even_when_the_servers_are_not(tmp_path: Path) -> None:
    """As for a server that a shell script starts in the background, or one that blocks signals to read them itself."""
    program = """
import signal, sys
from pathlib import Path
from scenario_execution_server.launcher import LocalLauncher
from tests.support.sessions import Worker, running_launcher
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
with running_launcher(Path(sys.argv[1])) as launcher:
    worker = Worker(launcher)
    print(worker.ask("[signal_state(), child_signal_state()]"))
    worker.end()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "base")],
        env={**os.environ, "PYTHONPATH": program_path()},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.stdout == f"{[SIGNALS_AS_PYTHON_HAS_THEM, {'SigBlk': 0, 'SigIgn': 0}]}\n"


def test_its_processes_have_neutral_names(worker: Worker) -> None:
    assert Path(f"/proc/{worker.worker_pid}/comm").read_text() == "se-worker\n"
    assert Path(f"/proc/{worker.shepherd_pid}/comm").read_text() == "se-shepherd\n"
    assert Path(f"/proc/{worker.launcher.zygote_pid}/comm").read_text() == "se-zygote\n"


def test_sigint_interrupts_what_it_does(worker: Worker) -> None:
    assert worker.ask("0") == 0
    assert worker.shepherd_pid  # read, so that the launcher lets go of the channel
    worker.tell("signal.raise_signal(signal.SIGINT)")
    with pytest.raises(EOFError):
        worker.answer()
