# SPDX-License-Identifier: Apache-2.0
"""Scenarios run by the engine's own command line, in a process of their own."""

from __future__ import annotations

import re
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.engines import Engines
from tests.support.engines import Run as EngineRun
from tests.support.inventory import MARK, end_marked, marked, new_mark
from tests.support.servers import BIN, clean_environment
from tests.support.waiting import wait_until

RUN_S = 60.0  # a run takes one to three seconds; a busy machine may need many
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
HEAD = "import osc.helpers\nimport osc.remote\nimport osc.probe\n\n"


def scenario(body: str, name: str = "test") -> str:
    """A scenario from the lines below `do serial:`, which may be indented like the test they stand in."""
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8)
    return f"{HEAD}scenario {name}:\n    do serial:\n{inner.rstrip()}\n"


def heard(command: str, line: str, remote: str) -> str:
    """A process, and a wait for what it prints: a scenario that ends with a process leaves its last words unread."""
    return (
        f'heard: run_process("{command}") with:\n    {remote}\n'
        f'process_log_check("heard", ["{line}"]) with:\n    {remote}\n'
    )


def as_if_local(line: str) -> str:
    """A line of the second run of a test, as the first one would say it if its action had no remote()."""
    return re.sub(r" *with: *remote\(.*?\)", "", line).replace("client-2", "client-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended: the exit status, and everything it printed, without colours."""

    code: int
    output: str

    @property
    def said(self) -> list[str]:
        """What was logged, as LEVEL TEXT without time and logger."""
        found = re.findall(r"^\[(\w+)\] \[[\d.]+\] \[\w+\]: (.*)$", self.output, re.MULTILINE)
        return [f"{level} {text}" for level, text in found]

    def count(self, words: str) -> int:
        return self.output.count(words)


class ScenarioProcess:
    """One `scenario_execution`.

    Args:
        folder: A new folder; becomes its working folder.
        text: The scenario file.
        options: For its command line.
        keys: The client's key store.
        site: PYTHONPATH that makes plug-ins available to it.
        engines: Where it is run; None for a process that has nothing loaded.
    """

    def __init__(
        self, folder: Path, text: str, *options: str, keys: Path, site: str, engines: Engines | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.mark = new_mark("client")
        self._output = folder / "output.txt"
        file = folder / "test.osc"
        file.write_text(text, encoding="utf-8")
        variables = clean_environment(
            PYTHONPATH=site, PROBE_SIDE="client", SCENARIO_EXECUTION_KEYS_DIR=str(keys), **{MARK: self.mark}
        )
        words = [str(BIN / "scenario_execution"), str(file), *options]
        self._output.touch()
        self._engines = engines
        self._engine = engines.take() if engines is not None else None
        self.process: subprocess.Popen[bytes] | EngineRun
        if self._engine is not None:
            self.process = self._engine.start(words, variables, folder, self._output, self._output, None)
            return
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                words, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder
            )

    @property
    def output(self) -> str:
        """What it has printed so far, without colours."""
        return COLOUR.sub("", self._output.read_text(encoding="utf-8", errors="replace"))

    def wait_for(self, words: str, within_s: float = RUN_S) -> None:
        """Wait until it has printed something; fails at once if it ends without."""

        def is_said() -> bool:
            is_over = self.process.poll() is not None
            assert words in self.output or not is_over, f"{words!r} was not printed:\n{self.output}"
            return words in self.output

        wait_until(is_said, within_s)

    def finish(self, within_s: float = RUN_S) -> Outcome:
        """Wait for its end."""
        try:
            code = self.process.wait(within_s)
        except (subprocess.TimeoutExpired, TimeoutError):
            raise AssertionError(f"the run did not end within {within_s:g} s:\n{self.output}") from None
        return Outcome(code=code, output=self.output)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def close(self) -> None:
        """End it if it still runs. Fails if anything it has started on its own side stays."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._engines is not None and self._engine is not None:
            self._engines.give_back(self._engine)
        here = marked(self.mark)
        end_marked(self.mark)
        assert not here, f"left running on the client's side: {here}"


@contextmanager
def running(
    folder: Path, text: str, *options: str, keys: Path, site: str, engines: Engines | None = None
) -> Iterator[ScenarioProcess]:
    """A run for the length of a block; see `ScenarioProcess`."""
    process = ScenarioProcess(folder, text, *options, keys=keys, site=site, engines=engines)
    try:
        yield process
    finally:
        process.close()
