# SPDX-License-Identifier: Apache-2.0
"""The script `dev`: it starts on a bare machine, says what is missing, and knows when to renew its environment."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.support.workspace import MEMBERS, ROOT, dev_script, read_toml

dev = dev_script()
TEXT = (ROOT / "dev").read_text(encoding="utf-8")
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def package_names(lines: list[str]) -> set[str]:
    return {match[0].lower().replace("_", "-") for line in lines if (match := NAME.match(line.strip()))}


def an_environment(folder: Path, python: str = sys.executable) -> dev.Environment:
    return dev.Environment(dev.Interpreter(python, "3.11.7"), folder)


def test_an_old_python_can_read_the_script_as_far_as_the_sentence_about_its_age() -> None:
    tree = ast.parse(TEXT, feature_version=(3, 6))
    first = next(node for node in tree.body if isinstance(node, ast.If))
    assert "sys.version_info < (3, 10)" in (ast.get_source_segment(TEXT, first) or "")
    assert [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"] == []


def test_the_script_needs_nothing_but_the_standard_library() -> None:
    imports = [node for node in ast.walk(ast.parse(TEXT)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imports if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_an_unknown_verb_is_refused_and_the_known_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["tset"]) == 2
    message = capsys.readouterr().err
    assert all(verb in message for verb in ("setup", "test", "lint", "docs", "demo", "bench", "ci"))


def test_without_a_verb_it_lists_them_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main([]) == 0
    assert "./dev test" in capsys.readouterr().out


def test_a_python_without_ensurepip_is_named_before_anything_is_made(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit 1\n", encoding="ascii")
    python.chmod(0o755)
    with pytest.raises(dev.WorkshopError, match="without its modules venv and ensurepip"):
        an_environment(tmp_path / "made", str(python)).ready()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("answer", "complaint"), [("exit 3", "does not run as a Python"), ("echo 3.9.18; echo x", "3.10")]
)
def test_a_wished_python_that_does_not_do_is_refused(
    answer: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{answer}\n", encoding="ascii")
    python.chmod(0o755)
    monkeypatch.setenv("SCENARIO_EXECUTION_DEV_PYTHON", str(python))
    with pytest.raises(dev.WorkshopError, match=re.escape(complaint)):
        dev.Interpreter.chosen()


def test_the_environment_is_renewed_when_and_only_when_a_package_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = tmp_path / "pyproject.toml"
    inputs.write_text("one", encoding="ascii")
    monkeypatch.setattr(dev, "INPUTS", (inputs,))
    made: list[str] = []
    environment = an_environment(tmp_path / "made")
    monkeypatch.setattr(dev.Environment, "_fill", lambda self: made.append("filled"))

    def create(self: dev.Environment) -> None:
        made.append("created")
        self.python.parent.mkdir(parents=True)
        self.python.touch()

    monkeypatch.setattr(dev.Environment, "_create", create)
    environment.ready()
    environment.ready()
    assert made == ["created", "filled"]
    inputs.write_text("two", encoding="ascii")
    environment.ready()
    environment.ready()
    assert made == ["created", "filled", "filled"]


def test_an_interrupted_installation_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = an_environment(tmp_path / "made")
    monkeypatch.setattr(dev.Environment, "_create", lambda self: self.python.parent.mkdir(parents=True))

    def fail(self: dev.Environment) -> None:
        raise dev.WorkshopError("no packages today")

    monkeypatch.setattr(dev.Environment, "_fill", fail)
    with pytest.raises(dev.WorkshopError):
        environment.ready()
    assert not environment.stamp.exists()


def test_a_file_named_from_the_callers_folder_is_found_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_x.py").touch()
    monkeypatch.chdir(tmp_path)
    assert dev.here("test_x.py::test_y") == f"{tmp_path.resolve() / 'test_x.py'}::test_y"
    assert dev.here("-k") == "-k"
    assert dev.here("exposed") == "exposed"


@pytest.mark.parametrize(
    ("words", "are_together"),
    [
        (("-n", "2"), True), (("tests", "-n2"), True), (("tests",), False), (("pure",), False),
        ((), True), (("-q",), True), (("-k", "exposed"), False),
    ],
)  # fmt: skip
def test_the_tests_of_a_file_stay_together_when_several_files_run_at_once(
    words: tuple[str, ...], are_together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command: list[str] = []
    monkeypatch.setattr(dev, "become", lambda _, words: command.extend(map(str, words)))
    dev.test(an_environment(tmp_path), words)
    assert ("loadfile" in command) == are_together


def test_who_wants_no_bytecode_beside_the_sources_gets_it_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    variables = an_environment(tmp_path).variables()
    assert "PYTHONDONTWRITEBYTECODE" not in variables
    assert variables["PYTHONPYCACHEPREFIX"] == str(tmp_path / "bytecode")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    assert "PYTHONPYCACHEPREFIX" not in an_environment(tmp_path).variables()


def test_every_tool_and_every_dependency_has_a_tested_version() -> None:
    pinned = package_names((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    wanted = package_names((ROOT / "dev-requirements.txt").read_text(encoding="utf-8").splitlines())
    ours = set()
    for member in MEMBERS:
        project = read_toml(member / "pyproject.toml")["project"]
        ours.add(project["name"])
        wanted |= package_names(project["dependencies"])
    assert wanted - ours - pinned == set()
