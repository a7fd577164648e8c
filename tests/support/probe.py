# SPDX-License-Identifier: Apache-2.0
"""The probe package made available without being installed, and the files its actions write."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.support.workspace import read_toml

PACKAGE = Path(__file__).parent / "probe_package"


def make_site(folder: Path, package: Path = PACKAGE) -> str:
    """Write what an installer would have written into `folder`; returns a PYTHONPATH with the package on it."""
    project = read_toml(package / "pyproject.toml")["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return os.pathsep.join((str(folder), str(package)))


def trace_of(path: Path, tag: str | None = None) -> list[str]:
    """The lines of a trace, or those of one tag without it."""
    lines = path.read_text().splitlines() if path.exists() else []
    return lines if tag is None else [line.partition(" ")[2] for line in lines if line.startswith(f"{tag} ")]


def records_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def pids_of(path: Path) -> list[int]:
    """The process ids in a file that probe_spawn has written."""
    return [int(line) for line in path.read_text().split()] if path.exists() else []
