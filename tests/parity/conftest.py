# SPDX-License-Identifier: Apache-2.0
"""The runs of the parity suite: servers for all of it, and runs that are started ahead of the tests that look at
them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parity.arena import Outcomes, arena
from tests.parity.row import Row


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """The outcomes of all rows that have been selected."""
    wanted: list[tuple[Row, str]] = []
    for item in request.session.items:
        values = getattr(getattr(item, "callspec", None), "params", {})
        if isinstance(values.get("row"), Row) and "way" in values:
            wanted += [(values["row"], way) for way in ("local", values["way"])]
    with arena(tmp_path_factory.mktemp("parity")) as place:
        results = Outcomes(place, wanted)
        try:
            yield results
        finally:
            results.close()
