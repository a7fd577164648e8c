# SPDX-License-Identifier: Apache-2.0
"""A session's folder goes, whatever actions left in it, and nothing outside it does."""

from __future__ import annotations

import os
from pathlib import Path

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


def test_what_cannot_be_removed_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "session"
    depth = 210  # ten more than are followed
    path = folder
    for _ in range(depth):
        path = path / "d"
    path.mkdir(parents=True)
    assert "more than 200 folders inside each other" in remove_folder(folder)
    assert folder.exists()
