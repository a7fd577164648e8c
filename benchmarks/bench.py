# SPDX-License-Identifier: Apache-2.0
"""What every measurement needs: a server, keys in a temporary place, and honest statistics."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.link import Link
from scenario_execution_remote.protocol import messages
from scenario_execution_remote.security import security_for


@dataclass(frozen=True)
class Place:
    """A temporary key store and the programs of this environment."""

    folder: Path
    store: KeyStore
    environment: dict[str, str]

    def program(self, name: str) -> str:
        """Path of an installed command."""
        return str(Path(sys.executable).parent / name)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """A fresh key store with a server and an enrolled client, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="se-bench-") as folder:
        keys = Path(folder) / "keys"
        own = {"SCENARIO_EXECUTION_KEYS_DIR": str(keys), "XDG_STATE_HOME": str(Path(folder) / "state")}
        environment = {**os.environ, **own}
        os.environ["SCENARIO_EXECUTION_KEYS_DIR"] = str(keys)
        here = Place(Path(folder), KeyStore.open(keys), environment)
        subprocess.run([here.program("se-server"), "keygen"], env=environment, check=True, capture_output=True)
        yield here


@contextlib.contextmanager
def server(here: Place, *options: str, prefix: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """A running server, started by way of *prefix*; yields its endpoint and process id."""
    command = [*prefix, here.program("scenario_execution_server"), "--log-level", "warning", *options]
    if not any(option in ("--socket", "--port") for option in options):
        command += ["--curve", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, env=here.environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "listening on" in line)
        address = line.partition("listening on ")[2].split()[0].rstrip(",")
        yield address.removeprefix("ipc://").removeprefix("tcp://"), process.pid
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


class Silent:
    """A sink that throws everything away."""

    def answer(self, question: messages.Ask) -> bytes | None:
        """No question is asked here."""
        raise NotImplementedError(question)

    def foreign(self, value: object) -> object:
        """No stand-ins."""
        return value

    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments: None


@contextlib.contextmanager
def link(here: Place, endpoint: str) -> Iterator[Link]:
    """An open session."""
    place_ = Endpoint.parse(endpoint)
    security = security_for(place_, RemoteSettings(endpoint=endpoint), here.store)
    opened = Link(place_, security, 5.0, Silent())
    opened.start(10.0)
    opened.wait_until_open()
    try:
        yield opened
    finally:
        opened.end()
        opened.wait_until_over(20.0)


def start_action(session: Link, number: int, plugin: str, arguments: dict[str, Any]) -> None:
    """Create, set up and activate an action."""
    nowhere = messages.Directories(scenario_file=None, output=None)
    create = messages.Create(
        call=session.next_number(), action=number, scenario=1, plugin=messages.Plugin(key=plugin), init_arguments={},
        name=plugin, label=None, context=None, actor=None, directories=nowhere, debug=False,
    )  # fmt: skip
    setup = messages.Setup(
        call=session.next_number(), action=number, values={"tick_period": 0.1, "output_dir": None},
        provided=["logger", "process_registry", "host_clock"], directories=nowhere, now_s=None,
    )  # fmt: skip
    tick = messages.Tick(
        call=session.next_number(), action=number, arguments=arguments, now_s=None, period_s=None, after=None
    )
    pending = session.call(create, setup, tick)
    pending.wait(20.0)
    if not isinstance(pending.result, messages.Result) or pending.result.fault is not None:
        raise RuntimeError(f"{plugin} did not start: {pending.result or pending.error}")


def microseconds(work: Callable[[], object], count: int) -> list[float]:
    """How long each of *count* repetitions took, in microseconds."""
    taken = []
    for _ in range(count):
        began = time.perf_counter_ns()
        work()
        taken.append((time.perf_counter_ns() - began) / 1000)
    return taken


def median(values: list[float]) -> float:
    """The median."""
    return statistics.median(values)


def quantile(values: list[float], share: float) -> float:
    """The value that *share* of all are at most."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
