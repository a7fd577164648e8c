# SPDX-License-Identifier: Apache-2.0
"""What clients have sent stays for their next sessions, apart from each other and within limits."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.cache import Cache

DAY_S = 86_400.0


def terms(
    limit_bytes: int = 1 << 30, age_s: float = 30 * DAY_S, stored_bytes: int | None = None
) -> messages.FileTerms:
    return messages.FileTerms(
        client="a", session="s", folder="", keep_s=60.0, may_put=True, total_bytes=None, count=None,
        rate_bytes_s=None, stored_bytes=stored_bytes, mend="", own_limits="", put_mend="",
            cache_limit_bytes=limit_bytes, cache_age_s=age_s,
    )  # fmt: skip


def put(folder: Path, name: str, used_s: float, size_bytes: int = 8192) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(os.urandom(size_bytes))
    os.utime(path, (used_s, used_s))
    return path


def test_what_came_in_half_goes_after_an_hour(tmp_path: Path) -> None:
    now_s = time.time()
    half = put(tmp_path / "a" / "contents", ".scenario-remote-1", now_s - 7200.0)
    coming = put(tmp_path / "a" / "contents", ".scenario-remote-2", now_s - 60.0)
    whole = put(tmp_path / "a" / "contents", "whole", now_s - 7200.0)
    assert Cache(tmp_path, "a", terms(age_s=DAY_S)).has_room_for(1)
    assert (half.exists(), coming.exists(), whole.exists()) == (False, True, True)


def test_room_is_made_among_the_contents_of_all_clients(tmp_path: Path) -> None:
    old = put(tmp_path / "b" / "contents", "old", 1e9)
    new = put(tmp_path / "a" / "contents", "new", 2e9)
    other = put(tmp_path / "b" / "results", "untouched", 1.0)
    cache = Cache(tmp_path, "a", terms(limit_bytes=20_000, age_s=1e12))
    assert cache.has_room_for(7000)
    assert (old.exists(), new.exists(), other.exists()) == (False, True, True)


def test_what_would_take_most_of_the_room_is_not_kept(tmp_path: Path) -> None:
    assert not Cache(tmp_path, "a", terms(limit_bytes=1000)).has_room_for(900)


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_its_folder_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        cache = Cache(tmp_path / "clients", "a", terms())
        assert cache.has_room_for(1)
    finally:
        os.umask(before)
    for path in (cache.path, cache.path.parent, cache.path.parent.parent):
        assert path.stat().st_mode & 0o777 == 0o700


def test_what_one_client_may_have_makes_room_among_its_own_contents_alone(tmp_path: Path) -> None:
    others = put(tmp_path / "b" / "contents", "others", 1e9)
    own = put(tmp_path / "a" / "contents", "own", 2e9)
    assert Cache(tmp_path, "a", terms(age_s=1e12, stored_bytes=10_000)).has_room_for(7000)
    assert (others.exists(), own.exists()) == (True, False)


def test_a_size_below_nothing_makes_no_room(tmp_path: Path) -> None:
    assert not Cache(tmp_path, "a", terms()).has_room_for(-1)


def test_what_the_client_has_put_there_or_lost_leaves_the_less_for_what_may_be_had_again(tmp_path: Path) -> None:
    put(tmp_path / "a" / "files", "map", 1e9, 6000)
    put(tmp_path / "a" / "results" / "1", "x", 1e9, 10_000)
    old = put(tmp_path / "a" / "contents", "old", 1e9, 20_000)
    cache = Cache(tmp_path, "a", terms(age_s=1e12, stored_bytes=40_000))
    assert not cache.has_room_for(17_000)  # of 40,000 are left 19,904, with a folder, and four fifths of it are filled
    assert cache.has_room_for(15_000) and not old.exists()
