# SPDX-License-Identifier: Apache-2.0
"""Everything that a program of a test has started and that still runs, found by a mark in its environment.

A mark is inherited by whatever a process starts, however it detaches itself: by `fork` and `exec` alike, across
`setsid`, re-parenting and changed names.
"""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_server.worker.processes import process_info

MARK = "TEST_OWNER"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A process: its id, its short name (``se-worker``), its parent, and its command line."""

    pid: int
    name: str
    parent: int
    command: str


def new_mark(kind: str) -> str:
    """A value for the variable `MARK` that nobody else has."""
    return f"{kind}-{os.getpid()}-{next(_numbers)}"


def marked(mark: str) -> list[Found]:
    """The living processes that carry a mark, oldest first. Dead ones that nobody has waited for are not living."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        info = process_info(int(folder.name))
        if info is not None and info.state != "Z":
            found.append((info.started, Found(pid=info.pid, name=info.name, parent=info.parent, command=command)))
    return [process for _, process in sorted(found, key=lambda pair: (pair[0], pair[1].pid))]


def end_marked(mark: str) -> list[Found]:
    """Kill whatever carries a mark; returns what there was to kill."""
    first = marked(mark)
    victims = first
    while victims:
        for process in victims:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        victims = marked(mark)
    return first


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    info = process_info(pid)
    return info is not None and info.state != "Z"
