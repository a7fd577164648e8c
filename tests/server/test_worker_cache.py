# SPDX-License-Identifier: Apache-2.0
"""What clients have sent stays for their next sessions, apart from each other and within limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.cache import Cache, Kept, to_remove

DAY_S = 86_400.0


def terms(
    limit_bytes: int = 1 << 30, age_s: float = 30 * DAY_S, stored_bytes: int | None = None
) -> messages.FileTerms:
    return messages.FileTerms(
        client="a", session="s", folder="", keep_s=60.0, may_put=True, total_bytes=None, count=None,
        rate_bytes_s=None, stored_bytes=stored_bytes, mend="", cache_limit_bytes=limit_bytes, cache_age_s=age_s,
    )  # fmt: skip


def kept(name: str, used_s: float, size_bytes: int = 10) -> Kept:
    return Kept(path=Path(name), used_s=used_s, size_bytes=size_bytes)


def put(folder: Path, name: str, used_s: float, size_bytes: int = 8192) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(os.urandom(size_bytes))
    os.utime(path, (used_s, used_s))
    return path


def test_what_nobody_has_used_for_so_long_goes() -> None:
    found = [kept("old", 0.0), kept("new", 2 * DAY_S)]
    assert [one.path.name for one in to_remove(found, 2.5 * DAY_S, DAY_S, 1000)] == ["old"]


def test_what_was_not_used_for_the_longest_goes_until_the_rest_is_within_the_limit() -> None:
    found = [kept("a", 3.0), kept("b", 1.0), kept("c", 2.0)]
    assert [one.path.name for one in to_remove(found, 4.0, DAY_S, 10)] == ["b", "c"]


def test_what_came_in_half_goes_after_an_hour() -> None:
    found = [kept(".scenario-remote-1", 0.0), kept(".scenario-remote-2", 7000.0), kept("whole", 0.0)]
    assert [one.path.name for one in to_remove(found, 7200.0, DAY_S, 1000)] == [".scenario-remote-1"]


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
