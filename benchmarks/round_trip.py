# SPDX-License-Identifier: Apache-2.0
"""One remote tick over CURVE beside one bare CURVE echo of the same size, and the start of a session's worker.

    python -m benchmarks.round_trip
"""

from __future__ import annotations

from benchmarks import bench
from scenario_execution_remote.protocol import messages, wire

ROUNDS, REPEATS = 20, 100  # interleaved, so that whatever else the machine does hits both alike


def main() -> None:
    """Measure and print."""
    with bench.place() as here, bench.server(here) as (endpoint, _), bench.echo(here.store.client_pair()) as echo:
        starts = [bench.median(bench.microseconds(lambda: _one_session(here, endpoint), 1)) for _ in range(15)]
        with bench.link(here, endpoint) as session:
            bench.start_action(session, 1, "run_process", {"command": "sleep 600"})

            def tick() -> None:
                call = messages.Tick(call=session.next_number(), action=1, arguments=None, now_s=None, period_s=None)
                session.call(call).wait(5.0)

            size = 36 + len(wire.encode(messages.Tick(call=1000, action=1, arguments=None, now_s=None, period_s=None)))
            data = bytes(size)
            bare, remote = [], []
            for _ in range(ROUNDS):
                bare += bench.microseconds(lambda: echo(data), REPEATS)
                remote += bench.microseconds(tick, REPEATS)
    print(f"bare pyzmq CURVE echo of {size} bytes     {bench.median(bare):8.0f} us")
    print(f"one remote tick over CURVE              {bench.median(remote):8.0f} us   "
          f"{bench.median(remote) / bench.median(bare):.2f} times the echo")
    print(f"connect, open a session, first answer   {bench.median(starts) / 1000:8.1f} ms   (worker start included)")


def _one_session(here: bench.Place, endpoint: str) -> None:
    with bench.link(here, endpoint) as session:
        bench.start_action(session, 1, "log", {"msg": "x"})


if __name__ == "__main__":
    main()
