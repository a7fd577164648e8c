# SPDX-License-Identifier: Apache-2.0
"""Single messages without a tree: one action's tick beside a bare echo, and a version 1 client's polling."""

from __future__ import annotations

from typing import Any

import msgpack
import zmq

from benchmarks import bench
from benchmarks.results import Cell, Result
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
                call = messages.Tick(call=session.next_number(), action=1, arguments=None, now_s=None, period_s=None)
                session.call(call).wait(5.0)

            size = HEADER_BYTES + len(
                wire.encode(messages.Tick(call=1000, action=1, arguments=None, now_s=None, period_s=None))
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
        aim="within 2.5 times the echo", remarks=["A tick passes two more processes than the echo, each way."],
    )  # fmt: skip


def polling(here: bench.Place, is_quick: bool) -> Result:
    """A version 1 client, which asks for each action by itself, beside one message for all; on the same server."""
    repeats = 5 if is_quick else 20
    rows: list[list[Cell]] = []
    with bench.server(here) as (endpoint, _), bench.link(here, endpoint) as session:
        old = _Version1(here, endpoint)
        for count in (1, 10, 100):
            for number in range(count):
                if f"{number}" not in old.begun:
                    old.begin(f"{number}", "bench_idle")
                    bench.start_action(session, number, "bench_idle", {})
            numbers = list(range(count))

            def poll(count: int = count) -> None:
                for number in range(count):
                    old.ask("update", action_id=f"{number}")

            def tick_all(numbers: list[int] = numbers) -> None:
                session.call(messages.TickAll(call=session.next_number(), actions=numbers, now_s=None)).wait(5.0)

            polled, together = [], []
            for _ in range(ROUNDS):
                polled += bench.microseconds(poll, max(1, repeats // count))
                together += bench.microseconds(tick_all, repeats)
            ratio = bench.median(polled) / bench.median(together)
            rows.append([count, bench.median(polled), bench.median(together), ratio])
        old.close()
    columns = ["actions", "version 1, us", "version 2, us", "version 1/version 2"]
    return Result(
        "polling", "a tick of N running actions: one request for each, and one message for all", columns, rows,
        remarks=["Both speak to this project's server; the tree on the client is left out."],
        plot=columns[1:3], unit="microseconds a tick",
    )  # fmt: skip


class _Version1:
    """What is in the field: a REQ socket, a map out and a map in."""

    def __init__(self, here: bench.Place, endpoint: str) -> None:
        self.begun: set[str] = set()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        client = here.store.client_pair()
        self._socket.curve_serverkey = here.store.server_pair().public.z85.encode()
        self._socket.curve_publickey = client.public.z85.encode()
        self._socket.curve_secretkey = client.secret.reveal_z85().encode()
        self._socket.connect(f"tcp://{endpoint}")

    def ask(self, cmd: str, **payload: Any) -> dict[str, Any]:
        self._socket.send(msgpack.packb({"cmd": cmd, "payload": payload}))
        reply: dict[str, Any] = msgpack.unpackb(self._socket.recv())
        if reply["status"] != "ok":
            raise RuntimeError(f"{cmd}: {reply}")
        return reply

    def begin(self, action_id: str, plugin_key: str) -> None:
        self.begun.add(action_id)
        self.ask("init", action_id=action_id, plugin_key=plugin_key, init_args={}, output_dir="")
        self.ask("setup", action_id=action_id, tick_period=0.1, output_dir="", scenario_file_directory="")
        self.ask("execute", action_id=action_id, exec_args={})
        self.ask("update", action_id=action_id)

    def close(self) -> None:
        self.ask("reset")
        self._context.destroy(linger=0)
