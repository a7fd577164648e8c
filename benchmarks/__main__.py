# SPDX-License-Identifier: Apache-2.0
"""All measurements, or those named, side by side in one run.

    ./dev bench [CASE ...] [--quick] [--page FILE] [--json FILE] [--svg FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks import bench, emulated_link, messages, page, peers, sessions, ticks, transfer, trees
from benchmarks.model import model
from benchmarks.results import Result

CASES = {
    "running": ticks.running,
    "rate": ticks.rate,
    "sequence": ticks.sequence,
    "round_trip": messages.round_trip,
    "peers": peers.peers,
    "setup": ticks.setup,
    "end": ticks.end,
    "start": sessions.start,
    "many": sessions.many,
    "idle": sessions.idle,
    "transfer": transfer.transfer,
    "emulated_link": emulated_link.emulated,
}


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures; see docs/explanation/performance.md.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}; all without any")
    parser.add_argument("--quick", action="store_true", help="smaller numbers: a look, not a measurement")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page there, numbers and plots beside it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, for machines")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="draw plots there")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}; there are: {', '.join(CASES)}")
    load = os.getloadavg()[0]
    machine = about_this_machine()
    print(f"{machine}, load {load:.1f}", flush=True)
    results: list[Result] = []
    with bench.place() as here:
        trees.install_plugin(here.folder, here.environment)
        for name in chosen.cases or CASES:
            if name == "emulated_link" and not emulated_link.is_possible():
                print(f"\nemulated_link is left out. {emulated_link.NEEDS}", flush=True)
                continue
            load_before = os.getloadavg()[0]
            began_s = time.monotonic()
            result = CASES[name](here, chosen.quick)
            took_s = time.monotonic() - began_s
            print(f"\n{result.as_text()}\n   load before it {load_before:.1f}, took {took_s:.0f} s", flush=True)
            results.append(result)
    worked_out = model(results)
    if worked_out is not None:
        print(f"\n{worked_out.as_text()}", flush=True)
    document = {"machine": machine, "cores": os.cpu_count(), "load": round(load, 1), "quick": chosen.quick,
                "results": [result.as_json() for result in results]}  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if chosen.svg:
        page.draw(results, chosen.svg)
    if chosen.page:
        page.write(document, chosen.page)
    return 0


def about_this_machine() -> str:
    """What the numbers depend on, in one line."""
    import zmq

    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}"
    )


if __name__ == "__main__":
    sys.exit(main())
