# SPDX-License-Identifier: Apache-2.0
"""The page about speed, written from the results of a run and from nothing else. No clock, no measuring.

    python -m benchmarks.page    writes docs/explanation/performance.md anew from the performance.json beside it
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.model import model
from benchmarks.results import Cell, Result, shown, svg
from scenario_execution_remote.config import WAIT_SHARE

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
COMMAND = "./dev bench --page docs/explanation/performance.md"

# What each table means, whatever its numbers are.
MEANINGS = {
    "running": "All running actions of a server travel in one message each way. A remote tick is spent twice: on the "
    "nodes of the tree here, and on the actions there, one after the other.",
    "rate": "The tree is ticked by time, and waits for no link: behind a long one the server keeps the beat, and says "
    "when something ends.",
    "sequence": "The server begins each as soon as the one before it has succeeded, and the tree goes through its "
    "steps with answers that are there already.",
    "round_trip": "A tick passes through the front, which admits, counts and passes on, to the worker, and back.",
    "peers": "What others offer is a call for each action, which a tree of many actions pays as many times.",
    "setup": "The first `setup()` sends all, so what is left are the round trips of connecting, once for all actions.",
    "end": "A result is pushed when it is there, and the tree sees it in its next tick.",
    "start": "Workers come from a fork server that has imported the engine already "
    "([0003](../decisions/0003-own-fork-server.md)).",
    "many": "Each session has a worker of its own, so an action that blocks holds up its own session.",
    "idle": "Nobody polls: both sides beat once a second, and the front looks about itself four times a second.",
    "transfer": "Files share the session's one stream with ticks, which find it all but empty: a file has no more on "
    "its way than the link takes at once ([0012](../decisions/0012-results-come-home.md)).",
    "emulated_link": "Two network namespaces with a way between them that is long, and loses packets. It needs root; "
    "`python -m benchmarks.emulated_link --delay-ms 50 --loss 0.05` measures it by itself.",
}


def page(document: dict[str, Any]) -> str:
    """The whole page, from what ``./dev bench --json`` writes."""
    results = [Result.from_json(one) for one in document["results"]]
    aims = [aim for result in results for aim in result.aims]
    missed = [aim for aim in aims if not aim.is_met]
    lines = [
        "# Speed and scale",
        "",
        "A remote action should cost the tree what a local one costs, whatever the link. This page is written by one",
        "command, from one run, side by side: what counts are the ratios.",
        "",
        "```console",
        f"$ {COMMAND}",
        "```",
        "",
        f"Machine: {document['machine']}." + (" A quick run: a look, not a measurement." if document["quick"] else ""),
        "The numbers for machines are in [performance.json](performance.json); what they are measured with is in",
        "[benchmarks/](../../benchmarks). Counts that no machine changes are held by `tests/system/test_counts.py`.",
        "",
        "## Aims",
        "",
        f"{len(aims) - len(missed)} of {len(aims)} met in this run.",
        "",
        *table(["what", "wanted", "measured", "met"],
               [[aim.what, aim.wanted, aim.seen, "yes" if aim.is_met else "**no**"] for aim in aims]),
        "",
        *_about_missed(document, len(missed)),
        "## How long a tick waits",
        "",
        f"One setting: `remote(..., tick_wait: {WAIT_SHARE:g})`, the part of the tick period, from 0.0 to 1.0, that a",
        f"tick waits for results at most. The default is {WAIT_SHARE:g}: {WAIT_SHARE * 100:g} ms at 10 Hz. What is not",
        "there by then arrives at a later tick, and no call is waited for twice. With 0.0 no tick ever waits, and each",
        "result is a tick late. What a tick has waited stands in `--tick-log`: in its own `duration_s`, and in that of",
        "the `update` that waited. [0009](../decisions/0009-ticks.md) says why.",
        "",
    ]  # fmt: skip
    for result in results:
        lines += _section(result)
    worked_out = model(results)
    if worked_out is not None:
        lines += [
            "## Ten thousand sessions",
            "",
            "This machine cannot show them; this is worked out from the numbers above, each resource by itself and in",
            "proportion ([benchmarks/model.py](../../benchmarks/model.py)). The smallest of a column runs out first.",
            "",
            *table(worked_out.columns, worked_out.rows),
            "",
            *worked_out.remarks,
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _about_missed(document: dict[str, Any], count: int) -> list[str]:
    if count == 0:
        return []
    cores, load = document["cores"], document["load"]
    reason = (
        f"The load was {load:.1f} on {cores} cores before the run began: other work took part of what was measured."
        if load > cores / 2
        else "The machine was quiet: take what is missed as missed."
    )
    bounds = (
        "What three processes of plain Python take at the least, for a tick and for a file, is measured beside ours "
        "below; where the rest goes stands in [0045](../decisions/0045-hot-path.md) and "
        "[0041](../decisions/0041-transfer-speed.md)."
    )
    return [f"What is marked **no** was missed in this run. {reason}", bounds, ""]


def _section(result: Result) -> list[str]:
    lines = [f"## {result.title[0].upper()}{result.title[1:]}", ""]
    if result.name in MEANINGS:
        lines += [MEANINGS[result.name], ""]
    lines += [*table(result.columns, result.rows), ""]
    if result.plot:
        lines += [f"![{result.title}](performance/{result.name}.svg)", ""]
    lines += result.remarks
    return [*lines, ""] if result.remarks else lines


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A Markdown table."""
    cells = [list(columns), ["---"] * len(columns), *([shown(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]


def write(document: dict[str, Any], path: Path) -> None:
    """The page, its numbers and its plots."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    path.write_text(page(document), encoding="utf-8")
    draw([Result.from_json(one) for one in document["results"]], path.with_suffix(""))


def draw(results: Sequence[Result], folder: Path) -> None:
    """A plot for each result that has one."""
    folder.mkdir(parents=True, exist_ok=True)
    for result in results:
        if result.plot:
            (folder / f"{result.name}.svg").write_text(svg(result), encoding="utf-8")


if __name__ == "__main__":
    write(json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8")), PAGE)
