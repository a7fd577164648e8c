# SPDX-License-Identifier: Apache-2.0
"""A pytest plug-in that makes every plug-in action in every tree of the engine a remote one, and counts what they do.

Loaded with ``-p remote_everything`` into a run of the engine's own test suite; the suite itself is not changed. The
server is the real one, on a unix socket or over CURVE on loopback, as the option ``--run-over`` says; ``local`` leaves
the actions where they are, so that what the two kinds of run log can be compared.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from scenario_execution.model.model_to_py_tree import ModelToPyTree
from scenario_execution.utils.logging import BaseLogger

from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.guise import RemoteAction
from scenario_execution_remote.modifier import rewrite
from scenario_execution_remote.run import RUN

START_S = 60.0  # seconds; a server listens after half a second, a machine busy with other things may need many
LEVELS = ("info", "warning", "error")


class Server:
    """A server of the test run's own, with a key store of its own.

    Args:
        over: ``unix`` or ``curve``.
    """

    def __init__(self, over: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="engine-suite-")
        folder = Path(self._folder.name)
        bin_dir = Path(sys.executable).parent
        os.environ["SCENARIO_EXECUTION_KEYS_DIR"] = str(folder / "keys")
        command = [str(bin_dir / "scenario_execution_server")]
        if over == "curve":
            subprocess.run([str(bin_dir / "se-server"), "keygen"], check=True, capture_output=True)
            command += ["--curve", "--host", "127.0.0.1", "--port", "0"]
        else:
            command += ["--socket", str(folder / "s")]
        self.log = ""
        self._address = ""
        self._is_told = threading.Event()  # that it listens, or that it has died
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._is_told.wait(START_S)
        if not self._address:
            self._process.kill()
            raise pytest.UsageError(f"the server does not listen:\n{self.log}")
        self.endpoint = self._address

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self.log += line
            found = re.search(r"listening on .*?(?:tcp|ipc)://(\S+)", line)
            if found is not None:
                self._address = found[1]
                self._is_told.set()
        self._is_told.set()

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        self._process.terminate()
        code = self._process.wait(60)
        self._reader.join(60)
        self._folder.cleanup()
        return code


class Report:
    """What a run leaves behind for the comparison: log records by test, and how often remote actions were called."""

    def __init__(self) -> None:
        self.test = ""
        self.records: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.built = self.set_up = self.ticked = 0
        self.server_status: int | None = None
        self.server_log = ""

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(vars(self)), encoding="utf-8")


report = Report()
servers: list[Server] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-over", choices=("local", "unix", "curve"), default="unix", help="where actions run")
    parser.addoption("--run-report", type=Path, help="file for what the comparison needs")


def pytest_configure(config: pytest.Config) -> None:
    keep_records()
    over = config.getoption("--run-over")
    if over != "local":
        servers.append(Server(over))
        count_calls()
        make_remote(RemoteSettings(endpoint=servers[0].endpoint, setup_timeout_s=20.0))


def pytest_unconfigure(config: pytest.Config) -> None:
    RUN.end()
    for server in servers:
        report.server_status, report.server_log = server.stop(), server.log
    if config.getoption("--run-report"):
        report.write(config.getoption("--run-report"))


@pytest.fixture(autouse=True)
def _one_run_per_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test of the engine is a run of its own, but not all of them process their results, which would end it."""
    report.test = request.node.nodeid
    yield
    RUN.end()


def make_remote(settings: RemoteSettings) -> None:
    """Have the engine build only remote actions."""
    original = ModelToPyTree.build

    @functools.wraps(original)
    def build(self: Any, model: Any, tree: Any, log_tree: Any) -> Any:
        rewritten = rewrite(original(self, model, tree, log_tree), settings)
        for node in rewritten.iterate():
            assert not hasattr(node, "_external_plugin_key"), f"{node.name} stayed a local action"
            if isinstance(node, RemoteAction):
                report.built += 1
                node._local.setup = node._local.update = node._local.tick = ran_here
        return rewritten

    ModelToPyTree.build = build


def ran_here(*_arguments: object, **_more: object) -> NoReturn:
    """Takes the place of the local action's own methods: nothing of it may run in this process."""
    raise AssertionError("an action ran in the process of the tests")


def count_calls() -> None:
    """Count set-ups and ticks that remote actions have come back from."""
    setup, update = RemoteAction.setup, RemoteAction.update

    @functools.wraps(setup)
    def counted_setup(self: RemoteAction, **kwargs: Any) -> None:
        setup(self, **kwargs)
        report.set_up += 1

    @functools.wraps(update)
    def counted_update(self: RemoteAction) -> Any:
        status = update(self)
        report.ticked += 1
        return status

    RemoteAction.setup, RemoteAction.update = counted_setup, counted_update  # type: ignore[method-assign]


def keep_records() -> None:
    """Keep what any of the engine's loggers gets to log at info level and above, whatever it does with it."""
    original = BaseLogger.__init__

    @functools.wraps(original)
    def initialise(self: Any, name: str, debug: bool) -> None:
        original(self, name, debug)
        for level in LEVELS:
            setattr(self, level, functools.partial(keep, level, getattr(self, level)))

    BaseLogger.__init__ = initialise


def keep(level: str, log: Any, msg: Any) -> None:
    report.records[report.test].append((level, str(msg)))
    log(msg)
