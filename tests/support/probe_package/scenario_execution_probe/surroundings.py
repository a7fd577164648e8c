# SPDX-License-Identifier: Apache-2.0
"""Actions that look at the process they run in, and leave something there."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction

from scenario_execution_probe.traced import append

MARKS: list[str] = []
SIGNALS = ("SigBlk", "SigIgn", "SigCgt")


def signals(status: str) -> dict[str, list[int]]:
    """Numbers of the signals that are blocked, ignored and caught, from a text like /proc/self/status."""
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith(SIGNALS))
    numbers = range(1, 65)
    return {name: [number for number in numbers if int(mask, 16) >> (number - 1) & 1] for name, mask in masks.items()}


def descriptors() -> list[str]:
    """What this process has open; the descriptor that lists the folder is gone when it is looked at."""
    links = list(Path("/proc/self/fd").iterdir())
    return sorted(os.readlink(link) for link in links if link.is_symlink())


class Report(BaseAction):
    """See lib_osc/probe.osc."""

    def execute(self, path: str) -> None:
        child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
        report = {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "session": os.getsid(0),
            "group": os.getpgid(0),
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "stdin": os.readlink("/proc/self/fd/0"),
            "is_main_thread": threading.current_thread() is threading.main_thread(),
            "descriptors": descriptors(),
            "signals": signals(Path("/proc/self/status").read_text()),
            "signals_of_child": signals(child),
        }
        Path(path).write_text(json.dumps(report))

    def update(self):
        return Status.SUCCESS


class Where(BaseAction):
    """See lib_osc/probe.osc."""

    def execute(self, path: str, tag: str) -> None:
        place = os.environ.get("PROBE_PLACE") or os.environ.get("PROBE_SIDE", "client")
        append(path, f"{tag} {place}")

    def update(self):
        return Status.SUCCESS


class Marks(BaseAction):
    """See lib_osc/probe.osc."""

    def execute(self, path: str, tag: str, gate: str) -> None:
        self._gate = gate
        found = {
            "tag": tag,
            "pid": os.getpid(),
            "globals": list(MARKS),
            "environment": os.environ.get("PROBE_MARK"),
            "folder": os.getcwd(),
            "files": sorted(os.listdir()),
            "processes": [process.name for process in self._registry.get("marked")],
        }
        append(path, json.dumps(found))
        MARKS.append(tag)
        os.environ["PROBE_MARK"] = tag
        self._registry.register("marked", self)
        Path(f"file-{tag}").touch()
        os.mkdir(f"folder-{tag}")
        os.chdir(f"folder-{tag}")
        print(f"printed by {tag}")
        self.logger.info(f"logged by {tag}")

    def setup(self, **kwargs):
        self._registry = kwargs["process_registry"]

    def update(self):
        return Status.SUCCESS if os.path.exists(self._gate) else Status.RUNNING
