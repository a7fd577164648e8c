# SPDX-License-Identifier: Apache-2.0
"""Looking after kept results goes on whatever goes wrong with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_server import keeper as keeper_module
from scenario_execution_server.keeper import Keeper
from scenario_execution_server.retention import Retention
from scenario_execution_server.storage import Storage
from tests.support.waiting import wait_until


class _Storage:
    """One that fails in another way at each look."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    def rescue(self) -> list[str]:
        if self._failures:
            raise self._failures.pop(0)
        return []

    def results(self) -> Iterator[Path]:
        return iter(())


def test_the_keeper_says_what_went_wrong_and_looks_again() -> None:
    storage: Any = _Storage(OSError("a disk"), RecursionError("too deep"))
    keeper = Keeper(storage, Retention(keep_s=1.0, limit_bytes=1))
    told: list[str] = []

    def has_told(count: int) -> bool:
        told.extend(news.why for news in keeper.news())
        keeper.look()
        return len(told) >= count

    wait_until(lambda: has_told(2))
    keeper.close()
    assert told == ["a disk", "too deep"]


def _results(storage: Storage, owner: str, about: str) -> Path:
    """Results of an owner about which this is said."""
    place = storage.folder_of(owner) / "results" / "one"
    place.mkdir(parents=True)
    (place / "about.json").write_text(about)
    (place / "x").write_bytes(bytes(100_000))
    return place


@pytest.mark.parametrize(
    "about",
    [
        "", "[", "[" * 60_000, "[]", "9" * 5000, "{}", '{"over": ' + "[" * 900 + "]" * 900 + "}",
        '{"client": "\\ud800", "session": {}, "over": "0001-01-01T00:00:00+23:59", "limit_bytes": -1}',
        '{"limit_bytes": -1}', '{"limit_bytes": true}', '{"limit_bytes": 1e999}',
    ],
)  # fmt: skip
def test_whatever_an_action_has_written_beside_its_results_those_of_others_are_found_and_expire(
    about: str, tmp_path: Path
) -> None:
    storage = Storage(tmp_path / "files")
    _results(storage, "evil", about)
    good = _results(storage, "good", json.dumps({"client": "good", "over": "2020-01-01T00:00:00+00:00"}))
    now_s = [1577836800.0]  # as it was over
    keeper = Keeper(storage, Retention(keep_s=3600.0, limit_bytes=10**9), lambda: now_s[0])
    wait_until(lambda: good in {kept.path for kept, _ in keeper.kept()})
    now_s[0] += 3600.0
    keeper.look()
    wait_until(lambda: not good.exists())
    keeper.close()
    assert {news.why for news in keeper.news() if news.what != "found"} == {"expired"}
    storage.close()


def test_of_results_the_servers_word_counts_and_not_what_lies_beside_them(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "files")
    place = _results(storage, "evil", json.dumps({"limit_bytes": 10**12}))
    keeper = Keeper(storage, Retention(keep_s=1e12, limit_bytes=10**9))
    keeper.allow("evil", 50_000)
    keeper.look()
    wait_until(lambda: not place.exists())
    keeper.close()
    assert [news.why for news in keeper.news() if news.what == "removed"] == ["stored"]
    storage.close()


def test_results_that_say_they_are_from_the_future_expire_as_others_do(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "files")
    place = _results(storage, "evil", json.dumps({"over": "9999-01-01T00:00:00+00:00"}))
    now_s = [1e9]
    keeper = Keeper(storage, Retention(keep_s=3600.0, limit_bytes=10**9), lambda: now_s[0])
    wait_until(lambda: [until_s for _, until_s in keeper.kept()] == [1e9 + 3600.0])
    now_s[0] += 3600.0
    keeper.look()
    wait_until(lambda: not place.exists())
    keeper.close()
    storage.close()


def test_a_disk_that_hangs_keeps_the_keeper_from_nothing_but_its_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    is_looking, has_answered = threading.Event(), threading.Event()

    class Hanging(_Storage):
        def rescue(self) -> list[str]:
            is_looking.set()
            has_answered.wait(30)
            return []

    monkeypatch.setattr(keeper_module, "_LAST_LOOK_S", 0.05)
    storage: Any = Hanging()
    keeper = Keeper(storage, Retention(keep_s=1.0, limit_bytes=1))
    assert is_looking.wait(30)
    keeper.close()
    assert not has_answered.is_set() and keeper._thread.is_alive()
    has_answered.set()
    keeper._thread.join(30)
