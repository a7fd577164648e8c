# SPDX-License-Identifier: Apache-2.0
"""A session's folder goes, whatever actions left in it, and nothing outside it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scenario_execution_server.worker.folder import remove_folder


def test_a_folder_with_everything_in_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to("nowhere")
    assert remove_folder(folder) == ""
    assert not folder.exists()


def test_a_folder_without_permissions_goes_too(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    (folder / "locked" / "inside").mkdir(parents=True)
    (folder / "locked" / "inside" / "file").write_text("x")
    (folder / "locked" / "inside").chmod(0)
    (folder / "locked").chmod(0o500)
    folder.chmod(0o500)
    assert remove_folder(folder) == ""
    assert not folder.exists()


def test_what_a_link_points_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o755)
    (precious / "file").write_text("x")
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "link").symlink_to(precious)
    assert remove_folder(folder) == ""
    assert (precious / "file").exists()


def test_a_link_in_the_folders_place_is_removed_and_its_target_is_not_touched(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o755)
    precious.chmod(0o755)
    (precious / "file").write_text("x")
    (tmp_path / "session").symlink_to(precious)
    assert remove_folder(tmp_path / "session") == ""
    assert (precious / "file").exists()
    assert precious.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_gone_is_no_problem(tmp_path: Path) -> None:
    assert remove_folder(tmp_path / "session") == ""


@pytest.mark.parametrize("depth", [199, 200, 201, 202, 5000])  # 5000: by a path it could not even be named
def test_a_folder_goes_however_deep_an_action_or_a_client_has_made_it(depth: int, tmp_path: Path) -> None:
    folder = tmp_path / "session"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=fd))
    os.close(fd)
    assert remove_folder(folder) == ""
    assert not folder.exists()


def test_what_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "session"
    (folder / "kept").mkdir(parents=True)

    def refuse(name: str, *, dir_fd: int) -> None:
        raise PermissionError(1, "Operation not permitted", name)

    monkeypatch.setattr(os, "rmdir", refuse)
    said = remove_folder(folder)
    assert said == f"the session's folder {folder} could not be removed: [Errno 1] Operation not permitted: 'kept'"
