# SPDX-License-Identifier: Apache-2.0
"""What a worker says it can run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server.worker.offer import offer

PLUGINS = """
class Walk:
    def __init__(self, speed, gait="trot"): ...
    def execute(self, distance): ...

not_a_class = 3
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a good action, one whose module exits, one that is no class, and one that notes its import."""
    info = tmp_path / "menagerie-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: menagerie\nVersion: 2.1\n")
    names = "walk = menagerie_walk:Walk\nexits = menagerie_exits:X\nthing = menagerie_walk:not_a_class\n"
    (info / "entry_points.txt").write_text(f"[scenario_execution.actions]\n{names}secret = menagerie_secret:X\n")
    (tmp_path / "menagerie_walk.py").write_text(PLUGINS)
    (tmp_path / "menagerie_exits.py").write_text("raise SystemExit('no robot')\n")
    (tmp_path / "menagerie_secret.py").write_text("class X: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def asked(*globs: str) -> dict[str, list[object]]:
    answer = offer(7, messages.Permit(client="alice", actions=list(globs), mend=""))
    (again,) = wire.decode(wire.encode(answer), wire.FROM_WORKER)
    assert again == answer and answer.call == 7 and answer.globs == list(globs)
    return {entry[0]: entry for entry in answer.offered}


def test_an_action_is_listed_with_where_it_comes_from_and_what_it_takes(plugins: Path) -> None:
    expected = ["walk", "menagerie_walk:Walk", "menagerie", "2.1", ["speed", "gait"], ["distance"], ""]
    assert asked("walk") == {"walk": expected}


def test_an_action_that_cannot_be_imported_is_listed_with_the_reason(plugins: Path) -> None:
    assert asked("exits")["exits"][4:] == [None, None, "SystemExit: no robot"]


def test_what_is_no_class_is_listed_as_that(plugins: Path) -> None:
    assert asked("thing")["thing"][6] == "it is not a class"


def test_what_a_client_may_not_run_is_neither_listed_nor_imported(plugins: Path) -> None:
    assert "walk" in asked("w*", "t*") and "secret" not in asked("w*", "t*")
    assert "menagerie_secret" not in sys.modules


def test_an_observer_is_offered_nothing() -> None:
    assert asked() == {}
