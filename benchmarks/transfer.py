# SPDX-License-Identifier: Apache-2.0
"""Files both ways, beside the same bytes without us, and what another action's ticks notice of results."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks import bare, bench
from benchmarks.results import Aim, Cell, Result
from scenario_execution_remote.cargo import find
from scenario_execution_remote.carrying import remove, store
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.files.pace import BLOCK_BYTES, MESSAGES_IN_WINDOW, WINDOW_LIMIT_BYTES
from scenario_execution_remote.files.reporting import Reporter
from scenario_execution_remote.homecoming import Homecoming
from scenario_execution_remote.link import Link
from scenario_execution_remote.mounts import Mounts
from scenario_execution_remote.protocol import messages
from scenario_execution_remote.security import security_for
from scenario_execution_remote.visit import Visit

ROUNDS = 3  # interleaved, so that whatever else the machine does hits both alike
LIMIT_S = 300.0  # a hundred times what it takes; what has not come by then will not
TICK_PERIOD_S = 0.02  # five times the usual rate: enough ticks for a 99th percentile of a short transfer

# What one message of ours has on a fast link, and how many of them are on their way: the others get the same.
_MESSAGE_BYTES = WINDOW_LIMIT_BYTES // MESSAGES_IN_WINDOW


class _Session:
    """A session whose results come home into a folder."""

    def __init__(self, here: bench.Place, endpoint: str, target: Path) -> None:
        place = Endpoint.parse(endpoint)
        security = security_for(place, RemoteSettings(endpoint=endpoint), here.store)
        self.link = Link(place, security, 5.0, bench.Silent())
        mounts = Mounts(self.link, endpoint, "copy", lambda _level, text: None)
        self._files = Homecoming(self.link, endpoint, mounts, lambda _level, text: None)
        self.link.hand_files_to(self._files.take)
        self.link.start(10.0)
        self.link.wait_until_open()
        self._target = target
        self._files.prepare(str(target))
        bench.start_action(self.link, 1, "bench_idle", {})
        self._actions = 1

    def tick_us(self) -> float:
        """One tick of an action that does nothing."""
        call = messages.Tick(
            call=self.link.next_number(), action=1, arguments=None, now_s=None, period_s=None, after=None
        )
        began_s = time.perf_counter()
        self.link.call(call).wait(10.0)
        return (time.perf_counter() - began_s) * 1e6

    def bring_home_s(self, size_bytes: int, ticks_us: list[float]) -> float:
        """Have an action write so much and end; returns how long that takes to be home, with ticks meanwhile."""
        self._actions += 1
        path = self._target / f"big-{self._actions}"
        bench.start_action(self.link, self._actions, "bench_write", {"path": str(path), "size": size_bytes})
        began_s = time.perf_counter()
        while not path.exists():
            if time.perf_counter() - began_s > LIMIT_S:
                raise RuntimeError(f"{path.name} has not come home within {LIMIT_S:g} s")
            ticks_us.append(self.tick_us())
            if self._files.are_home(TICK_PERIOD_S) and path.exists():
                break
        took_s = time.perf_counter() - began_s
        assert path.stat().st_size == size_bytes
        path.unlink()
        return took_s

    def close(self) -> None:
        self.link.end()
        self.link.wait_until_over(20.0)
        self._files.close(is_complete=True)


def _put_s(here: bench.Place, endpoint: str, source: Path) -> float:
    """How long it takes to put a file on the server, as `se-remote put` does, and to hear that it is there."""
    place = Endpoint.parse(endpoint)
    security = security_for(place, RemoteSettings(endpoint=endpoint), here.store)
    with Visit(place, security, program="se-bench", timeout_s=10.0) as visit:
        visit.connect()
        visit.open()
        began_s = time.perf_counter()
        _, problems = store(visit, find([source])[0], Reporter("put", lambda _level, text: None), 10.0, 0.0, print)
        took_s = time.perf_counter() - began_s
        assert not problems, problems
        remove(visit, f"files/{source.name}", 10.0)
    return took_s


def transfer(here: bench.Place, is_quick: bool) -> Result:
    """One large file each way, beside the same bytes in messages of the same size without us; see `bare`."""
    size_bytes = (36 if is_quick else 252) * 1024 * 1024  # whole messages
    small_s, bare_s, chain_s, ours_s, put_s = [], [], [], [], []
    busy_us, idle_us = list[float](), list[float]()
    target = here.folder / "home"
    target.mkdir()
    source_file = here.folder / "large"
    with source_file.open("wb") as file:
        for _ in range(size_bytes >> 20):
            file.write(os.urandom(1 << 20))
    client = here.store.client_pair()
    with (
        bench.server(here) as (endpoint, _),
        bare.source(client) as source,
        bare.chain(client, source_file, _MESSAGE_BYTES, MESSAGES_IN_WINDOW) as chain,
    ):
        session = _Session(here, endpoint, target)
        bare.bare_s(source, 16 * BLOCK_BYTES, BLOCK_BYTES)
        session.bring_home_s(BLOCK_BYTES, [])
        for _ in range(ROUNDS):
            for _ in range(100):
                idle_us.append(session.tick_us())
                time.sleep(TICK_PERIOD_S / 10)
            small_s.append(bare.bare_s(source, size_bytes, BLOCK_BYTES))
            bare_s.append(bare.bare_s(source, size_bytes, _MESSAGE_BYTES))
            chain_s.append(bare.chain_s(chain, here.folder / "carried"))
            ours_s.append(session.bring_home_s(size_bytes, busy_us))
            put_s.append(_put_s(here, endpoint, source_file))
        session.close()
    source_file.unlink()
    small, plain, promised, ours, put = (
        size_bytes / bench.median(taken) / 2**20 for taken in (small_s, bare_s, chain_s, ours_s, put_s)
    )
    ticks: list[Cell] = [bench.median(busy_us), bench.quantile(busy_us, 0.99)]
    rows: list[list[Cell]] = [
        [f"bare pyzmq over CURVE, {BLOCK_BYTES // 1024} KiB a message", small, small / plain, "", "", ""],
        [f"the same, {_MESSAGE_BYTES // 1024} KiB a message as ours have", plain, 1.0, "", "", ""],
        ["the least that does what we promise", promised, promised / plain, 1.0, "", ""],
        ["a result comes home, meanwhile a tick", ours, ours / plain, ours / promised, *ticks],
        ["a file is put on the server", put, put / plain, put / promised, "", ""],
        ["a tick while nothing travels", "", "", "", bench.median(idle_us), bench.quantile(idle_us, 0.99)],
    ]
    home_ratio, put_ratio = ours / plain, put / plain
    late_ms = bench.quantile(busy_us, 0.99) / 1000
    return Result(
        "transfer", f"{size_bytes // 2**20} MiB over loopback CURVE",
        ["", "MiB/s", "of bare", "of the least", "tick, median us", "tick, p99 us"], rows,
        aims=[
            Aim("a result on its way home", "half of bare pyzmq at least", f"{home_ratio:.2f}", home_ratio >= 0.5),
            Aim("a file on its way to the server", "half of bare pyzmq at least", f"{put_ratio:.2f}", put_ratio >= 0.5),
            Aim("99 of 100 ticks meanwhile", "50 ms at most, half a tick", f"{late_ms:.1f} ms", late_ms <= 50.0),
        ],
        remarks=[
            "Bare pyzmq reads, verifies and writes nothing. The least that does what we promise is plain Python: one "
            "process reads and takes the digest, another one has it from there and sends it over CURVE, and the third "
            "takes the digest again and writes.",
        ],
    )  # fmt: skip
