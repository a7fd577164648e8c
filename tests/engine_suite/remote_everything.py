# SPDX-License-Identifier: Apache-2.0
"""A pytest plug-in that makes every plug-in action of every tree the engine builds a remote one.

Loaded with ``-p remote_everything`` into a run of the engine's own test suite; the suite itself is not changed. The server
is the real one, on a unix socket or over CURVE on loopback, as the option ``--remote-over`` says.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from scenario_execution.model.model_to_py_tree import ModelToPyTree
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.modifier import rewrite
from scenario_execution_remote.run import RUN


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--remote-over", choices=("unix", "curve"), default="unix", help="how to reach the server")


class _Server:
    """A server of the test run's own, with a key store of its own."""

    def __init__(self, over: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="engine-suite-")
        folder = Path(self._folder.name)
        bin_dir = Path(sys.executable).parent
        os.environ["SCENARIO_EXECUTION_KEYS_DIR"] = str(folder / "keys")
        command = [str(bin_dir / "scenario_execution_server"), "--log-level", "warning"]
        if over == "curve":
            subprocess.run([str(bin_dir / "se-server"), "keygen"], check=True, capture_output=True)
            command += ["--curve", "--host", "127.0.0.1", "--port", "0"]
        else:
            command += ["--socket", str(folder / "s")]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "listening on" in line:
                break
        else:
            raise RuntimeError("the server did not start")
        address = line.partition("listening on ")[2].split()[0]
        self.endpoint = address.replace("ipc://", "")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)
        if self._process.stderr is not None:
            sys.stderr.write(self._process.stderr.read())
            self._process.stderr.close()
        self._folder.cleanup()


_state: dict[str, Any] = {}


def pytest_configure(config: pytest.Config) -> None:
    _state["server"] = server = _Server(config.getoption("--remote-over"))
    settings = RemoteSettings(endpoint=server.endpoint, setup_timeout_s=20.0)
    original = ModelToPyTree.build

    @functools.wraps(original)
    def build(self: Any, model: Any, tree: Any, log_tree: Any) -> Any:
        return rewrite(original(self, model, tree, log_tree), settings)

    ModelToPyTree.build = build


def pytest_unconfigure(config: pytest.Config) -> None:
    RUN.end()
    _state["server"].stop()


@pytest.fixture(autouse=True)
def _end_the_run_with_the_test() -> Any:
    """A test of the engine is a run of its own, but not all of them process their results, which would end it."""
    yield
    RUN.end()
