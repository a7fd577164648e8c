# SPDX-License-Identifier: Apache-2.0
"""What remote actions cost in numbers that no machine changes: messages, bytes, ticks and turns, never time."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import py_trees
import pytest
from py_trees.common import Status

from benchmarks import trees
from benchmarks.counting import Counts, counting
from benchmarks.delay import delayed
from scenario_execution_remote.config import WAIT_SHARE
from scenario_execution_remote.link import Link
from scenario_execution_remote.pending import Pending
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.client import ClientSession
from scenario_execution_remote.protocol.frames import HEADER_BYTES, Kind
from scenario_execution_remote.run import RUN
from tests.support.probe import make_site
from tests.support.servers import CURVE, Identity, ServerProcess, serving
from tests.support.waiting import wait_until

PERIOD_S = 0.1
UNHURRIED_S = 60.0  # a tick's period where time must not matter: no machine is so busy that a result takes half of it
FAR_S = 0.1  # one way; its round trip is four times what a tick may wait
FAR_RUN_S = 60.0  # it takes about two seconds
IDLE_BEATS = 3  # a beat a second
UPDATES = 100  # so many in a row: what each of them leaves behind is seen a hundredfold


@pytest.fixture(scope="module")
def bench_server(tmp_path_factory: pytest.TempPathFactory, owner: Identity) -> Iterator[ServerProcess]:
    """A server with the benchmark's actions, which this process has as well."""
    folder = tmp_path_factory.mktemp("counts")
    site = make_site(folder / "site", trees.PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCENARIO_EXECUTION_KEYS_DIR", str(owner.folder))
        for part in reversed(site.split(os.pathsep)):
            patch.syspath_prepend(part)
        with serving(folder / "server", *CURVE, keys=owner.folder, site=site) as server:
            yield server


@pytest.fixture
def counts() -> Iterator[Counts]:
    """Counts from before a session begins, which is ended with the test."""
    with counting() as counted:
        try:
            yield counted
        finally:
            RUN.end()


Build = Callable[..., py_trees.trees.BehaviourTree]


@pytest.fixture
def build(bench_server: ServerProcess) -> Build:
    """A tree of so many actions: `build("parallel", "bench_idle()", 10)`, remote unless told otherwise."""

    def make(
        composition: str, action: str, count: int, *, endpoint: str = "", is_local: bool = False,
        period_s: float = UNHURRIED_S, input_dir: str | None = None,
    ) -> py_trees.trees.BehaviourTree:  # fmt: skip
        remote = "" if is_local else f'remote("{endpoint or bench_server.endpoint}", setup_timeout: 60s)'
        return trees.build(trees.text(composition, action, count, remote), period_s, input_dir)

    return make


def tick(tree: py_trees.trees.BehaviourTree) -> None:
    trees.quietly(tree.tick)


def quiet(tree: py_trees.trees.BehaviourTree) -> py_trees.trees.BehaviourTree:
    """*tree* in its usual state: no display, whose text is most of what a tick allocates, and everything activated."""
    tree.visitors.clear()
    for _ in range(5):
        tick(tree)
    return tree


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """What refers to itself in a circle stays, and is seen."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def tracing() -> Iterator[None]:
    """Allocations are traced."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_tick_of_any_number_of_running_actions_is_one_message_each_way(
    build: Build, counts: Counts, count: int
) -> None:
    tree = build("parallel", "bench_idle()", count)
    for _ in range(2):
        tick(tree)
    before = counts.copy()
    for _ in range(5):
        tick(tree)
    passed = counts.since(before)
    assert (passed.sent, passed.received) == (5, 5)
    # the header, the call and its number, and for each action its own number: no more than three bytes below 65536
    assert passed.sent_bytes / 5 <= HEADER_BYTES + 16 + 3 * count
    assert passed.received_bytes / 5 <= HEADER_BYTES + 16


def test_actions_of_a_kind_share_one_class_in_the_tree(build: Build, counts: Counts) -> None:
    # the interpreter's caches go by class: with one for each action, a tick of a thousand took half as long again
    tree = build("parallel", "bench_idle()", 3)
    leaves = [node for node in tree.root.iterate() if not node.children]
    assert len(leaves) == 3
    assert len({type(leaf) for leaf in leaves}) == 1


def test_an_activation_is_one_message_each_way(build: Build, counts: Counts) -> None:
    tree = build("parallel", "bench_idle()", 10)
    before = counts.copy()
    tick(tree)
    passed = counts.since(before)
    assert (passed.sent, passed.received) == (10, 10)


@pytest.mark.parametrize("count", [1, 10])
def test_actions_are_set_up_with_one_message_for_each_and_one_for_the_directory_all_of_them_sent_before_any_answer(
    build: Build, counts: Counts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    sent_before_the_first_answer: list[int] = []
    asked: list[Pending] = []
    all_asked = threading.Event()
    receive, take_next, call_step = ClientSession.receive, ClientSession.take_next, Link.call_step

    def counted(self: Link, *calls: object) -> Pending:
        asked.append(call_step(self, *calls))
        if len(asked) == count:
            all_asked.set()
        return asked[-1]

    def watched(self: ClientSession, data: bytes | memoryview, now_s: float) -> object:
        if data[3] == Kind.WELCOME:  # on a busy machine it may be here, and the first answers too, before all is asked
            assert all_asked.wait(10.0)
        return receive(self, data, now_s)

    def watched_next(self: ClientSession, data: bytes | memoryview, now_s: float) -> memoryview | None:
        if data[3] == Kind.DATA and not sent_before_the_first_answer:
            sent_before_the_first_answer.append(counts.sent)
        return take_next(self, data, now_s)

    monkeypatch.setattr(ClientSession, "receive", watched)
    monkeypatch.setattr(ClientSession, "take_next", watched_next)
    monkeypatch.setattr(Link, "call_step", counted)
    # who asks receives nothing meanwhile, or it would wait for itself
    monkeypatch.setattr(Link, "_speak", lambda link: link._alarm.ring())
    build("parallel", "bench_idle()", count, input_dir=str(tmp_path))
    assert counts.sent == count + 1
    assert counts.received == 2 * count + 1  # of the directory, and of each creation and set-up
    assert sent_before_the_first_answer == [count + 1]


def test_quick_actions_in_a_row_take_as_many_ticks_as_locally(build: Build, counts: Counts) -> None:
    ticks = []
    for is_local in (True, False):
        tree = build("serial", "bench_quick()", 20, is_local=is_local)
        before, count = counts.copy(), 0
        while tree.root.status is not Status.SUCCESS:
            tick(tree)
            count += 1
        ticks.append(count)
    assert ticks[0] == ticks[1] == 1
    # Activation, tick and end of an action are one message, and each brings those behind it along: 4, then 8, then all.
    assert counts.since(before).sent == 3


def test_far_away_no_action_has_two_ticks_outstanding_and_no_wait_is_longer_than_its_share_of_a_tick(
    build: Build, bench_server: ServerProcess, counts: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    outstanding: dict[int, list[int]] = {}  # by call: the actions it ticks
    most, waits_s = [0], [0.0]
    call, decode, wait = Link._call, wire.decode, Pending.wait

    def watched_call(self: Link, calls: list[Any]) -> list[Pending]:
        for one in calls:
            if isinstance(one, (messages.Tick, messages.TickAll)):
                outstanding[one.call] = one.actions if isinstance(one, messages.TickAll) else [one.action]
                most.append(max(Counter(chain(*outstanding.values())).values()))
        return call(self, calls)

    def watched_decode(*arguments: Any, **named: Any) -> list[Any]:
        arrived = decode(*arguments, **named)
        for message in arrived:
            outstanding.pop(getattr(message, "call", 0), None)
        return arrived

    def watched_wait(self: Pending, timeout_s: float | None) -> bool:
        if isinstance(self.call, (messages.Tick, messages.TickAll)):
            assert timeout_s is not None
            waits_s.append(timeout_s)
        return wait(self, timeout_s)

    with delayed(bench_server.endpoint, FAR_S) as far:
        tree = build("parallel", "bench_timed(duration: 0.3)", 5, endpoint=far, period_s=PERIOD_S)
        monkeypatch.setattr(Link, "_call", watched_call)
        monkeypatch.setattr(wire, "decode", watched_decode)
        monkeypatch.setattr(Pending, "wait", watched_wait)

        def is_through() -> bool:
            tick(tree)
            return tree.root.status is not Status.RUNNING

        wait_until(is_through, FAR_RUN_S)
        RUN.end()
    assert tree.root.status is Status.SUCCESS
    assert max(most) == 1
    assert len(waits_s) > 5
    assert max(waits_s) <= WAIT_SHARE * PERIOD_S


@pytest.mark.parametrize("count", [10, 100])
def test_a_tick_leaves_nothing_allocated_behind(build: Build, counts: Counts, count: int) -> None:
    tree = quiet(build("parallel", "bench_idle()", count))
    grown = []
    with without_collector():
        for _ in range(4):
            before = sys.getallocatedblocks()
            for _ in range(UPDATES):
                tick(tree)
            grown.append(sys.getallocatedblocks() - before)
    # The first round fills the interpreter's own stores again, which the collector has emptied; a beat leaves a few.
    assert min(grown[1:]) < UPDATES // 4


def test_an_update_of_a_running_action_allocates_no_more_than_a_local_one(build: Build, counts: Counts) -> None:
    peaks = {}
    for is_local in (True, False):
        for count in (100, 200):
            tree = quiet(build("parallel", "bench_idle()", count, is_local=is_local))
            with without_collector(), tracing():
                samples = []
                for _ in range(5):
                    tracemalloc.reset_peak()
                    before, _ = tracemalloc.get_traced_memory()
                    tick(tree)
                    samples.append(tracemalloc.get_traced_memory()[1] - before)
                peaks[is_local, count] = min(samples)
    local, remote = ((peaks[is_local, 200] - peaks[is_local, 100]) / 100 for is_local in (True, False))
    # On both sides a generator for each node, gone again behind it; remotely its number in the message as well.
    assert remote - local <= 64


def test_nobody_polls_while_a_session_is_idle(build: Build, bench_server: ServerProcess, counts: Counts) -> None:
    tree = build("parallel", "bench_idle()", 1)
    for _ in range(2):
        tick(tree)
    beats = counts.beats + 1
    wait_until(lambda: counts.beats >= beats)  # what the set-up left to do is done
    link_thread = next(thread for thread in threading.enumerate() if thread.name.startswith("remote "))
    names = ("se-worker", "se-shepherd", "se-zygote")
    pids = [bench_server.pid, *(found.pid for name in names for found in bench_server.named(name))]
    tasks = [Path(f"/proc/{pid}/task/{pid}") for pid in pids] + [Path(f"/proc/self/task/{link_thread.native_id}")]
    assert len(tasks) == 5
    before = [Usage.of(task) for task in tasks]
    wait_until(lambda: counts.beats >= beats + IDLE_BEATS, 60.0)
    after = [Usage.of(task) for task in tasks]
    for task, late, early in zip(tasks, after, before, strict=True):
        # A beat a second, the front's chores four times a second, and the same again for what a busy machine repeats.
        assert late.turns - early.turns <= 30 * IDLE_BEATS, task
        assert late.cpu_ticks - early.cpu_ticks <= 0.3 * IDLE_BEATS * os.sysconf("SC_CLK_TCK"), task


@dataclass(frozen=True)
class Usage:
    """How often a thread has been given the processor because something happened, and how long it had it."""

    turns: int
    cpu_ticks: int

    @classmethod
    def of(cls, task: Path) -> Usage:
        turns = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE)
        assert turns is not None
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        return cls(turns=int(turns[1]), cpu_ticks=int(fields[11]) + int(fields[12]))
