# SPDX-License-Identifier: Apache-2.0
"""All measurements, or those named, side by side in one run.

    ./dev bench [CASE ...] [--quick] [--json FILE] [--svg FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks import bench, messages, sessions, ticks, trees
from benchmarks.results import Result, svg

CASES = {
    "running": ticks.running,
    "rate": ticks.rate,
    "sequence": ticks.sequence,
    "round_trip": messages.round_trip,
    "setup": ticks.setup,
    "end": ticks.end,
    "start": sessions.start,
    "many": sessions.many,
    "idle": sessions.idle,
    "polling": messages.polling,
}


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures; see docs/explanation/performance.md.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"one of {', '.join(CASES)}; all without any")
    parser.add_argument("--quick", action="store_true", help="smaller numbers: a look, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, for machines")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="draw plots there")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.cases if name not in CASES]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}; there are: {', '.join(CASES)}")
    machine = about_this_machine()
    print(machine, flush=True)
    results: list[Result] = []
    with bench.place() as here:
        trees.install_plugin(here.folder, here.environment)
        for name in chosen.cases or CASES:
            load = os.getloadavg()[0]
            began_s = time.monotonic()
            result = CASES[name](here, chosen.quick)
            result.remarks.append(f"load before it {load:.1f}, took {time.monotonic() - began_s:.0f} s")
            print(f"\n{result.as_text()}", flush=True)
            results.append(result)
    if chosen.json:
        document = {"machine": machine, "quick": chosen.quick, "results": [result.as_json() for result in results]}
        chosen.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if chosen.svg:
        chosen.svg.mkdir(parents=True, exist_ok=True)
        for result in results:
            if result.plot:
                (chosen.svg / f"{result.name}.svg").write_text(svg(result), encoding="utf-8")
    return 0


def about_this_machine() -> str:
    """What the numbers depend on, in one line."""
    import zmq

    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, "
        f"pyzmq {zmq.pyzmq_version()}, libzmq {zmq.zmq_version()}, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
