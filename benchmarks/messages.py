# SPDX-License-Identifier: Apache-2.0
"""Single messages without a tree: one action's tick beside a bare echo."""

from __future__ import annotations

from benchmarks import bench
from benchmarks.results import Aim, Cell, Result
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import HEADER_BYTES

ROUNDS = 20  # interleaved, so that whatever else the machine does hits all alike


def round_trip(here: bench.Place, is_quick: bool) -> Result:
    """One action's tick through front and worker beside a bare CURVE echo of the same size."""
    repeats = 20 if is_quick else 100
    with bench.server(here) as (endpoint, _), bench.echo(here.store.client_pair()) as echo:
        with bench.link(here, endpoint) as session:
            bench.start_action(session, 1, "bench_idle", {})

            def tick() -> None:
                call = messages.Tick(
                    call=session.next_number(), action=1, arguments=None, now_s=None, period_s=None, after=None
                )
                session.call(call).wait(5.0)

            size = HEADER_BYTES + len(
                wire.encode(messages.Tick(call=1000, action=1, arguments=None, now_s=None, period_s=None, after=None))
            )
            data = bytes(size)
            bare, remote = [], []
            for _ in range(ROUNDS):
                bare += bench.microseconds(lambda: echo(data), repeats)
                remote += bench.microseconds(tick, repeats)
    ratio = bench.median(remote) / bench.median(bare)
    rows: list[list[Cell]] = [
        [f"bare pyzmq CURVE echo of {size} bytes", bench.median(bare), bench.quantile(bare, 0.99), 1.0],
        ["one action's tick, front and worker", bench.median(remote), bench.quantile(remote, 0.99), ratio],
    ]
    return Result(
        "round_trip", "round trip of one action's tick over loopback CURVE", ["", "median us", "p99 us", "times"], rows,
        aims=[Aim("one action's tick", "2.5 bare echoes at most", f"{ratio:.2f}", ratio <= 2.5)],
        facts={"echo_us": bench.median(bare), "tick_us": bench.median(remote)},
        remarks=["A tick passes two more processes than the echo, each way."],
    )  # fmt: skip
