# SPDX-License-Identifier: Apache-2.0
"""What is written to a worker's standard output and error reaches the callback in order, and before `flush` returns."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_server.worker.outputs import OutputPipes, Outputs
from tests.support.sessions import Worker, next_exit, running_launcher
from tests.support.waiting import wait_until


class Pipes:
    """Two pipes as a worker has them."""

    def __init__(self) -> None:
        (stdout, self.stdout), (stderr, self.stderr) = os.pipe(), os.pipe()
        os.set_blocking(stdout, False)
        os.set_blocking(stderr, False)
        self.ends = OutputPipes(stdout=stdout, stderr=stderr)

    def write(self, fd: int, data: bytes) -> None:
        while data:
            data = data[os.write(fd, data) :]


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    os.close(made.stdout)
    os.close(made.stderr)
    wait_until(lambda: not any(thread.name == "outputs" for thread in threading.enumerate()))
    os.close(made.ends.stdout)
    os.close(made.ends.stderr)


def test_flush_delivers_everything_written_before_it(pipes: Pipes) -> None:
    heard: list[tuple[str, bytes]] = []
    outputs = Outputs(lambda stream, data: heard.append((stream, data)), pipes=pipes.ends)
    for number in range(200):
        os.write(pipes.stdout, b"%d," % number)
        os.write(pipes.stderr, b"e")
        outputs.flush()
        text = b"".join(data for stream, data in heard if stream == "stdout")
        assert text.endswith(b"%d," % number)
        assert sum(len(data) for stream, data in heard if stream == "stderr") == number + 1


def test_output_that_nobody_flushes_arrives_by_itself(pipes: Pipes) -> None:
    heard = threading.Event()
    Outputs(lambda stream, data: heard.set(), pipes=pipes.ends)
    os.write(pipes.stderr, b"late news")
    assert heard.wait(10.0)


def test_the_chunks_of_a_stream_keep_their_order_whoever_reads_them(pipes: Pipes) -> None:
    heard: list[bytes] = []
    outputs = Outputs(lambda stream, data: heard.append(data), pipes=pipes.ends)
    expected = b"".join(b"%07d\n" % number for number in range(100_000))
    writer = threading.Thread(target=pipes.write, args=(pipes.stdout, expected))
    writer.start()
    while writer.is_alive():
        outputs.flush()
    outputs.flush()
    assert b"".join(heard) == expected


def test_nobody_blocks_on_a_full_pipe_when_the_front_is_gone(pipes: Pipes) -> None:
    calls: list[bytes] = []

    def deliver(stream: str, data: bytes) -> None:
        calls.append(data)
        raise BrokenPipeError("the front is gone")

    outputs = Outputs(deliver, pipes=pipes.ends)
    pipes.write(pipes.stdout, bytes(1_000_000))
    outputs.flush()
    assert len(calls) == 1


def test_a_process_that_is_not_a_worker_has_no_pipes_of_its_own() -> None:
    with pytest.raises(RuntimeError, match="not a worker"):
        Outputs(lambda stream, data: None)


def test_print_and_child_processes_and_c_libraries_are_heard_in_order(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.ask("globals().update(heard=[])")
        worker.ask("globals().update(outputs=Outputs(lambda stream, data: heard.append((stream, data.decode()))))")
        worker.ask("print('from Python')")
        worker.ask("subprocess.run(['echo', 'from a child'], check=True).returncode")
        worker.ask("ctypes.CDLL(None).puts(b'from C')")
        worker.ask("print('unfinished \\udcff', end='', file=sys.stderr)")
        worker.ask("outputs.flush()")
        heard = worker.ask("heard")
        assert "".join(text for stream, text in heard if stream == "stdout") == "from Python\nfrom a child\nfrom C\n"
        assert "".join(text for stream, text in heard if stream == "stderr") == "unfinished \\udcff"
        assert worker.end(grace_s=5.0).code == 0


def test_what_main_prints_last_is_delivered_before_the_worker_exits(tmp_path: Path) -> None:
    with running_launcher(tmp_path / "base") as launcher:
        worker = Worker(launcher)
        worker.ask(
            "globals().update(outputs=Outputs(lambda stream, data: _channel.send(json.dumps(data.decode()).encode())))"
        )
        worker.tell("sys.stdout.write('last words') and sys.exit(0)")
        assert worker.answer() == "last words"
        assert next_exit(launcher).output == b""
        worker.leave()
