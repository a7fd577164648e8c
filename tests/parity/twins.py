# SPDX-License-Identifier: Apache-2.0
"""Packages that give different actions the same name, and a package in two versions."""

from __future__ import annotations

import os
from pathlib import Path

MODULE = """# SPDX-License-Identifier: Apache-2.0
from py_trees.common import Status
from scenario_execution.actions.base_action import BaseAction


class Twin(BaseAction):
    def execute(self, {arguments}):
        with open(path, "a") as file:
            file.write("{name} {version}\\n")

    def update(self):
        return Status.SUCCESS


def library():
    return "{name}", "{name}.osc"
"""
OSC = """# SPDX-License-Identifier: Apache-2.0
action probe_twin:
    # Writes the name of its package
    path: string
{more}"""


def make_package(folder: Path, name: str, version: str, *more: str) -> str:
    """Write a package with the action ``probe_twin`` and install it below `folder`; returns what goes on PYTHONPATH."""
    package = folder / name
    (package / "lib_osc").mkdir(parents=True)
    arguments = ", ".join(("path", *more))
    (package / "__init__.py").write_text(MODULE.format(arguments=arguments, name=name, version=version))
    (package / "lib_osc" / f"{name}.osc").write_text(OSC.format(more="".join(f"    {word}: string\n" for word in more)))
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(
        f"[scenario_execution.actions]\nprobe_twin = {name}:Twin\n\n"
        f"[scenario_execution.osc_libraries]\n{name} = {name}:library\n"
    )
    return str(folder)


def make_twins(folder: Path) -> tuple[str, str]:
    """PYTHONPATH with both packages in their new version, and PYTHONPATH with one of them in an old one."""
    newer = [
        make_package(folder / "left", "probe_left", "2.0", "word"),
        make_package(folder / "right", "probe_right", "2.0"),
    ]
    return os.pathsep.join(newer), make_package(folder / "older", "probe_left", "1.0")
