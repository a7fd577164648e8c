# SPDX-License-Identifier: Apache-2.0
"""What this machine cannot show: ten thousand sessions over many servers, worked out from what it has measured.

A model on paper: each resource by itself, in proportion. It leaves out what only a real installation tells, such as
what the actions themselves use, and it says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.results import Cell, Result

SESSIONS = 10_000
TICKS_A_SECOND = 10
ROOM = 0.7  # of a core's time that may be planned with: a queue behind a fuller one grows without bound
DESCRIPTORS = 1 << 20  # what a server asks the kernel for (own_limits.py)
MEMORY_SHARE = 0.8  # of a machine's memory, for sessions
RESTART_S = 60.0  # in which all clients of a server that was restarted should be back
NETWORK_BYTES_A_SECOND = 125e6  # 1 Gbit/s
OVERHEAD_BYTES = 140  # of a message: CURVE and ZMTP 41, TCP/IP with timestamps 52, Ethernet 38, rounded up


@dataclass(frozen=True)
class Machine:
    """A server to plan with."""

    cores: int
    memory_gib: int


MACHINES = (Machine(2, 4), Machine(16, 64), Machine(64, 256))


def sessions_by_resource(facts: Mapping[str, float], machine: Machine) -> dict[str, float]:
    """How many sessions of 20 actions at 10 Hz one server carries as far as each of its resources goes."""
    thread_s = facts["front_thread_us_a_tick"] * TICKS_A_SECOND / 1e6
    front_s = facts["front_us_a_tick"] * TICKS_A_SECOND / 1e6
    worker_s = facts["worker_us_a_tick"] * TICKS_A_SECOND / 1e6
    session_mib = facts["worker_mib"] + facts["shepherd_mib"] + facts["front_mib_a_session"]
    bytes_a_second = TICKS_A_SECOND * (facts["bytes_a_tick"] + 2 * OVERHEAD_BYTES)
    return {
        "the front's one thread": ROOM / thread_s,
        "CPU of front and workers": ROOM * machine.cores / (front_s + worker_s),
        "memory": MEMORY_SHARE * machine.memory_gib * 1024 / session_mib,
        "descriptors of the front": DESCRIPTORS / max(facts["descriptors_a_session"], 1.0),
        "a network of 1 Gbit/s": ROOM * NETWORK_BYTES_A_SECOND / bytes_a_second,
        "all of them back a minute after a restart": facts["starts_a_second"] * RESTART_S,
    }


def model(results: Sequence[Result]) -> Result | None:
    """The table, or None if what it needs has not been measured."""
    facts = {name: value for result in results for name, value in result.facts.items()}
    try:
        columns = [sessions_by_resource(facts, machine) for machine in MACHINES]
    except KeyError:
        return None
    rows: list[list[Cell]] = [[name, *(float(column[name]) for column in columns)] for name in columns[0]]
    firsts = [min(column, key=lambda name, column=column: column[name]) for column in columns]  # type: ignore[misc]
    servers: list[Cell] = [math.ceil(SESSIONS / column[first]) for column, first in zip(columns, firsts, strict=True)]
    rows.append(["runs out first", *firsts])
    rows.append([f"servers for {SESSIONS} sessions", *servers])
    based_on = ", ".join(f"{name} {value:.3g}" for name, value in sorted(facts.items()))
    return Result(
        "model", f"sessions of 20 actions at {TICKS_A_SECOND} Hz that one server carries, by what would run out",
        ["resource", *(f"{one.cores} cores, {one.memory_gib} GiB" for one in MACHINES)], rows,
        remarks=[f"From these measurements: {based_on}.", "What the actions themselves use comes on top."],
    )  # fmt: skip
