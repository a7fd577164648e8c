# SPDX-License-Identifier: Apache-2.0
"""Sessions of test programs, in a launcher of this process or in a front of their own, and what is left of them."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenario_execution_server.launcher import Exit, Handle, LocalLauncher
from scenario_execution_server.worker.channel import FrameAssembler, encode_frame
from scenario_execution_server.worker.processes import adopt_orphans, adopts_orphans, children, process_info

PROGRAMS = Path(__file__).parent / "programs"
ANSWER_S = 10.0  # many times what any answer takes; a test that waits this long has failed

_numbers = itertools.count(1)


def program_path() -> str:
    """A PYTHONPATH with the test programs in front."""
    return os.pathsep.join(filter(None, (str(PROGRAMS), os.environ.get("PYTHONPATH"))))


@contextmanager
def running_launcher(base: Path, main: str = "obey", **options: Any) -> Iterator[LocalLauncher]:
    """A launcher whose workers run one of the test programs; the engine is not preloaded, to be quick."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = program_path()
    try:
        launcher = LocalLauncher(base=base, worker_main=f"session_programs:{main}", **{"preload": (), **options})
        try:
            yield launcher
        finally:
            launcher.close()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


class Worker:
    """A started session whose worker obeys."""

    def __init__(self, launcher: LocalLauncher) -> None:
        self.launcher = launcher
        self.name = f"{next(_numbers):032x}"
        self.handle: Handle = launcher.start(self.name)
        self.channel = self.handle.channel
        self.channel.settimeout(ANSWER_S)
        self._frames: Iterator[bytes | memoryview] = iter(())
        self._assembler = FrameAssembler()

    def tell(self, source: str) -> None:
        """Have the worker evaluate an expression, and do not wait for it."""
        self.channel.sendall(encode_frame(source.encode()))

    def answer(self) -> Any:
        """The next answer."""
        while True:
            for frame in self._frames:
                return json.loads(bytes(frame))
            data = self.channel.recv(65536)
            if not data:
                raise EOFError("the worker is gone")
            self._frames = iter(self._assembler.feed(data))

    def ask(self, source: str) -> Any:
        """What an expression is, evaluated in the worker."""
        self.tell(source)
        return self.answer()

    @property
    def shepherd_pid(self) -> int:
        self.launcher.exits()  # reads what the shepherd says
        pid = self.launcher.pids(self.handle)[0]
        assert pid is not None
        return pid

    @property
    def worker_pid(self) -> int:
        return int(self.ask("os.getpid()"))

    def leave(self) -> None:
        """Close the channel: an obeying worker exits."""
        self.channel.close()

    def end(self, grace_s: float = 0.0) -> Exit:
        """Stop the session and wait for its end."""
        self.channel.close()
        self.launcher.stop(self.handle, grace_s)
        return next_exit(self.launcher)


def next_exits(launcher: LocalLauncher, count: int, deadline_s: float = ANSWER_S) -> list[Exit]:
    """Wait as a front does, until `count` sessions have ended."""
    found: list[Exit] = []
    give_up_at = time.monotonic() + deadline_s
    while len(found) < count:
        poll = select.poll()
        for fd in launcher.fds():
            poll.register(fd, select.POLLIN)
        left_ms = (give_up_at - time.monotonic()) * 1000
        assert left_ms > 0, f"only {len(found)} of {count} sessions ended within {deadline_s} s: {found}"
        poll.poll(left_ms)
        found += launcher.exits()
    assert len(found) == count
    return found


def next_exit(launcher: LocalLauncher) -> Exit:
    return next_exits(launcher, 1)[0]


def is_there(pid: int) -> bool:
    """Whether a process exists, if only as a zombie."""
    return process_info(pid) is not None


def left_behind(marks: Path) -> dict[str, list[int]]:
    """The processes that wrote into files of this folder and still exist, by the name of the file."""
    left: dict[str, list[int]] = {}
    for file in marks.iterdir():
        for line in file.read_text().splitlines():
            pid, started = int(line.split()[0]), int(line.rpartition(")")[2].split()[19])
            info = process_info(pid)
            if info is not None and info.started == started:
                left.setdefault(file.name, []).append(pid)
    return left


def zombies() -> list[int]:
    """Dead children of this process that nobody has waited for."""
    infos = [process_info(pid) for pid in own_children()]
    return [info.pid for info in infos if info is not None and info.state == "Z"]


def own_children() -> set[int]:
    """The children of this process; some may be there before a test begins."""
    return set(children(os.getpid()))


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """What a killed front leaves becomes a child of this process, so that the test sees it, whoever is process 1."""
    before = adopts_orphans()
    adopt_orphans()
    try:
        yield
    finally:
        adopt_orphans(before)


class FrontProcess:
    """A front in a process of its own, with one session that has planted one process of each kind."""

    def __init__(self, base: Path, marks: Path, *, lost_grace_s: float, then: str = "None") -> None:
        order = {"base": str(base), "marks": str(marks), "lost_grace_s": lost_grace_s, "then": then}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "front_program.py"), json.dumps(order)],
            env={**os.environ, "PYTHONPATH": program_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pids: dict[str, int] = self.line()

    def line(self) -> Any:
        """The next line it prints, which is JSON."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], ANSWER_S)
        assert readable, "the front says nothing"
        return json.loads(self.process.stdout.readline())

    def kill(self, *names: str) -> None:
        """SIGKILL some of front, zygote, shepherd, worker, in this order."""
        for name in names:
            os.kill(self.pids[name], signal.SIGKILL)

    def close(self) -> None:
        """Let it end, if it still runs."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=ANSWER_S)
        self.process.stdout.close()
