# SPDX-License-Identifier: Apache-2.0
"""What is to be uploaded is found by name, or its absence is."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenario_execution_remote.uploads import UploadError, found


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in ("scenario/a.yaml", "scenario/b.yaml", "scenario/deep/er/c.yaml", "maps/site.yaml", "maps/x/y"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path / "scenario"


def test_files_folders_and_globs_are_relative_to_the_scenario_or_absolute(base: Path) -> None:
    wanted = ["*.yaml", "deep/**/c.yaml", "../maps/site.yaml", str(base.parent / "maps" / "x")]
    assert found(wanted, str(base)) == {
        str(base): ["a.yaml", "b.yaml"],
        str(base / "deep" / "er"): ["c.yaml"],
        str(base.parent / "maps"): ["site.yaml", "x"],
    }


def test_a_name_with_the_signs_of_a_glob_is_that_name_if_there_is_one(base: Path) -> None:
    (base / "[ab].yaml").write_text("x")
    assert found(["[ab].yaml"], str(base)) == {str(base): ["[ab].yaml"]}


def test_all_that_is_missing_is_named(base: Path) -> None:
    with pytest.raises(UploadError) as caught:
        found(["a.yaml", "none", "*.nothing"], str(base))
    assert "'none', '*.nothing'" in str(caught.value) and str(base) in str(caught.value)


def test_where_keys_are_is_refused(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_EXECUTION_KEYS_DIR", str(base / "deep"))
    (base / "link").symlink_to("deep")
    for name in ("deep", "deep/er/c.yaml", "link"):
        with pytest.raises(UploadError, match="never leave this machine"):
            found([name], str(base))
