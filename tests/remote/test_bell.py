# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from scenario_execution_remote.bell import Bell


@pytest.fixture
def bell() -> Iterator[Bell]:
    bell = Bell()
    yield bell
    bell.close()


def rings(bell: Bell) -> bool:
    return bool(select.select([bell], [], [], 0.0)[0])


def test_it_rings_until_it_is_silenced(bell: Bell) -> None:
    assert not rings(bell)
    for _ in range(3):
        bell.ring()
    assert rings(bell)
    bell.silence()
    assert not rings(bell)


def test_silence_where_nothing_rings_is_no_error(bell: Bell) -> None:
    bell.silence()
    assert not rings(bell)


def test_it_never_holds_up_who_rings_however_often(bell: Bell) -> None:
    for _ in range(10_000):
        bell.ring()
    assert rings(bell)


def test_ringing_where_nobody_listens_any_more_is_no_error(bell: Bell) -> None:
    bell.close()
    bell.ring()
