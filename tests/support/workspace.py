# SPDX-License-Identifier: Apache-2.0
"""The work tree as tests see it: its root, its tracked files, its settings, and the `dev` script as a module."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "scenario_execution_keys": ROOT / "keys",
    "scenario_execution_remote": ROOT / "scenario_execution_remote",
    "scenario_execution_server": ROOT / "scenario_execution_server",
}
MEMBERS = tuple(PACKAGES.values())


def read_toml(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return document


PURE_ROOMS = frozenset(read_toml(ROOT / "pyproject.toml")["tool"]["scenario-execution-server"]["pure-rooms"])


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git tracks or would track (new and not ignored), as absolute paths; links are left out."""
    # a checkout that another user owns (a CI machine's) is still ours to list
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = (ROOT / name for name in names if name)
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


def modules_of(package: str) -> dict[str, Path]:
    """Every module of one of the three packages, by its dotted name."""
    root = PACKAGES[package]
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def dev_script() -> ModuleType:
    """The `dev` script as a module: its verbs, and its way to install packages."""
    loader = importlib.machinery.SourceFileLoader("dev", str(ROOT / "dev"))
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("dev", loader, origin=loader.path))
    module.__file__ = loader.path
    loader.exec_module(module)
    return module
