# SPDX-License-Identifier: Apache-2.0
"""How long it takes to start and to end a session's worker, with the engine preloaded as in a real server.

Run it: ``python -m tests.support.latency``.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_server.launcher import DEFAULT_WORKER_MAIN, PRELOAD, LocalLauncher
from tests.support.sessions import Worker, next_exit, next_exits, running_launcher
from tests.support.waiting import wait_until

ENGINE = (*PRELOAD, DEFAULT_WORKER_MAIN.partition(":")[0])


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Milliseconds, and kilobytes of memory that no other process shares.

    Attributes:
        launcher_ms: Until a new launcher can be used: the engine's imports.
        start_ms: From ``start`` to the worker's first answer, session by session.
        stop_ms: From ``stop`` without grace to the session's end.
        many_count: How many sessions were started at the same time.
        many_ms: Until all of those had answered.
        replaced_ms: From ``start`` to the answer when the fork server was killed before.
        private_kb: Per process.
    """

    launcher_ms: float
    start_ms: list[float]
    stop_ms: list[float]
    many_count: int
    many_ms: float
    replaced_ms: float
    private_kb: dict[str, int]


def measure(count: int = 30, many_count: int = 20) -> Latencies:
    """Start and end `count` sessions one after the other, and `many_count` at once."""
    start_ms, stop_ms = [], []
    with tempfile.TemporaryDirectory() as base:
        began = time.perf_counter()
        with running_launcher(Path(base), preload=ENGINE) as launcher:
            launcher_ms = _ms_since(began)
            for _ in range(count):
                began = time.perf_counter()
                worker = Worker(launcher)
                worker.ask("0")
                start_ms.append(_ms_since(began))
                began = time.perf_counter()
                launcher.stop(worker.handle, 0.0)
                next_exit(launcher)
                stop_ms.append(_ms_since(began))
                worker.leave()
            began = time.perf_counter()
            workers = [Worker(launcher) for _ in range(many_count)]
            for worker in workers:
                worker.ask("0")
            many_ms = _ms_since(began)
            private_kb = {
                "fork server": _private_kb(launcher.zygote_pid),
                "shepherd": _private_kb(workers[0].shepherd_pid),
                "worker": _private_kb(workers[0].worker_pid),
            }
            for worker in workers:
                worker.leave()
            next_exits(launcher, many_count)
            replaced_ms = _replaced_ms(launcher)
    return Latencies(
        launcher_ms=launcher_ms,
        start_ms=start_ms,
        stop_ms=stop_ms,
        many_count=many_count,
        many_ms=many_ms,
        replaced_ms=replaced_ms,
        private_kb=private_kb,
    )


def _replaced_ms(launcher: LocalLauncher) -> float:
    zygote = launcher.zygote_pid
    assert zygote is not None
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: launcher.exits() or launcher.zygote_pid is None)
    began = time.perf_counter()
    worker = Worker(launcher)
    worker.ask("0")
    passed = _ms_since(began)
    worker.end()
    return passed


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _private_kb(pid: int | None) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE))


def report(latencies: Latencies) -> str:
    """The numbers, one a line."""
    lines = [f"launcher ready, engine imported: {latencies.launcher_ms:.0f} ms"]
    for what, values in (("start to first answer", latencies.start_ms), ("stop to end", latencies.stop_ms)):
        median, worst = statistics.median(values), max(values)
        lines.append(f"{what}: median {median:.1f} ms, worst {worst:.1f} ms of {len(values)}")
    lines.append(f"{latencies.many_count} started at once: {latencies.many_ms:.0f} ms until all have answered")
    lines.append(f"start with the fork server killed before: {latencies.replaced_ms:.0f} ms")
    lines.append("memory of its own: " + ", ".join(f"{name} {kb} kB" for name, kb in latencies.private_kb.items()))
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(measure()))
