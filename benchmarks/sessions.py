# SPDX-License-Identifier: Apache-2.0
"""Many sessions on one server: what a worker costs, who holds up whom, and what idleness costs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import bench
from benchmarks.results import Cell, Result
from scenario_execution_remote.protocol import messages

PERIOD_S = 0.1
_HZ = os.sysconf("SC_CLK_TCK")


def start(here: bench.Place, is_quick: bool) -> Result:
    """How long a worker takes to start, and what memory is its own."""
    from tests.support.latency import measure

    began = measure(count=10 if is_quick else 40, many_count=5)
    sessions_ms = []
    with bench.server(here) as (endpoint, server_pid):
        for _ in range(5 if is_quick else 20):
            began_s = time.perf_counter()
            with bench.link(here, endpoint) as session:
                bench.start_action(session, 1, "bench_idle", {})
                sessions_ms.append((time.perf_counter() - began_s) * 1000)
                private_mb = [_private_mb(pid) for pid in _named(server_pid, "se-worker")]
                shepherd_mb = [_private_mb(pid) for pid in _named(server_pid, "se-shepherd")]
    rows: list[list[Cell]] = [
        ["worker: start to first answer, ms", bench.median(began.start_ms), max(began.start_ms)],
        ["client: connect, session, first tick, ms", bench.median(sessions_ms), max(sessions_ms)],
        ["memory private to a worker with an action, MiB", bench.median(private_mb), max(private_mb)],
        ["memory private to its shepherd, MiB", bench.median(shepherd_mb), max(shepherd_mb)],
    ]
    return Result(
        "start", "start of a session, and its memory", ["", "median", "worst"], rows,
        aim="worker under 50 ms at the median, under 15 MiB private",
    )  # fmt: skip


def many(here: bench.Place, is_quick: bool) -> Result:
    """Many sessions of 20 actions at 10 Hz on one server, without and with some that block it for half a second."""
    sessions, processes, seconds = (10, 2, 3.0) if is_quick else (50, 5, 10.0)
    rows: list[list[Cell]] = []
    for blocking in (0, sessions // 10):
        with bench.server(here, "--max-sessions", "100") as (endpoint, server_pid):
            before_s = _cpu_s([server_pid])
            reports = _clients(here, endpoint, sessions, blocking, processes, seconds)
            front_share = (_cpu_s([server_pid]) - before_s) / seconds
        free = [report for report in reports if not report["blocks"]]
        waits = [wait for report in free for wait in report["waits_ms"]]
        rates = [report["ticks"] / report["seconds"] for report in free]
        rows.append([
            f"{sessions} sessions, {blocking} of them block", min(rates), bench.median(rates), bench.median(waits),
            bench.quantile(waits, 0.99), max(waits), front_share * 100,
        ])  # fmt: skip
    columns = ["", "slowest, ticks/s", "median, ticks/s", "wait p50 ms", "p99 ms", "worst ms", "front CPU %"]
    return Result(
        "many", f"{sessions} sessions of 20 actions on one server, those that do not block", columns, rows,
        aim="every client holds 10 Hz; no tail grows with the others' blocking actions",
        remarks=[
            "A client here is one thread that sends one message a tick, as a tree does; the trees are left out, or",
            f"{sessions} of them would measure this machine's cores. The clients are {processes} processes.",
        ],
    )  # fmt: skip


def _clients(
    here: bench.Place, endpoint: str, sessions: int, blocking: int, processes: int, seconds: float
) -> list[dict[str, Any]]:
    share = sessions // processes
    began = []
    for number in range(processes):
        task = {"endpoint": endpoint, "sessions": share, "seconds": seconds, "keys": str(here.folder / "keys"),
                "blocking": sum(1 for place in range(number * share, (number + 1) * share) if place < blocking)}
        began.append(subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sessions", json.dumps(task)], env=here.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ))  # fmt: skip
    for process in began:
        assert process.stdout is not None
        process.stdout.readline()  # all its sessions are set up
    reports: list[dict[str, Any]] = []
    for process in began:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in began:
        output, _ = process.communicate(timeout=120)
        reports += json.loads(output)
    return reports


def _one_process(task: dict[str, Any]) -> None:
    here = bench.Place(Path(task["keys"]).parent, bench.KeyStore.open(task["keys"]), dict(os.environ))
    with ExitStack() as stack:
        opened = []
        for number in range(task["sessions"]):
            session = stack.enter_context(bench.link(here, task["endpoint"]))
            blocks = number < task["blocking"]
            for action in range(20):
                kind = "bench_block" if blocks and action == 0 else "bench_idle"
                bench.start_action(session, action, kind, {})
            opened.append((session, blocks))
        print("ready", flush=True)
        sys.stdin.readline()
        reports: list[dict[str, Any]] = []
        threads = [
            threading.Thread(target=_drive, args=(session, blocks, task["seconds"], number / len(opened), reports))
            for number, (session, blocks) in enumerate(opened)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(json.dumps(reports), flush=True)


def _drive(session: bench.Link, blocks: bool, seconds: float, phase: float, reports: list[dict[str, Any]]) -> None:
    """Tick at 10 Hz, waiting half a period at most, never with two ticks outstanding: what waves and budget do."""
    time.sleep(phase * PERIOD_S)  # real clients do not tick in the same instant
    began_s = time.perf_counter()
    waits_ms, ticks, pending, sent_s = [], 0, None, 0.0
    due_s = began_s
    while due_s < began_s + seconds:
        if pending is None:
            sent_s = time.perf_counter()
            call = messages.TickAll(call=session.next_number(), actions=list(range(20)), now_s=None)
            pending = session.call(call)
        if pending.wait(PERIOD_S / 2):
            waits_ms.append((time.perf_counter() - sent_s) * 1000)
            pending = None
        ticks += 1
        due_s = max(due_s + PERIOD_S, time.perf_counter() - PERIOD_S)  # a late tick is followed by the next, not by two
        time.sleep(max(0.0, due_s - time.perf_counter()))
    reports.append({
        "blocks": blocks, "ticks": ticks, "seconds": time.perf_counter() - began_s, "waits_ms": waits_ms,
    })  # fmt: skip


def idle(here: bench.Place, is_quick: bool) -> Result:
    """CPU of sessions that do nothing."""
    count, seconds = (20, 5.0) if is_quick else (100, 15.0)
    rows: list[list[Cell]] = []
    with bench.server(here, "--max-sessions", "200") as (endpoint, server_pid):
        for sessions in (0, 1, count):
            with ExitStack() as stack:
                for _ in range(sessions):
                    session = stack.enter_context(bench.link(here, endpoint))
                    bench.start_action(session, 1, "bench_idle", {})
                time.sleep(0.5)
                theirs = [*_named(server_pid, "se-worker"), *_named(server_pid, "se-shepherd")]
                before = _cpu_s([server_pid]), _cpu_s(theirs), _cpu_s([os.getpid()])
                time.sleep(seconds)
                after = _cpu_s([server_pid]), _cpu_s(theirs), _cpu_s([os.getpid()])
            shares = [(late - early) / seconds * 100 for early, late in zip(before, after, strict=True)]
            rows.append([sessions, *shares])
    columns = ["idle sessions", "front, % of a core", "all workers and shepherds, %", "all clients, %"]
    return Result(
        "idle", "CPU of sessions with a running action that is not ticked", columns, rows,
        aim="near nothing, no busy polling",
        remarks=[f"over {seconds:g} s; a session beats once a second on both sides; a clock tick is {1000 / _HZ:g} ms"],
    )  # fmt: skip


def _named(pid: int, name: str) -> list[int]:
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            try:
                if Path(f"/proc/{child}/comm").read_text().strip() == name:
                    found.append(child)
                found += _named(child, name)
            except OSError:  # gone meanwhile
                continue
    return found


def _cpu_s(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _HZ


def _private_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE)) / 1024


if __name__ == "__main__":
    _one_process(json.loads(sys.argv[1]))
