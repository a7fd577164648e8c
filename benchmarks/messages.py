# SPDX-License-Identifier: Apache-2.0
"""Single messages without a tree: one action's tick beside a bare echo."""

from __future__ import annotations

from benchmarks import bare, bench, careful
from benchmarks.results import Aim, Cell, Result
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import HEADER_BYTES

ROUNDS = 20  # interleaved, so that whatever else the machine does hits all alike


def round_trip(here: bench.Place, is_quick: bool) -> Result:
    """One action's tick through front and worker beside a bare CURVE echo of the same size."""
    repeats = 20 if is_quick else 100
    with bench.server(here) as (endpoint, _), bare.echo(here.store.client_pair()) as echo:
        pair = here.store.client_pair()
        with (
            bench.link(here, endpoint) as session, bare.ticking(pair) as plainest, careful.ticking(pair) as safe,
        ):  # fmt: skip
            bench.start_action(session, 1, "bench_idle", {})

            def tick() -> None:  # with the message that a tree sends for a running action, or for all there are
                call = messages.TickAll(call=session.next_number(), actions=[1], now_s=None)
                session.call(call).wait(5.0)

            size = HEADER_BYTES + len(wire.encode(messages.TickAll(call=1000, actions=[1], now_s=None)))
            data = bytes(size)
            echoes, least, safely, remote = [], [], [], []
            for _ in range(ROUNDS):
                echoes += bench.microseconds(lambda: echo(data), repeats)
                least += bench.microseconds(plainest, repeats)
                safely += bench.microseconds(safe, repeats)
                remote += bench.microseconds(tick, repeats)
    echo_us = bench.median(echoes)
    ratio = bench.median(remote) / echo_us
    rows: list[list[Cell]] = [
        [what, bench.median(taken), bench.quantile(taken, 0.99), bench.median(taken) / echo_us]
        for what, taken in (
            (f"bare pyzmq CURVE echo of {size} bytes", echoes),
            ("a client, a front and a worker of the plainest kind", least),
            ("the same with what makes it safe, each one function", safely),
            ("one action's tick, front and worker", remote),
        )
    ]
    return Result(
        "round_trip", "round trip of one action's tick over loopback CURVE", ["", "median us", "p99 us", "times"], rows,
        aims=[Aim("one action's tick", "2.5 bare echoes at most", f"{ratio:.2f}", ratio <= 2.5)],
        facts={"echo_us": echo_us, "tick_us": bench.median(remote)},
        remarks=[
            "A tick passes two more processes than the echo, each way. The plainest kind does the same without "
            "anything that makes it safe (`benchmarks/bare.py`); with that, and each process one function that calls "
            "no other, it is `benchmarks/careful.py`."
        ],
    )  # fmt: skip
