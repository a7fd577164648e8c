# SPDX-License-Identifier: Apache-2.0
"""What holds for every test: pure ones are marked by their room, and on the CI machine none may be skipped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workspace import PURE_ROOMS

# Which package the rooms of a test folder belong to; tests/keys/test_keypair.py tests scenario_execution_keys.keypair.
PACKAGE_OF_FOLDER = {
    "files": "scenario_execution_remote.files",
    "keys": "scenario_execution_keys",
    "protocol": "scenario_execution_remote.protocol",
    "remote": "scenario_execution_remote",
    "server": "scenario_execution_server",
}
TESTS = Path(__file__).parent
skipped_on_ci: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what runs in its background with SIGINT ignored, and all that the tests start would inherit that.
    for one in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(one) is signal.SIG_IGN:
            signal.signal(one, signal.default_int_handler if one is signal.SIGINT else signal.SIG_DFL)


def is_pure(path: Path) -> bool:
    """Whether the test file at `path` is called after a pure room: test_ROOM.py or test_ROOM_MORE.py."""
    package = PACKAGE_OF_FOLDER.get(path.parent.name)
    if package in PURE_ROOMS:
        return True
    words = path.stem.split("_")[1:]
    return any(f"{package}.{'_'.join(words[:count])}" in PURE_ROOMS for count in range(1, len(words) + 1))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Reading the other files takes longer than running the pure ones.
    if config.option.markexpr == "pure":
        if collection_path.is_dir():
            return collection_path.parent == TESTS and collection_path.name not in PACKAGE_OF_FOLDER or None
        return not is_pure(collection_path) or None
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    if is_pure(item.path):
        item.add_marker("pure")


@pytest.fixture(autouse=True)
def _surroundings() -> Iterator[None]:
    """That no test leaves the process in another place than it found it: a later one would start its programs there."""
    before = os.getcwd(), os.environ.get("PWD")
    yield
    assert (os.getcwd(), os.environ.get("PWD")) == before


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # Where tests run in several processes, the one that gives the exit status hears of them by this alone.
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        skipped_on_ci.append(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped_on_ci:
        terminalreporter.section("skipped on the CI machine, where nothing may be")
        for name in skipped_on_ci:
            terminalreporter.line(name)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if skipped_on_ci and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
