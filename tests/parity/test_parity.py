# SPDX-License-Identifier: Apache-2.0
"""Every row of the table: run by the engine's own command line with its actions here, and with its actions on a
server."""

from __future__ import annotations

import pytest

from tests.parity.arena import WAYS, Outcomes
from tests.parity.comparison import complaints
from tests.parity.row import Row
from tests.parity.table import ROWS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_remote_run_is_like_the_local_one(row: Row, way: str, outcomes: Outcomes) -> None:
    local, remote = outcomes.of(row, "local"), outcomes.of(row, way)
    found = complaints(row, local, remote)
    assert not found, "\n".join((row.name, *found, "=== local", local.raw, f"=== {way}", remote.raw))
