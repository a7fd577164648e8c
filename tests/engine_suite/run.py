# SPDX-License-Identifier: Apache-2.0
"""Runs the engine's own test suite twice, with its actions here and with all of them remote, and compares the two.

Behind ``./dev engine-suite [--over unix|curve] [arguments for pytest]``. Exit codes: 0 the same, 1 not the same or not
plausible, 2 wrong use, 75 not run because the suite could not be had.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from tests.engine_suite import archive
from tests.engine_suite.comparison import Run, differences

NOT_RUN = 75  # "temporary failure", as sysexits.h has it: not this tree's fault, and not a pass
LEAST_PASSED = 456  # locally, with this archive and stand-ins; fewer means that the comparison has lost its ground
# When this was written the whole suite set up 135 remote actions and ticked them 482 times; clearly below that the
# plug-in has lost its grip on the engine.
LEAST_SET_UP = 120
LEAST_TICKED = 400
LIMIT_S = 1500  # seconds; a run takes two to four minutes
CLOSE_S = 60  # seconds; a server gives its sessions up to ten to shut down
HANG_S = 300  # seconds for one test; the slowest takes six


class Suite:
    """One run of the suite, in a folder and a process of its own.

    Args:
        source: The archive.
        folder: A new folder.
        over: ``local``, ``unix`` or ``curve``.
        arguments: For pytest.
    """

    def __init__(self, source: Path, folder: Path, over: str, arguments: Sequence[str]) -> None:
        self.over, self._source, self._folder, self._arguments = over, source, folder, arguments
        self._output = folder / "output.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Unpack the suite and start pytest."""
        archive.unpack(self._source, self._folder)
        everything = [] if any(argument.startswith("test/") for argument in self._arguments) else ["test"]
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "remote_everything",
            "-o", f"faulthandler_timeout={HANG_S}", "-o", "faulthandler_exit_on_timeout=true",
            "--run-over", self.over, "--run-report", self._folder / "report.json",
            "--junit-xml", self._folder / "junit.xml", *self._arguments, *everything,
        ]  # fmt: skip
        plug_ins = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
        # a folder of its own for temporary files, too: the two runs are there at the same time
        (self._folder / "tmp").mkdir()
        own = {"TMPDIR": str(self._folder / "tmp"), "XDG_STATE_HOME": str(self._folder / "state")}
        variables = {**os.environ, "PYTHONPATH": plug_ins, **own}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def finish(self) -> int:
        """Wait for pytest; its exit code."""
        assert self._process is not None
        return self._process.wait(LIMIT_S)

    def close(self) -> None:
        """End it if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # as Ctrl-C, on which pytest takes the server down, too
            try:
                self._process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def result(self) -> Run | None:
        """What it came to, or None if it broke off."""
        try:
            return Run.read(self._folder / "junit.xml", self._folder / "report.json")
        except FileNotFoundError:
            return None

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")


def complaints(local: Run, remote: Run, is_whole: bool) -> list[str]:
    """Everything that keeps the comparison from being a pass."""
    found = list(differences(local, remote))
    report = remote.report
    if not local.count("passed"):
        found.append("no test passed locally")
    if not report["set_up"] or not report["ticked"]:
        found.append("no remote action was set up and ticked")
    if is_whole and local.count("passed") < LEAST_PASSED:
        found.append(f"only {local.count('passed')} tests passed locally, and {LEAST_PASSED} should")
        found += [f"{name}: {outcome}" for name, outcome in local.outcomes.items() if outcome in ("failed", "error")]
    if is_whole and (report["set_up"] < LEAST_SET_UP or report["ticked"] < LEAST_TICKED):
        found.append(
            f"only {report['set_up']} remote actions were set up and {report['ticked']} of their ticks came back; "
            f"at least {LEAST_SET_UP} and {LEAST_TICKED} should"
        )
    if report["server_status"] != 0:
        found.append(f"the server ended with {report['server_status']}:\n{report['server_log']}")
    return found


def table(suites: Sequence[Suite], runs: Sequence[Run]) -> str:
    """The two runs side by side."""
    rows = [("", *(suite.over for suite in suites))]
    for outcome in ("passed", "failed", "error", "skipped"):
        rows.append((outcome, *(str(run.count(outcome)) for run in runs)))
    rows.append(("log records at info level and above", *(str(run.record_count) for run in runs)))
    rows += [
        (f"remote actions {verb}", *(str(run.report[key]) for run in runs))
        for verb, key in (("built", "built"), ("set up", "set_up"), ("ticked", "ticked"))
    ]
    rows.append(("seconds", *(f"{run.took_s:.0f}" for run in runs)))
    return "\n".join(f"{row[0]:<36}" + "".join(f"{cell:>9}" for cell in row[1:]) for row in rows)


def main(arguments: Sequence[str]) -> int:
    """Run both and compare; the exit code."""
    parser = argparse.ArgumentParser(prog="./dev engine-suite", description=__doc__, add_help=True)
    parser.add_argument("--over", choices=("unix", "curve"), default="unix", help="how the remote actions are reached")
    options, rest = parser.parse_known_args(arguments)
    if version(archive.PROJECT) != archive.VERSION:
        print(f"{archive.PROJECT} {version(archive.PROJECT)} is installed; the suite is that of {archive.VERSION}.")
        return 1
    cache = archive.cache_folder()
    try:
        source = archive.fetch(cache)
    except archive.NotAvailableError as error:
        print(f"{error}\n\nNOT RUN: {archive.NAME} is not in {cache}, and the package index did not give it.")
        return NOT_RUN
    except archive.WrongArchiveError as error:
        print(f"NOT THE SAME ARCHIVE: {error}")
        return 1
    with tempfile.TemporaryDirectory(prefix="engine-suite-") as folder:
        return compare(source, Path(folder), options.over, rest)


def compare(source: Path, folder: Path, over: str, arguments: Sequence[str]) -> int:
    """Run the suite both ways at the same time in new folders below `folder`; the exit code."""
    here, there = Suite(source, folder / "local", "local", arguments), Suite(source, folder / over, over, arguments)
    try:
        here.start()
        there.start()
        for suite in (there, here):  # in this order: if the remote one breaks off at once, nobody waits for the other
            code = suite.finish()
            if suite.result() is None:
                print(f"{suite.output}\nThe {suite.over} run broke off with {code}.")
                return 1
    finally:
        here.close()
        there.close()
    local, remote = here.result(), there.result()
    assert local is not None and remote is not None
    print(table((here, there), (local, remote)))
    found = complaints(local, remote, is_whole=not arguments)
    for complaint in found:
        print(f"\n{complaint}")
    print(f"\n{len(found)} complaints" if found else "\nthe same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
