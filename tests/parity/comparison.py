# SPDX-License-Identifier: Apache-2.0
"""What is different between a local and a remote run, beyond what a row says is meant to be."""

from __future__ import annotations

import difflib
import re

from tests.parity.outcome import TREE_LINE, Outcome
from tests.parity.row import Row

SHUTDOWN = re.compile(r"^(\S+) shutdown\((\w+)\)$")
BEGUN, VERDICT = "Executing scenario", ": execution failed."
STOPPED = ("terminate INVALID(RUNNING)", "request_cancel(RUNNING)")


def complaints(row: Row, local: Outcome, remote: Outcome) -> list[str]:
    """The differences, each as a text; none for a row that is as it should be."""
    found = failings(row, local)
    if row.tells not in remote.raw:
        found.append(f"the remote run did not say {row.tells!r}")
    unused = set(row.remotely)
    for aspect in sorted({*local.aspects, *remote.aspects}):
        here, there = local.aspects.get(aspect), remote.aspects.get(aspect)
        if aspect in row.unlike:
            continue
        if aspect.startswith("file ") and isinstance(there, list):
            there, wrong = without_shutdown(there, row.stopped if aspect == "file trace" else (), row.here)
            found += [f"{aspect}: {text}" for text in wrong]
        if aspect == "log" and row.adds and isinstance(there, list):
            kept = [line for line in there if line not in row.adds]
            found += [] if len(kept) < len(there) else [f"log: has nothing of {row.adds}"]
            there = kept
        if aspect in row.remotely:
            unused.discard(aspect)
            if here == there:
                found.append(f"{aspect}: should be different on purpose, and is the same: {here!r}")
            here = row.remotely[aspect]
        if row.cut is not None and aspect.startswith("file trace"):
            here, there = (value[: row.cut] if isinstance(value, list) else value for value in (here, there))
            if not isinstance(here, list) or len(here) < row.cut:
                found.append(f"{aspect}: has fewer than {row.cut} lines: {here!r}")
        if row.unsteady and aspect.endswith("behaviors.jsonl"):
            here, there = results_of_leaves(here), results_of_leaves(there)
        elif row.unsteady:
            here, there = without_last_tick(here), without_last_tick(there)
        if aspect in row.unordered:
            here, there = (sorted(value) if isinstance(value, list) else value for value in (here, there))
        if here != there:
            found.append(f"{aspect}:\n{contrast(here, there)}")
    found += [f"{aspect}: is in neither run" for aspect in sorted(unused)]
    return found


def failings(row: Row, local: Outcome) -> list[str]:
    """In what a local run is not what its row is about."""
    found = []
    code = local.aspects["exit code"]
    if code != row.code:
        found.append(f"the local run ended with {code!r} and not, as the row says, with {row.code}")
    says = row.says or (VERDICT if row.code == 1 else "")
    if says not in local.raw:
        found.append(f"the local run did not say {says!r}")
    if (BEGUN in local.raw) == row.refused:
        found.append("the local run should not have begun" if row.refused else "the local run did not begin")
    return found


def without_shutdown(lines: list[str], stopped: tuple[str, ...], here: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """A trace without what the end of the scenario adds to it, and what is wrong with that.

    Each action that was set up is shut down once, after everything else of it; before that, one that still runs is
    stopped.
    """
    kept: list[str] = []
    wrong: list[str] = []
    alive: dict[str, int] = {}
    stopping = {tag: [f"{tag} {call}" for call in STOPPED] for tag in stopped}
    is_ending = False
    for line in lines:
        tag = line.partition(" ")[0]
        if line.startswith(f"{tag} setup("):
            alive[tag] = alive.get(tag, 0) + 1
            is_ending = False
        if SHUTDOWN.match(line):
            is_ending = True
            alive[tag] = alive.get(tag, 0) - 1
            if alive[tag] < 0:
                wrong.append(f"{tag} is shut down more often than set up")
        elif stopping.get(tag) and line == stopping[tag][0]:
            stopping[tag].pop(0)
        elif is_ending and tag in alive:
            wrong.append(f"after a shutdown: {line}")
        else:
            kept.append(line)
    wrong += [f"{tag} is not shut down" for tag, count in alive.items() if count > 0 and tag not in here]
    wrong += [f"at the end, {tag} is not stopped: no {lines}" for tag, lines in stopping.items() if lines]
    return kept, wrong


def results_of_leaves(log: object) -> object:
    """What is left of a tree log when ticks do not count."""
    if not isinstance(log, list):
        return log
    return [line for line in log if re.search(r"^\S+ BEHAVIOUR .* (SUCCESS|FAILURE) ", line)]


def without_last_tick(text: object) -> object:
    """The drawings in a text, without what they say of nodes that have not failed.

    A drawing shows status and feedback of the nodes that the last tick came to, and the status of some more.
    """
    if not isinstance(text, list):
        return text
    drawn = [TREE_LINE.match(line) for line in text]
    return [
        f"{node[1]}{node[2]} {node[3]}" if node and not (node[4] or "").startswith(" [✕]") else line
        for line, node in zip(text, drawn, strict=True)
    ]


def contrast(here: object, there: object) -> str:
    """Local and remote side by side, as text."""
    if isinstance(here, list) and isinstance(there, list):
        return "\n".join(difflib.unified_diff(here, there, "local", "remote", lineterm="", n=2))
    return f"  local:  {here!r}\n  remote: {there!r}"
