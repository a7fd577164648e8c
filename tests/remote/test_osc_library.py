# SPDX-License-Identifier: Apache-2.0
"""The library as the engine reads it: the declaration says what the table says, and parses."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import py_trees
import pytest
from antlr4 import InputStream
from scenario_execution.model.model_to_py_tree import create_py_tree
from scenario_execution.model.osc2_parser import OpenScenario2Parser
from scenario_execution.utils.logging import Logger

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


def parse(arguments: str) -> py_trees.behaviour.Behaviour:
    """The tree of a scenario with one action under ``remote(...)``."""
    lines = ["import osc.helpers", "import osc.remote", "", "scenario test:", "    do serial:"]
    lines += ["        log('hi') with:", f"            remote({arguments})", ""]
    parser = OpenScenario2Parser(Logger("test", False))
    tree = py_trees.composites.Sequence(name="", memory=True)
    model = parser.create_internal_model(
        parser.parse_input_stream(InputStream("\n".join(lines))), tree, "test.osc", False
    )
    return create_py_tree(model, tree, parser.logger, False)


@pytest.mark.parametrize(
    "arguments", ['"robot"', 'endpoint: "[::1]:9", execution_timeout: 0s, setup_timeout: 1.5min, tick_wait: 1.0']
)
def test_good_arguments_parse_without_touching_network_or_keys(
    arguments: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SCENARIO_EXECUTION_KEYS_DIR", str(tmp_path / "keys"))
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    parse(arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("setup_timeout: 1s", "'endpoint' of remote() is missing"),
        ("endpoint: 5", "'endpoint' of remote() is 5, expected a string"),
        ('"robot", tiemout: 5s', "no argument 'tiemout'"),
        ('"robot:0"', "1 to 65535"),
        ('"robot", setup_timeout: "5s"', "'setup_timeout' of remote() is '5s', expected a time"),
        ('"robot", execution_timeout: true', "'execution_timeout' of remote() is True, expected a time"),
        ('"robot", heartbeat_failure_timeout: 0s', "'heartbeat_failure_timeout' of remote() is 0"),
        ('"robot", tick_wait: 1.5', "'tick_wait' of remote() is 1.5, expected a part from 0.0 to 1.0"),
        ('"robot", server_key: "sepub-"', "'server_key' of remote() is not a public key"),
    ],
)
def test_wrong_arguments_are_a_parse_error_with_place_and_name(arguments: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(arguments)
    assert complaint in str(caught.value)
    assert "line: 7" in str(caught.value)
