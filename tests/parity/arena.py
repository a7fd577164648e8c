# SPDX-License-Identifier: Apache-2.0
"""Where the rows are run: two servers with two doors each, and the engine's own command line in processes of their
own."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.parity.outcome import Outcome, files_of, plain_lines, spoken, without_tracebacks
from tests.parity.row import Pace, Row, localised
from tests.parity.twins import make_twins
from tests.support.engines import Engine
from tests.support.inventory import MARK, Found, end_marked, marked, new_mark
from tests.support.probe import make_site
from tests.support.servers import BIN, CURVE, Identity, ServerProcess, clean_environment, make_owner
from tests.support.waiting import wait_until

WAYS = ("curve", "usock")  # as long as "local", so that the columns in a scenario are the same for all three
RUN_S = 90.0  # a run takes one to three seconds; a busy machine may need many
INPUT = ("test.osc", "test.sce")
SIMULATOR = f"{Path(__file__).with_name('simulator.py')}:Simulator"
NAP_S = 0.01  # between ticks that are to follow each other at once: enough that a busy loop does not starve the others
MODEL = Path(__file__).with_name("serialise.py")
# More runs than cores, as a run sleeps between its ticks; not many more, or results come too late for their ticks.
AT_ONCE = 2 * (os.cpu_count() or 1)


class Process(Protocol):
    """What `subprocess.Popen` and `engines.Run` have in common."""

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, number: signal.Signals) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Client:
    """A run that is going on; see `row.Live`."""

    stdout: Path
    place: Path
    process: Process

    def wait_for(self, text: str, file: str = "trace", count: int = 1) -> None:
        """Wait until a file of the run has a text that many times."""
        path = self.stdout if file == "output" else self.place / file

        def is_there() -> bool:
            found = path.read_text(encoding="utf-8", errors="replace").count(text) if path.exists() else 0
            assert found >= count or self.process.poll() is None, f"the run ended without {text!r} in {file}"
            return found >= count

        wait_until(is_there, RUN_S)

    def signal(self, name: str) -> None:
        """Send a signal to the runner."""
        self.process.send_signal(signal.Signals[name])

    def end_after(self, seconds: float) -> None:
        """Kill the runner if it does not end by itself within that time."""
        try:
            self.process.wait(seconds)
        except (subprocess.TimeoutExpired, TimeoutError):
            self.process.kill()


@dataclass(slots=True)
class Arena:
    """Servers, keys and plug-ins of the whole suite.

    Attributes:
        folder: For the runs.
        owner: Whose keys both sides use.
        site: PYTHONPATH of clients and of the first server.
        servers: The first server and the second one, which lacks a plug-in and has another in an older version.
        environment: What all runs have in common. Taken once: pytest writes into its own while the runs are started.
    """

    folder: Path
    owner: Identity
    site: str
    servers: tuple[ServerProcess, ServerProcess]
    environment: Mapping[str, str]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _exclusive: threading.Condition = field(default_factory=threading.Condition)
    _running: set[str] = field(default_factory=set)
    _thread: threading.local = field(default_factory=threading.local)
    _engines: list[Engine] = field(default_factory=list)

    def endpoints(self, way: str) -> dict[str, str] | None:
        """What REMOTE and REMOTE2 mean; None for the local run."""
        if way == "local":
            return None
        texts = [server.endpoint if way == "curve" else str(server.folder / "s") for server in self.servers]
        return dict(zip(("REMOTE", "REMOTE2"), texts, strict=True))

    def run(self, row: Row, way: str) -> Outcome:
        """Run a row locally (``local``), over CURVE (``curve``) or over a unix socket (``usock``)."""
        number = f"{next(self._numbers):07d}"
        with self._turn(number, row.alone):
            return self._run(row, way, number)

    @contextmanager
    def _turn(self, number: str, alone: bool) -> Iterator[None]:
        with self._exclusive:
            mine = f"{'alone' if alone else 'with others'} {number}"
            self._exclusive.wait_for(
                lambda: not self._running if alone else not any(name.startswith("alone") for name in self._running)
            )
            self._running.add(mine)
        try:
            yield
        finally:
            with self._exclusive:
                self._running.discard(mine)
                self._exclusive.notify_all()

    def _run(self, row: Row, way: str, number: str) -> Outcome:
        # short, as paths of sockets may come below it; and as long for each way, as it stands in sentences with columns
        folder = self.folder / f"{row.slug[:40]}-{zlib.crc32(row.slug.encode()):08x}" / way
        folder.mkdir(parents=True)
        place = folder / "run"
        place.mkdir()

        def filled(text: str) -> str:
            for name, value in {"$T": 'trace: "$F/trace"', "$F": str(place), "$N": number}.items():
                text = text.replace(name, value)
            return text

        variables = {
            **self.environment, "PROBE_SIDE": "server" if way == "local" else "client", "TMPDIR": str(folder),
            "SCENARIO_EXECUTION_KEYS_DIR": str(self.owner.folder), MARK: (mark := new_mark("parity")),
            **{name: filled(value) for name, value in row.environment.items()},
        }  # fmt: skip
        endpoints = self.endpoints(way)
        for name, text in {"test.osc": row.text, **row.files}.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(localised(filled(text), endpoints), encoding="utf-8", errors="surrogateescape")
            if text.startswith("#!"):
                path.chmod(0o700)
        file = place / "test.osc"
        if row.as_model:
            file = place / "test.sce"
            subprocess.run([sys.executable, MODEL, place / "test.osc", file], env=variables, check=True, cwd=place)
        options = [filled(option) for option in row.options]
        command: list[object] = [BIN / "scenario_execution", file, "-o", place / "out", "--bt-log"]
        command += ["--simulation", SIMULATOR] if row.pace is Pace.SIMULATED else ["-s", row.pace.value]
        if row.program:
            command = [*map(filled, row.program)]
            command[0] = sys.executable if command[0] == "python" else BIN / str(command[0])
        words = [str(word) for word in (*command, *options)]
        stdout, stderr = folder / "stdout", folder / "stderr"
        if row.program or row.fresh:
            process: Process = start_fresh(words, variables, place, stdout, stderr)
        else:
            nap_s = NAP_S if row.pace is Pace.HURRIED else None
            process = self._engine().start(words, variables, place, stdout, stderr, nap_s)
        try:
            if row.meanwhile is not None:
                row.meanwhile(Client(stdout, place, process))
            code: object = process.wait(RUN_S)
        except (subprocess.TimeoutExpired, TimeoutError):
            code = f"still running after {RUN_S:g} s"
        finally:
            process.kill()
            process.wait()
            left = self._left(mark, number)
            end_marked(mark)
        names = {str(place): "$F", number: "$N"}
        for word, endpoint in (endpoints or {}).items():
            names[endpoint] = "$E" if word == "REMOTE" else "$E2"
        for server in self.servers:
            for session in server.folders():
                names[str(session)] = "$F"
        return self._outcome(folder, place, code, left, names, way != "local" and row.is_root_remote)

    def _engine(self) -> Engine:
        """The engine of this thread."""
        engine = getattr(self._thread, "engine", None)
        if engine is None:
            engine = Engine(self.environment)
            self._thread.engine = engine
            self._engines.append(engine)
        return engine

    def close(self) -> None:
        """End the processes that run the engine."""
        for engine in self._engines:
            engine.close()

    def _left(self, mark: str, number: str) -> list[Found]:
        """What still runs of a run, on either side; what is ending has a moment for that."""

        def find() -> list[Found]:
            there = [found for server in self.servers for found in marked(server.mark) if number in found.command]
            return [*marked(mark), *there]

        try:
            wait_until(lambda: not find(), 0.5)
        except AssertionError:
            return find()
        return []

    @staticmethod
    def _outcome(
        folder: Path, place: Path, code: object, left: list[Found], names: Mapping[str, str], is_root_remote: bool
    ) -> Outcome:
        out, err = (
            (folder / name).read_text(encoding="utf-8", errors="backslashreplace") for name in ("stdout", "stderr")
        )
        records, printed = spoken(out, names, is_root_remote)
        aspects: dict[str, object] = {
            "exit code": code,
            "log": records,
            "stdout": printed,
            "stderr": without_tracebacks(plain_lines(err, names)),
            "left running": sorted(found.command.split()[0].rpartition("/")[2] for found in left),
        }
        files = files_of(place, names, is_root_remote)
        aspects |= {f"file {name}": content for name, content in files.items() if name not in INPUT}
        return Outcome(aspects, f"{out}\n--- stderr\n{err}")


class Outcomes:
    """The outcomes of rows, run ahead of the tests that ask for them.

    Args:
        arena: Where they are run.
        wanted: Rows and ways, in the order in which they will be asked for.
    """

    def __init__(self, arena: Arena, wanted: list[tuple[Row, str]]) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="parity")
        self._futures: dict[tuple[str, str], Future[Outcome]] = {}
        for row, way in wanted:
            if (row.slug, way) not in self._futures:
                self._futures[row.slug, way] = self._pool.submit(arena.run, row, way)

    def of(self, row: Row, way: str) -> Outcome:
        """The outcome of a row."""
        return self._futures[row.slug, way].result()

    def close(self) -> None:
        """Start no more runs, and wait for the ends of those that are going on."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def start_fresh(
    words: list[str], environment: Mapping[str, str], folder: Path, stdout: Path, stderr: Path
) -> subprocess.Popen[bytes]:
    """Start a program in a process that shares nothing with any other run."""
    with stdout.open("wb") as out, stderr.open("wb") as err:
        return subprocess.Popen(
            words, env=dict(environment), stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder
        )


@contextmanager
def arena(folder: Path) -> Iterator[Arena]:
    """Servers that are ready; afterwards everything has to be gone."""
    owner = make_owner(folder / "keys")
    probe = make_site(folder / "site")
    newer, older = make_twins(folder)
    site = os.pathsep.join((probe, newer))
    servers: list[ServerProcess] = []
    try:
        for name, path in (("a", site), ("b", os.pathsep.join((probe, older)))):
            place = folder / name
            servers.append(
                ServerProcess(place, *CURVE, "--socket", str(place / "s"), keys=owner.folder, site=path)
            )  # fmt: skip
        first, second = servers
        (folder / "runs").mkdir()
        # with a hash seed, so that the sets that displays print come in the same order
        environment = clean_environment(PYTHONPATH=site, PYTHONHASHSEED="0", LANG="C.UTF-8")
        place = Arena(folder / "runs", owner, site, (first, second), environment)
        try:
            yield place
        finally:
            place.close()
        for server in servers:
            server.wait_idle()
    finally:
        for server in servers:
            server.close()
