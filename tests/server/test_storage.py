# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from scenario_execution_server import storage as storage_module
from scenario_execution_server.audit_file import AuditFile
from scenario_execution_server.storage import Storage, size_of
from scenario_execution_server.worker.folder import remove_folder
from tests.support.waiting import wait_until


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022])
def test_every_folder_that_is_made_for_files_and_log_is_for_the_servers_user_alone(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        storage = Storage(tmp_path / "state" / "product" / "files")
        log = AuditFile(tmp_path / "other" / "product" / "audit.jsonl", lambda _sentence: None)
        log.write("{}")
        log.close()
    finally:
        os.umask(before)
    loose = [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077]
    assert (tmp_path / "other" / "product" / "audit.jsonl").read_text() == "{}\n"
    assert loose == []
    storage.close()


def test_what_lies_however_deep_is_counted(tmp_path: Path) -> None:
    deep = str(tmp_path) + "/a" * 1500
    os.makedirs(tmp_path / "a")
    for level in range(100, 1501, 100):  # makedirs calls itself
        os.makedirs(str(tmp_path) + "/a" * level, exist_ok=True)
    with open(f"{deep}/x", "wb") as file:
        file.write(bytes(8192))
    assert size_of(tmp_path) >= 8192
    assert remove_folder(tmp_path / "a") == ""  # pytest could not


def test_a_disk_on_which_another_server_hangs_keeps_this_one_from_nothing_but_giving_its_folder_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "_CLOSE_LIMIT_S", 0.05)
    storage = Storage(tmp_path / "files")
    hanging = os.open(tmp_path / "files", os.O_RDONLY)
    fcntl.flock(hanging, fcntl.LOCK_EX)
    (problem,) = storage.close()
    assert problem == f"{storage.live} could not be given up within 0.05 s; the next server does that"
    os.close(hanging)
    wait_until(lambda: not storage.live.exists())
