# SPDX-License-Identifier: Apache-2.0
"""What becomes of a session's folder: results that are not home are put aside whole, or stay where they are."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from scenario_execution_server.worker import keeping


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A session's folder with one result."""
    folder = tmp_path / "session-1"
    (folder / "root" / "out").mkdir(parents=True)
    (folder / "root" / "out" / "x").write_text("precious")
    about = {"client": "a", "stands_for": {"output-1": "/out"}, "shelf": str(tmp_path / "shelf")}
    keeping.write_about(folder, about)
    return folder


def test_what_is_not_home_is_put_aside_and_the_rest_removed(folder: Path, tmp_path: Path) -> None:
    assert keeping.retire(folder) == ""
    (kept,) = (tmp_path / "shelf").iterdir()
    assert (kept / "output-1" / "x").read_text() == "precious" and not folder.exists()


@pytest.mark.parametrize(
    "odd", [{"stands_for": {"output-\0": "/out"}}, {"stands_for": {"output-\ud800": "/out"}}, {"shelf": "/\0"}]
)
def test_names_that_no_file_can_have_are_a_trouble_that_is_told(odd: dict[str, object], folder: Path) -> None:
    keeping.write_about(folder, {**(keeping.read_about(folder) or {}), **odd})
    assert f"stay in {folder}" in keeping.retire(folder)


def test_results_stay_where_they_are_as_long_as_the_disk_is_too_full_to_put_them_aside(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "write_about", full)
        assert f"stay in {folder}: [Errno 28]" in keeping.retire(folder)
    assert (folder / "root" / "out" / "x").read_text() == "precious"
    assert keeping.retire(folder) == ""
    (kept,) = (tmp_path / "shelf").iterdir()
    assert (kept / "output-1" / "x").read_text() == "precious" and not folder.exists()


def test_results_are_home_if_the_worker_has_said_so_or_there_are_none(folder: Path) -> None:
    assert not keeping.are_home(folder)
    (folder / keeping.HOME).touch()
    assert keeping.are_home(folder)
    (folder / keeping.HOME).unlink()
    (folder / "root" / "out" / "x").unlink()
    assert keeping.are_home(folder)


@pytest.mark.parametrize("about", [b"", b"[]", b'{"stands_for": {"output-\\u0000": "/out"}}'])
def test_in_doubt_results_are_not_home(about: bytes, folder: Path) -> None:
    (folder / keeping.ABOUT).write_bytes(about)
    assert not keeping.are_home(folder)
