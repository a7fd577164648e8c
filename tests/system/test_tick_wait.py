# SPDX-License-Identifier: Apache-2.0
"""What a tick waits for results: as long as the modifier says, once for each call, and written down by `--tick-log`."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from scenario_execution_remote.config import WAIT_SHARE
from tests.support.probe import trace_of
from tests.support.servers import ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Start

PERIOD_S = 1.0  # so long that a busy machine's own delays are small against it


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}_timing.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("argument", "share"), [("", WAIT_SHARE), (", tick_wait: 0.0", 0.0), (", tick_wait: 0.8", 0.8)]
)
def test_the_tick_log_shows_that_one_tick_waited_its_share_for_a_slow_action_and_that_no_later_one_did(
    argument: str, share: float, server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    gate, trace, out = tmp_path / "gate", tmp_path / "trace", tmp_path / "out"
    client = start(
        f"""
        parallel:
            probe_trouble(trace: "{trace}", tag: "slow", phase: "update", deed: "wait", text: "{gate}") with:
                remote("{server.endpoint}"{argument})
            probe_steps(trace: "{trace}", tag: "here", ticks: 3)
        """,
        "-s", str(PERIOD_S), "--tick-log", "-o", str(out),
    )  # fmt: skip
    wait_until(lambda: "terminate SUCCESS(RUNNING)" in trace_of(trace, "here"), 30.0)
    gate.touch()
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert "Tick too long" not in outcome.output
    ticks_s = [float(row["duration_s"]) for row in rows(out, "tick")]
    waited_s: dict[int, float] = defaultdict(float)
    for row in rows(out, "action"):
        if row["behavior_name"] == "probe_trouble" and row["phase"] == "update":
            waited_s[int(row["tick"])] += float(row["duration_s"])
    first, *later = sorted(waited_s)
    allowance_s = 0.3 * PERIOD_S  # for all that a busy machine may do besides
    assert 0.9 * share * PERIOD_S <= waited_s[first] <= share * PERIOD_S + allowance_s
    assert ticks_s[0] >= waited_s[first]  # the cost stands in the tick's own row as well
    assert len(later) >= 2
    assert max(waited_s[number] for number in later[:2]) < allowance_s


def test_an_action_that_blocks_on_one_server_does_not_make_results_of_another_one_late(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    gate, trace, out = tmp_path / "gate", tmp_path / "trace", tmp_path / "out"
    other = server.folder / "s"
    count = 10
    lines = [f'probe_steps(trace: "{trace}", tag: "quick", ticks: 1)'] * count
    client = start(
        f"""
        parallel:
            probe_trouble(trace: "{trace}", tag: "slow", phase: "update", deed: "wait", text: "{gate}") with:
                remote("{server.endpoint}")
            serial:
                serial:
{chr(10).join(" " * 20 + line for line in lines)}
                with:
                    remote("{other}")
        """,
        "-s", str(PERIOD_S), "--tick-log", "-o", str(out),
    )  # fmt: skip
    wait_until(lambda: sum("terminate SUCCESS" in line for line in trace_of(trace, "quick")) == count, 60.0)
    gate.touch()
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    busy = {int(row["tick"]) for row in rows(out, "action")
            if row["behavior_name"] == "probe_steps" and row["phase"] == "update"}  # fmt: skip
    # the tick that waited for the slow one has nothing left to wait; in the next one they follow each other
    assert len(busy) <= 3
