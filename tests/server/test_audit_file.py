# SPDX-License-Identifier: Apache-2.0
"""The file of the audit log: whose it is, how large it gets, and what happens when it cannot be written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scenario_execution_server.audit_file import FILES_KEPT, AuditFile, rotated
from tests.support.waiting import wait_until


@contextmanager
def opened(path: Path, **options: int) -> Iterator[tuple[AuditFile, list[str]]]:
    told: list[str] = []
    file = AuditFile(path, told.append, **options)
    try:
        yield file, told
    finally:
        file.close()
        assert not file._thread.is_alive()


def test_the_file_and_its_folder_are_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "audit.jsonl"
    with opened(path) as (file, _):
        file.write("{}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.touch(mode=0o644)
    with opened(path) as (file, _):
        file.write("{}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for text in ("one", "two"):
        with opened(path) as (file, _):
            file.write(text)
    assert path.read_text() == "one\ntwo\n"


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    (tmp_path / "audit.jsonl").symlink_to(victim)
    with opened(tmp_path / "audit.jsonl") as (file, told):
        file.write("{}")
        wait_until(lambda: told)
    assert victim.read_bytes() == b""


def test_the_log_is_rotated_by_size_and_keeps_no_more_than_so_many_files(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with opened(path, limit_bytes=100) as (file, told):
        for number in range(200):
            file.write(f"{number:049d}")
    assert told == []
    assert sorted(tmp_path.iterdir()) == sorted(rotated(path)) and len(rotated(path)) == FILES_KEPT + 1
    lines = [line for part in rotated(path) for line in part.read_text().splitlines()]
    assert lines == [f"{number:049d}" for number in range(200 - len(lines), 200)]
    assert all(part.stat().st_size <= 100 for part in rotated(path))


def test_two_servers_that_share_a_log_lose_nothing_when_one_rotates_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with opened(path, limit_bytes=1000) as (one, _), opened(path, limit_bytes=1000) as (two, _):
        for number in range(50):
            one.write(f"one {number:03d}")
            two.write(f"two {number:03d}")
    lines = sorted(line for part in rotated(path) if part.exists() for line in part.read_text().splitlines())
    assert lines == [f"{name} {number:03d}" for name in ("one", "two") for number in range(50)]


def test_a_full_disk_is_said_once_and_costs_nobody_anything(tmp_path: Path) -> None:
    with opened(Path("/dev/full")) as (file, told):
        for _ in range(100):
            file.write("{}")
        wait_until(lambda: file.lost_count == 100)
    assert file.trouble == "No space left on device"
    (sentence,) = told
    assert sentence == "the audit log /dev/full cannot be written: No space left on device. The server goes on without"


def test_when_it_works_again_that_is_said_with_what_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scenario_execution_server.audit_file._AGAIN_AFTER_S", 0.0)
    path = tmp_path / "not-yet-a-folder" / "audit.jsonl"
    path.parent.touch()
    with opened(path) as (file, told):
        file.write("lost")
        wait_until(lambda: told)
        path.parent.unlink()
        file.write("kept")
        wait_until(lambda: len(told) == 2)
    assert told[1] == f"the audit log {path} is written again; 1 entries were lost"
    assert path.read_text() == "kept\n"


def test_nobody_waits_for_the_disk(tmp_path: Path) -> None:
    fifo = tmp_path / "audit.jsonl"
    os.mkfifo(fifo)  # nobody reads it
    with opened(fifo) as (file, told):
        for _ in range(20_000):
            file.write("{}")
        wait_until(lambda: told)
    assert file.trouble
