# SPDX-License-Identifier: Apache-2.0
"""What a run looked like from outside, without what differs from run to run: times, folders, ids, process numbers."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RECORD = re.compile(r"^\[(DEBUG|INFO|WARN|ERROR)\] \[[\d.]+\] \[([^\]]*)\]: (.*)$")
REMOTE_CLASS = "scenario_execution_remote.marker.Remote"
TREE_LINE = re.compile(r"^( *)(-\^-|-->|\{-\}|\[-\]|/_/|/o/|\{o\}|\[o\]|\(o\)) (.*?)( \[.\].*| -- .*)?$")
ROOT_LINE = re.compile(r"^(.*\S *)((?:-\^-|\{-\}) \S.*)$")  # the first line of a tree, at the end of a sentence
# where another record begins in the middle of a line
MIXED_IN = re.compile(r"(?<=.)(?=\[(?:DEBUG|INFO|WARN|ERROR)\] \[0\.0\] \[scenario_execution\]: )")
DEBUG_OF_REMOTE = re.compile(r"^\[DEBUG\] remote +: ")  # py_trees' own debug lines about the decorator
TRACEBACK = "Traceback (most recent call last):"
VARYING = re.compile(
    r"^(-?\d*\.\d+(e-?\d+)?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
)  # a time, or the id of a node
REMOTE_CAUSE = "scenario_execution_remote.faults.RemoteTraceback: on the server:"
BARE_CAUSE = re.compile(r"^[A-Z]\w+(Error|Exception): ")  # an exception that was never raised has no traceback
CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
OWN_FILES = ("stdout", "stderr")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended: its aspects by name; ``raw`` is what it really printed, for a failing test to show."""

    aspects: Mapping[str, object]
    raw: str


def plain_lines(text: str, names: Mapping[str, str]) -> list[str]:
    """The lines of a text without colours, and with names in place of what is different in each run."""
    text = COLOUR.sub("", text)
    for value in sorted(names, key=len, reverse=True):
        text = text.replace(value, names[value])
    text = re.sub(r"\[\d{10}\.\d{6}\]", "[0.0]", text)
    text = re.sub(r"\b0x[0-9a-f]{6,}", "0x...", text)
    # sentences about an action show its invocation, modifiers and all
    text = re.sub(r'remote\("\$E2?",setup_timeout:40s\)', "", text)
    text = re.sub(r"with: *(?=:)", "", re.sub(r"with: +(?=\w)", "with:", text))
    return text.splitlines()


def unmixed(lines: list[str]) -> list[str]:
    """Each record on a line of its own.

    The engine's logger writes a record and its line's end one after the other; when two threads log at the same time,
    both records may stand on one line, and an empty line behind it.
    """
    found: list[str] = []
    missing_count = 0  # line ends that are still to come
    for line in lines:
        parts = MIXED_IN.split(line) if RECORD.match(line) else [line]
        if not line and missing_count:
            missing_count -= 1
            continue
        missing_count += len(parts) - 1
        found += parts
    return found


def without_tracebacks(lines: list[str]) -> list[str]:
    """Each traceback, with all that it was caused by, shrunk to its last line."""
    found: list[str] = []
    start = 0  # where in `found` the chain begins that the current traceback belongs to
    is_inside = False
    for line in lines:
        if line.startswith(CHAINED):
            del found[start:]  # what was caused comes below, and is what counts
            is_inside = True
        elif line.startswith((TRACEBACK, REMOTE_CAUSE)):
            start = start if is_inside else len(found)
            is_inside = True
        elif is_inside and line and not line.startswith(" "):
            is_inside = False
            found.append(line)
        elif not is_inside:
            if BARE_CAUSE.match(line):
                start = len(found)
            found.append(line)
    return found


def without_remote_nodes(lines: list[str], is_root_remote: bool) -> list[str]:
    """The drawings of trees without remote decorators; what is below them moves up.

    Args:
        lines: Text with any number of drawings in it.
        is_root_remote: Whether the first node of each is such a decorator, under the name of the scenario.
    """
    found: list[str] = []
    removed: list[int] = []
    is_inside = False
    root_name: str | None = None
    lines = [part for line in lines for part in ROOT_LINE.sub(r"\1\n\2", line).split("\n")]
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        shown = TREE_LINE.match(line)
        if is_inside and line.strip() == "...":  # py_trees' word for children that it does not show
            found.append(line[4 * len(removed) :])
            continue
        if not shown:
            found.append(line)
            removed, is_inside = [], False
            continue
        while removed and indent <= removed[-1]:
            removed.pop()
        is_first, is_inside = not is_inside, True
        if shown[2] == "-^-" and (shown[3] == "remote" or (is_first and is_root_remote)):
            removed.append(indent)
            root_name = shown[3] if is_first and is_root_remote else None
            continue
        if root_name is not None:  # the number of a document stands behind the name of the outermost node
            line, root_name = line.replace(f" {shown[3]}", f" {root_name}", 1), None
        found.append(line[4 * len(removed) :])
    return found


def spoken(stdout: str, names: Mapping[str, str], is_root_remote: bool) -> tuple[list[str], list[str]]:
    """The log records as LEVEL TEXT, and the other lines of standard output."""
    records: list[str] = []
    printed: list[str] = []
    is_record = False
    lines = without_tracebacks(unmixed(plain_lines(stdout, names)))
    for line in without_remote_nodes(lines, is_root_remote):
        if DEBUG_OF_REMOTE.match(line):
            continue
        found = RECORD.match(line)
        if found:
            is_record = not found[3].startswith("Tick too long")
            if is_record:
                records.append(f"{found[1]} {found[3]}")
        else:
            printed.append(line)
    return records, printed


def verdict(path: Path, names: Mapping[str, str], is_root_remote: bool) -> list[str] | None:
    """The lines of a test.xml without times; None if there is none."""
    if not path.exists():
        return None
    text = re.sub(r'(time|value)="[\d.]+"', r'\1="..."', path.read_text(encoding="utf-8", errors="replace"))
    return without_remote_nodes(plain_lines(html.unescape(text), names), is_root_remote)


def tree_log(path: Path, names: Mapping[str, str]) -> list[str]:
    """A line per status change of a node that is there locally as well, with the ticks in which they happened."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    nodes = {}
    for record in records[1:]:
        if "behavior_name" in record:
            nodes.setdefault(record["behavior_id"], record)

    def place(identity: str | None) -> str:
        if identity is None:
            return "-"
        node = nodes[identity]
        parent = node["parent_id"]
        if parent not in nodes:  # the loader of model files loses the modifiers of the scenario, but not their links
            return "0"
        if nodes[parent]["class_name"] == REMOTE_CLASS:
            return place(parent)
        return f"{place(parent)}.{node['child_index']}"

    lines = [f"{records[0]['scenario']} {records[0]['tick_period']} {records[0]['clock']}"]
    last = None
    for record in records[1:]:
        if record["timestamp"] != last:
            last = record["timestamp"]
            lines.append("tick")
        if record.get("removed"):
            lines.append(f"{place(record['behavior_id'])} removed")
        elif record["class_name"] != REMOTE_CLASS:
            above = nodes.get(record["parent_id"])
            if above is not None and above["class_name"] == REMOTE_CLASS and above["parent_id"] is None:
                record["behavior_name"] = above["behavior_name"]  # the root's, with the number of the document
            detail = [record[key] for key in ("type", "class_name", "behavior_name", "additional_detail")]
            source = f"{record['osc_file']}:{record['osc_line']}:{record['osc_column']}"
            lines.append(
                f"{place(record['behavior_id'])} {' '.join(detail)} {source} {record['status']} "
                f"{record['feedback_message']!r} active={record['is_active']} tip={place(record['tip_id'])}"
            )
    # a tick in which nothing but a remote decorator changed is none locally
    lines = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if not (line == after == "tick")]
    return plain_lines("\n".join(lines), names)


def files_of(folder: Path, names: Mapping[str, str], is_root_remote: bool) -> dict[str, object]:
    """The content of every file that a run has left, by name."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or name in OWN_FILES:
            continue
        if path.name == "test.xml":
            found[name] = verdict(path, names, is_root_remote)
        elif path.name == "behaviors.jsonl":
            found[name] = tree_log(path, names)
        elif path.suffix == ".dot":
            found[name] = drawing(path.read_text(encoding="utf-8"), names)
        elif path.suffix == ".csv":
            found[name] = timing_table(path)
        else:
            found[name] = plain_lines(path.read_text(encoding="utf-8", errors="backslashreplace"), names)
    return found


def drawing(text: str, names: Mapping[str, str]) -> list[str]:
    """The nodes and edges of a .dot file, as paths from the root, without remote nodes."""
    nodes = re.findall(r'^"?([^"\[\n]+?)"? \[(.*)\];?$', text, re.MULTILINE)
    edges = dict(reversed(edge) for edge in re.findall(r'^"?([^"\n]+?)"? -> "?([^"\n;]+?)"?;?$', text, re.MULTILINE))
    labels = {name: dict(re.findall(r'(\w+)="?([^",\]]*)"?', rest)) for name, rest in nodes}

    def path(name: str) -> str:
        parent = edges.get(name)
        above = "" if parent is None else path(parent)
        return above if is_remote(name) else f"{above}/{re.sub(r'[*]+$', '', name)}"

    def is_remote(name: str) -> bool:
        is_root = name not in edges
        return name.startswith("remote") or (is_root and f"{name}*" in labels)

    lines = []
    for name, look in labels.items():
        if name not in ("node", "edge", "graph") and not is_remote(name):
            lines.append(f"{path(name)} {look.get('shape')} {look.get('fillcolor')}")
    return plain_lines("\n".join(lines), names)


def timing_table(path: Path) -> list[str]:
    """A table of the tick recorder without its times and without the rows of remote decorators."""
    found = []
    for cells in csv.reader(path.read_text(encoding="utf-8").splitlines()):
        if REMOTE_CLASS not in cells:
            found.append(",".join(VARYING.sub("#", cell) for cell in cells))
    return found
