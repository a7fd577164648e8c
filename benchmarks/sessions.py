# SPDX-License-Identifier: Apache-2.0
"""Many sessions on one server: what a worker costs, who holds up whom, and what idleness costs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import bench
from benchmarks.results import Aim, Cell, Result
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.link import Link
from scenario_execution_remote.protocol import messages

PERIOD_S = 0.1
ACTIONS = 20  # of a session
TAIL_TIMES = 1.5  # what lies between two measurements of the same tail on a busy machine
IDLE_SHARE, IDLE_SHARE_OF_100 = 1.0, 5.0  # % of a core; a front without any session does its chores all the same


def start(here: bench.Place, is_quick: bool) -> Result:
    """How long a worker takes to start, and what memory is its own."""
    from tests.support.latency import measure

    began = measure(count=10 if is_quick else 40, many_count=5 if is_quick else 20)
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
        aims=[
            Aim("start of a session's worker, median", "under 50 ms", f"{bench.median(began.start_ms):.0f} ms",
                bench.median(began.start_ms) < 50),
            Aim("memory private to a worker", "under 15 MiB", f"{max(private_mb):.1f} MiB", max(private_mb) < 15),
        ],
        facts={
            "worker_start_ms": bench.median(began.start_ms), "worker_mib": bench.median(private_mb),
            "shepherd_mib": bench.median(shepherd_mb),
            "starts_a_second": began.many_count / began.many_ms * 1000,
        },
    )  # fmt: skip


def many(here: bench.Place, is_quick: bool) -> Result:
    """Many sessions of 20 actions at 10 Hz on one server, without and with some that block it for half a second.

    In turns, in the same sessions: each phase without blocking actions is followed by one with them.
    """
    sessions, processes, seconds, turns = (10, 2, 2.0, 1) if is_quick else (50, 5, 5.0, 2)
    blocking = sessions // 10
    with bench.server(here, "--max-sessions", "100") as (endpoint, server_pid):
        with _clients(here, endpoint, sessions, blocking, processes) as clients:
            theirs = [*_named(server_pid, "se-worker"), *_named(server_pid, "se-shepherd")]
            used: list[list[tuple[float, ...]]] = [[], []]
            reports: list[list[dict[str, Any]]] = [[], []]
            for phase in (0, 1) * turns:
                before = _cpu_s([server_pid]), _cpu_s(theirs), _thread_cpu_s(server_pid)
                reports[phase] += _phase(clients, seconds, blocks=bool(phase))
                after = _cpu_s([server_pid]), _cpu_s(theirs), _thread_cpu_s(server_pid)
                used[phase].append(tuple(late - early for early, late in zip(before, after, strict=True)))
    rows: list[list[Cell]] = []
    slowest, tails = [], []
    for phase in (0, 1):
        free = [report for report in reports[phase] if not report["blocks"]]
        waits = [wait for report in free for wait in report["waits_ms"]]
        rates = [report["ticks"] / report["seconds"] for report in free]
        slowest.append(min(rates))
        tails.append(bench.quantile(waits, 0.99))
        front_s, theirs_s, thread_s = (sum(values) for values in zip(*used[phase], strict=True))
        rows.append([
            f"{blocking if phase else 0} of {sessions} block", min(rates), bench.median(rates), bench.median(waits),
            tails[-1], max(waits), front_s / seconds / turns * 100, thread_s / seconds / turns * 100,
            theirs_s / seconds / turns * 100,
        ])  # fmt: skip
    ticks_count = sum(len(report["waits_ms"]) for report in reports[0])
    front_us, workers_us, thread_us = (sum(values) / ticks_count * 1e6 for values in zip(*used[0], strict=True))
    columns = ["sessions", "slowest, ticks/s", "median, ticks/s", "wait p50 ms", "p99 ms", "worst ms", "front CPU %",
               "its own thread %", "workers CPU %"]  # fmt: skip
    return Result(
        "many", f"{sessions} sessions of 20 actions on one server, those that do not block", columns, rows,
        aims=[
            Aim(f"{sessions} sessions of 20 actions, slowest client", "10 ticks a second", f"{min(slowest):.2f}",
                min(slowest) >= 0.99 / PERIOD_S),
            Aim(f"99th percentile of a tick's wait while {blocking} of {sessions} sessions block",
                f"that of without, {TAIL_TIMES:g} times at most", f"{tails[1]:.1f} ms, without {tails[0]:.1f} ms",
                tails[1] <= TAIL_TIMES * tails[0]),
        ],
        facts={
            "front_us_a_tick": front_us, "front_thread_us_a_tick": thread_us, "worker_us_a_tick": workers_us,
        },
        remarks=[
            "A client here is one thread that sends one message a tick, as a tree does; the trees are left out, or",
            f"{sessions} of them would measure this machine's cores. The clients are {processes} processes, on the",
            f"same cores. Phases of {seconds:g} s without and with blocking take turns, in the same sessions.",
        ],
    )  # fmt: skip


@contextlib.contextmanager
def _clients(
    here: bench.Place, endpoint: str, sessions: int, blocking: int, processes: int
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes with so many sessions between them, all set up."""
    share = sessions // processes
    began = []
    try:
        for number in range(processes):
            task = {"endpoint": endpoint, "sessions": share, "keys": str(here.folder / "keys"),
                    "blocking": sum(1 for place in range(number * share, (number + 1) * share) if place < blocking)}
            began.append(subprocess.Popen(
                [sys.executable, "-m", "benchmarks.sessions", json.dumps(task)], env=here.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            ))  # fmt: skip
        for process in began:
            assert process.stdout is not None
            process.stdout.readline()
        yield began
    finally:
        for process in began:
            process.communicate()  # which closes its standard input: the end


def _phase(clients: list[subprocess.Popen[str]], seconds: float, *, blocks: bool) -> list[dict[str, Any]]:
    """All of them tick for some seconds; what each session has to tell."""
    for process in clients:
        assert process.stdin is not None
        process.stdin.write(json.dumps({"seconds": seconds, "blocks": blocks}) + "\n")
        process.stdin.flush()
    reports: list[dict[str, Any]] = []
    for process in clients:
        assert process.stdout is not None
        reports += json.loads(process.stdout.readline())
    return reports


def _one_process(task: dict[str, Any]) -> None:
    here = bench.Place(Path(task["keys"]).parent, KeyStore.open(task["keys"]), dict(os.environ))
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(task["sessions"]):
            session = stack.enter_context(bench.link(here, task["endpoint"]))
            blocks = number < task["blocking"]
            for action in range(ACTIONS):
                bench.start_action(session, action, "bench_idle", {})
            if blocks:
                bench.start_action(session, ACTIONS, "bench_block", {})
            opened.append((session, blocks))
        print("ready", flush=True)
        for line in sys.stdin:
            phase = json.loads(line)
            reports: list[dict[str, Any]] = []
            threads = []
            for number, (session, blocks) in enumerate(opened):
                count, shift = ACTIONS + (blocks and phase["blocks"]), number / len(opened)
                arguments = (session, blocks, count, phase["seconds"], shift, reports)
                threads.append(threading.Thread(target=_drive, args=arguments))
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(json.dumps(reports), flush=True)


def _drive(
    session: Link, blocks: bool, count: int, seconds: float, phase: float, reports: list[dict[str, Any]]
) -> None:
    """Tick at 10 Hz, waiting half a period at most, never with two ticks outstanding: what waves and budget do."""
    time.sleep(phase * PERIOD_S)  # real clients do not tick in the same instant
    began_s = time.perf_counter()
    waits_ms, ticks, pending, sent_s = [], 0, None, 0.0
    due_s = began_s
    while due_s < began_s + seconds:
        is_new = pending is None
        if pending is None:
            sent_s = time.perf_counter()
            call = messages.TickAll(call=session.next_number(), actions=list(range(count)), now_s=None)
            pending = session.call(call)
        if pending.wait(PERIOD_S / 2 if is_new else 0.0):
            waits_ms.append((time.perf_counter() - sent_s) * 1000)
            pending = None
        ticks += 1
        due_s = max(due_s + PERIOD_S, time.perf_counter() - PERIOD_S)  # a late tick is followed by the next, not by two
        time.sleep(max(0.0, due_s - time.perf_counter()))
    seconds_taken = time.perf_counter() - began_s
    if pending is not None:
        pending.wait(5.0)  # so that the next phase begins with nothing on its way
    reports.append({"blocks": blocks, "ticks": ticks, "seconds": seconds_taken, "waits_ms": waits_ms})


def idle(here: bench.Place, is_quick: bool) -> Result:
    """CPU of sessions that do nothing."""
    count, seconds = (20, 5.0) if is_quick else (100, 15.0)
    rows: list[list[Cell]] = []
    held: list[tuple[int, float]] = []
    with bench.server(here, "--max-sessions", "200") as (endpoint, server_pid):
        for sessions in (0, 1, count):
            with contextlib.ExitStack() as stack:
                for _ in range(sessions):
                    session = stack.enter_context(bench.link(here, endpoint))
                    bench.start_action(session, 1, "bench_idle", {})
                time.sleep(0.5)
                theirs = [*_named(server_pid, "se-worker"), *_named(server_pid, "se-shepherd")]
                before = _cpu_s([server_pid]), _cpu_s(theirs), _cpu_s([os.getpid()])
                time.sleep(seconds)
                after = _cpu_s([server_pid]), _cpu_s(theirs), _cpu_s([os.getpid()])
                held.append((len(os.listdir(f"/proc/{server_pid}/fd")), _private_mb(server_pid)))
            shares = [(late - early) / seconds * 100 for early, late in zip(before, after, strict=True)]
            rows.append([sessions, *shares])
    one, many_ = (float(row[1]) + float(row[2]) for row in rows[1:])
    columns = ["idle sessions", "front, % of a core", "all workers and shepherds, %", "all clients, %"]
    return Result(
        "idle", "CPU of sessions with a running action that is not ticked", columns, rows,
        aims=[
            Aim("CPU of a server with one idle session", f"near nothing: {IDLE_SHARE:g} % of a core at most",
                f"{one:.2f} %", one <= IDLE_SHARE),
            Aim(f"CPU of a server with {count} idle sessions", f"near nothing: {IDLE_SHARE_OF_100:g} % at most",
                f"{many_:.2f} %", many_ <= IDLE_SHARE_OF_100),
        ],
        facts={
            "descriptors_a_session": (held[2][0] - held[1][0]) / (count - 1),
            "front_mib_a_session": (held[2][1] - held[1][1]) / (count - 1),
            "idle_front_us_a_second": (float(rows[2][1]) - float(rows[0][1])) / count * 1e4,
        },
        remarks=[f"over {seconds:g} s; a session beats once a second on both sides"],
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
    """What all threads of these processes have used, to the nanosecond (``stat`` counts in hundredths of a second)."""
    used = (path.read_text().split()[0] for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, used)) / 1e9


def _thread_cpu_s(pid: int) -> float:
    """The same of the main thread alone."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def _private_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE)) / 1024


if __name__ == "__main__":
    _one_process(json.loads(sys.argv[1]))
