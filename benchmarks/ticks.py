# SPDX-License-Identifier: Apache-2.0
"""Ticks of trees: many running actions, short sequences, and both over a long way."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial

import py_trees
from py_trees.common import Status

from benchmarks import bare, bench, trees
from benchmarks.counting import counting
from benchmarks.delay import delayed
from benchmarks.results import Aim, Cell, Result
from scenario_execution_remote.run import RUN

PERIOD_S = 0.1
UNHURRIED_S = 60.0  # a period half of which no tick needs: where a tick's whole cost is asked for
HANDFUL = 12  # round trips: TCP, ZMTP's and CURVE's handshakes and the session take about six, whatever N is
OWN_MS = 10.0  # of a tick that notices an end: it is measured when that tick returns


def running(here: bench.Place, is_quick: bool) -> Result:
    """One tick of N running actions: remotely, locally, and a bare echo, in turns."""
    counts = (1, 10, 100) if is_quick else (1, 10, 100, 1000)
    rows: list[list[Cell]] = []
    aims: list[Aim] = []
    with counting() as counted, bench.server(here) as (endpoint, _), bare.echo(here.store.client_pair()) as echo:
        for count in counts:
            repeats, rounds = (10, 10) if count < 1000 else (2, 5)
            settings = f'remote("{endpoint}", setup_timeout: 60s)'
            local = trees.build(trees.text("parallel", "bench_idle()", count, ""), UNHURRIED_S)
            remote = trees.build(trees.text("parallel", "bench_idle()", count, settings), UNHURRIED_S)
            trees.quietly(local.tick)
            for _ in range(3):  # the first one activates each action with a message of its own
                trees.quietly(remote.tick)
            taken: dict[str, list[float]] = {"local": [], "remote": [], "echo": []}
            before = counted.copy()
            for _ in range(rounds):
                for name, tree in (("local", local), ("remote", remote)):
                    taken[name] += trees.quietly(partial(bench.microseconds, tree.tick, repeats))
                taken["echo"] += bench.microseconds(lambda: echo(bytes(45)), repeats)
            passed, ticks = counted.since(before), rounds * repeats
            m = {name: bench.median(values) for name, values in taken.items()}
            ratio = m["remote"] / (m["local"] + m["echo"])
            aims.append(Aim(
                f"tick of {count} running remote actions", "2 times (local + one echo) at most, one message each way",
                f"{ratio:.2f}, {passed.sent / ticks:g} out and {passed.received / ticks:g} in",
                ratio <= 2 and passed.sent == passed.received == ticks,
            ))  # fmt: skip
            rows.append([
                count, m["local"], m["echo"], m["remote"], ratio,
                passed.sent / ticks, passed.received / ticks,
                passed.sent_bytes / ticks, passed.received_bytes / ticks,
            ])  # fmt: skip
            RUN.end()
    columns = [
        "actions", "local us", "echo us", "remote us", "remote/(local+echo)",
        "messages out", "messages in", "bytes out", "bytes in",
    ]  # fmt: skip
    return Result(
        "running", "one tick with N running remote actions on one server over loopback CURVE", columns, rows,
        aims=aims,
        # of a tick of ten actions and of one more: what a session of twenty sends lies between, and is small either way
        facts={"bytes_a_tick": float(rows[1][-1]) + float(rows[1][-2])},
        plot=["local us", "remote us"], unit="microseconds a tick",
    )  # fmt: skip


def sequence(here: bench.Place, is_quick: bool) -> Result:
    """Twenty quick actions in a row."""
    rounds = 10 if is_quick else 40
    with bench.server(here) as (endpoint, _), bare.echo(here.store.client_pair()) as echo:
        taken: dict[str, list[float]] = {"local": [], "remote": [], "echo": []}
        ticks: dict[str, list[float]] = {"local": [], "remote": []}
        for _ in range(rounds):
            for name, remote in (("local", ""), ("remote", f'remote("{endpoint}")')):
                # a new tree each time: a second run of one stops all that ended in the first, which no runner does
                tree = trees.build(trees.text("serial", "bench_quick()", 20, remote))
                began_s = time.perf_counter()
                ticks[name].append(trees.quietly(partial(_ticks_to_the_end, tree)))
                taken[name].append((time.perf_counter() - began_s) * 1e6)
            taken["echo"] += bench.microseconds(lambda: echo(bytes(60)), 20)
        RUN.end()
    m = {name: bench.median(values) for name, values in taken.items()}
    echoes = (m["remote"] - m["local"]) / m["echo"]
    here_count, there_count = (bench.median(ticks[name]) for name in ("local", "remote"))
    columns = ["", "local", "remote", "echo us", "remote - local, in echoes"]
    rows: list[list[Cell]] = [
        ["ticks, median", here_count, there_count, "", ""],
        ["ticks, worst", max(ticks["local"]), max(ticks["remote"]), "", ""],
        ["microseconds", m["local"], m["remote"], m["echo"], echoes],
    ]
    return Result(
        "sequence", "20 quick remote actions in a row over loopback CURVE", columns, rows,
        aims=[
            Aim("20 quick actions in a row: ticks", "as locally", f"{there_count:g}, locally {here_count:g}",
                there_count == here_count),
            Aim("20 quick actions in a row: wall time", "local cost and 50 bare echoes at most",
                f"local cost and {echoes:.0f} echoes", echoes <= 50),
        ],
    )  # fmt: skip


def _ticks_to_the_end(tree: py_trees.trees.BehaviourTree) -> int:
    count = 0
    while True:
        began_s = time.perf_counter()
        tree.tick()
        count += 1
        if tree.root.status is not Status.RUNNING:
            return count
        time.sleep(max(0.0, PERIOD_S - (time.perf_counter() - began_s)))  # a result was late; as the runner does


def rate(here: bench.Place, is_quick: bool) -> Result:
    """Ticks a second at 10 Hz over a way of some length, paced as the engine's runner does it."""
    delays_ms = (0, 100) if is_quick else (0, 20, 100, 300)
    counts = (1, 10) if is_quick else (1, 10, 100)
    ticks = 15 if is_quick else 40
    rows: list[list[Cell]] = []
    rates: list[float] = []
    with ExitStack() as stack:
        endpoint, _ = stack.enter_context(bench.server(here))
        local = trees.build(trees.text("parallel", "bench_idle()", 10, ""))
        for delay_ms in delays_ms:
            near = stack.enter_context(delayed(endpoint, delay_ms / 1000))
            settings = f'remote("{near}", setup_timeout: 60s)'
            row: list[Cell] = [delay_ms]
            for count in counts:
                tree = trees.build(trees.text("parallel", "bench_idle()", count, settings))
                rates.append(ticks_a_second(tree, ticks))
                row.append(rates[-1])
                RUN.end()
            rows.append([*row, ticks_a_second(local, ticks)])
    least, least_local = min(rates), min(float(row[-1]) for row in rows)
    columns = ["added each way, ms", *(f"N = {count}" for count in counts), "local, N = 10"]
    return Result(
        "rate", "ticks a second at 10 Hz, from the first tick on", columns, rows,
        aims=[Aim("ticks a second at 10 Hz, slowest cell", "as locally (10.0)",
                  f"{least:.2f}, locally {least_local:.2f}", least >= 0.99 * least_local)],
        remarks=["The engine's runner sleeps what a tick leaves of its period: even locally it is a little less."],
    )  # fmt: skip


def ticks_a_second(tree: py_trees.trees.BehaviourTree, ticks: int, taken_s: list[float] | None = None) -> float:
    """How often a tree is ticked that should be at 10 Hz; how long each tick took is appended to *taken_s*."""
    began_s = time.perf_counter()
    for _ in range(ticks):
        tick_began_s = time.perf_counter()
        trees.quietly(tree.tick)
        tick_s = time.perf_counter() - tick_began_s
        if taken_s is not None:
            taken_s.append(tick_s)
        time.sleep(max(0.0, PERIOD_S - tick_s))
    return round(ticks / (time.perf_counter() - began_s), 2)


def setup(here: bench.Place, is_quick: bool) -> Result:
    """Set-up of N actions over a long way, from no connection to all set up."""
    one_way_s = 0.1
    rows: list[list[Cell]] = []
    with counting() as counted, bench.server(here) as (endpoint, _), delayed(endpoint, one_way_s) as far:
        for count in (1, 10) if is_quick else (1, 10, 100):
            before = counted.copy()
            text = trees.text("parallel", "bench_idle()", count, f'remote("{far}", setup_timeout: 60s)')
            _, taken_s = trees.timed_build(text)
            passed = counted.since(before)
            rows.append([count, taken_s, taken_s / (2 * one_way_s), passed.sent, passed.received])
            RUN.end()
    columns = ["actions", "seconds", "round trips", "messages out", "messages in"]
    return Result(
        "setup", "set-up of N actions on one server, 100 ms away", columns, rows,
        aims=[Aim(f"set-up of {count} actions, 100 ms away", f"a handful of round trips: {HANDFUL} at most",
                  f"{trips:.1f}", float(trips) <= HANDFUL) for count, _, trips, *_ in rows],
        remarks=["TCP, the CURVE handshake and the session take most of them, once for all actions."],
    )  # fmt: skip


def end(here: bench.Place, is_quick: bool) -> Result:
    """From the end of an action on the server until the tree's tick has returned that saw it."""
    samples = 5 if is_quick else 15
    rows: list[list[Cell]] = []
    with ExitStack() as stack:
        endpoint, _ = stack.enter_context(bench.server(here))
        for one_way_ms in (0, 20, 100) if is_quick else (0, 20, 100, 300):
            far = stack.enter_context(delayed(endpoint, one_way_ms / 1000))
            # each ends at another place within a period
            actions = [f"bench_timed(duration: {1.5 + number * 0.137:.3f})" for number in range(samples)]
            tree = trees.build(trees.text("parallel", actions, samples, f'remote("{far}", setup_timeout: 60s)'))
            late_ms = trees.quietly(partial(lateness_ms, tree))
            RUN.end()
            rows.append([one_way_ms, bench.median(late_ms), max(late_ms), max(late_ms) / _least_ms(one_way_ms)])
    columns = ["one way, ms", "median ms", "worst ms", "worst/(one way + tick)"]
    return Result(
        "end", "end of an action on the server until the tree knows", columns, rows,
        aims=[Aim(f"end of an action until the tree knows, {way} ms away", f"{_least_ms(way):.0f} ms at most",
                  f"{worst:.0f} ms", float(worst) <= _least_ms(way) + OWN_MS) for way, _, worst, _ in rows],
        remarks=[
            f"{samples} actions that end at different times of a period; one way and one tick are wanted at most. The",
            f"time is taken when the tick returns, which itself may take {OWN_MS:g} ms here.",
        ],
    )  # fmt: skip


def _least_ms(one_way_ms: Cell) -> float:
    """One way and one tick."""
    return float(one_way_ms) + PERIOD_S * 1000


def lateness_ms(tree: py_trees.trees.BehaviourTree) -> list[float]:
    """For each of its timed actions, how long the tree has not known of its end."""
    nodes = [node for node in tree.root.iterate() if not node.children]
    late: dict[int, float] = {}
    while tree.root.status is not Status.SUCCESS:
        began_s = time.perf_counter()
        tree.tick()
        now_s = time.monotonic()
        for node in nodes:
            if node.status is Status.SUCCESS and id(node) not in late:
                late[id(node)] = (now_s - float(node.feedback_message)) * 1000
        time.sleep(max(0.0, PERIOD_S - (time.perf_counter() - began_s)))
    return list(late.values())
