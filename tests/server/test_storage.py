# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest

from scenario_execution_server.audit_file import AuditFile
from scenario_execution_server.storage import Storage


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
