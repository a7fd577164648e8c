# SPDX-License-Identifier: Apache-2.0
"""The library as the engine reads it: the declaration says what the table says, and parses."""

from __future__ import annotations

from importlib.resources import files

from scenario_execution_remote.config import PARAMETERS
from scenario_execution_remote.osc_library import get_remote_library


def declared() -> list[str]:
    package, name = get_remote_library()
    return (files(package) / "lib_osc" / name).read_text(encoding="utf-8").splitlines()


def test_the_library_declares_exactly_the_table_with_its_help() -> None:
    lines = [line.partition("#") for line in declared() if line.startswith("    ") and ":" in line.partition("#")[0]]
    assert [(code.strip(), comment.strip()) for code, _, comment in lines] == [
        (parameter.declaration(), parameter.help) for parameter in PARAMETERS
    ]


def test_the_modifier_says_what_it_is_for() -> None:
    lines = declared()
    below = lines[lines.index("modifier remote:") + 1].strip()
    assert below.startswith("# ") and len(below) > 20


def test_the_library_brings_the_units_it_uses() -> None:
    assert "import osc.types" in declared()
