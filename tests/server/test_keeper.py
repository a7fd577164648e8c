# SPDX-License-Identifier: Apache-2.0
"""Looking after kept results goes on whatever goes wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scenario_execution_server.keeper import Keeper
from scenario_execution_server.retention import Retention
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
