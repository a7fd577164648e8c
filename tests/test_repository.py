# SPDX-License-Identifier: Apache-2.0
"""What holds for every file of the repository, whoever wrote it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.workspace import MEMBERS, ROOT, read_toml, tracked_files

SPDX = "SPDX-License-Identifier: Apache-2.0"
# Spelled with a class of one character, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~$}-])/(?:[r]oot|[w]ork|[U]sers|[h]ome/(?!user\b|USER\b))/?[\w.-]*")
REGISTRY = re.compile(r"[p]ypi\.org|[p]ythonhosted\.org|https?://[^\s/]+/(?:[s]imple|npm)\b|index[-_]url\s*=\s*.?(?:http|file)")
UPPER_BOUND = re.compile(r"[^#;]*(?:<|==|~=)\s*=?\d")  # before a comment, and before an environment marker
REQUIREMENT_FILES = (*(member / "pyproject.toml" for member in MEMBERS), ROOT / "dev-requirements.txt")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def is_source(path: Path) -> bool:
    return path.suffix in {".py", ".osc", ".sh"} or path.name == "pyproject.toml" or text_of(path).startswith("#!")


def offenders(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    return [(named(path), match) for path in tracked_files() for match in pattern.findall(text_of(path))]


def test_every_source_file_says_its_licence_at_its_head() -> None:
    heads = {named(path): text_of(path).splitlines()[:2] for path in tracked_files() if is_source(path)}
    assert [name for name, head in heads.items() if not any(SPDX in line for line in head)] == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert offenders(MACHINE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert offenders(REGISTRY) == []


@pytest.mark.parametrize("path", REQUIREMENT_FILES, ids=named)
def test_an_upper_bound_on_a_version_comes_with_its_reason(path: Path) -> None:
    requirements = text_of(path).partition("[project.scripts]")[0]
    bounded = [line for line in requirements.splitlines() if UPPER_BOUND.match(line)]
    without_reason = [line for line in bounded if len(line.partition("#")[2].split()) < 3]
    assert without_reason == []


@pytest.mark.parametrize("member", MEMBERS, ids=named)
def test_a_member_carries_the_licence_text(member: Path) -> None:
    """As a copy: hatchling puts a symbolic link into the source archive, where it points nowhere."""
    assert not (member / "LICENSE").is_symlink()
    assert (member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_members_agree_on_python_licence_and_version() -> None:
    projects = [read_toml(member / "pyproject.toml")["project"] for member in MEMBERS]
    for key in ("requires-python", "license", "version"):
        assert len({project[key] for project in projects}) == 1, key


def test_no_executable_lost_its_mode() -> None:
    scripts = [path for path in tracked_files() if text_of(path).startswith("#!")]
    assert [named(path) for path in scripts if not path.stat().st_mode & 0o100] == []
