# SPDX-License-Identifier: Apache-2.0
"""What a server says about its actions is checked before anybody believes it."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.errors import RemoteProtocolError
from scenario_execution_remote.offered import offered_by
from scenario_execution_remote.protocol.messages import Actions, Alive

GOOD = ["log", "m:C", "dist", "1.0", ["a"], None, ""]


def answer(*offered: Any) -> Actions:
    return Actions(call=1, utc_s=0.0, globs=["*"], offered=list(offered))


def test_a_good_answer_is_understood() -> None:
    (action,) = offered_by(answer(GOOD))
    assert (action.key, action.init_arguments, action.execute_arguments) == ("log", ("a",), None)
    assert action.as_json()["trouble"] is None


@pytest.mark.parametrize(
    "entry",
    [None, "log", [], GOOD[:-1], [*GOOD, 1], [1, *GOOD[1:]], [*GOOD[:4], "ab", None, ""], [*GOOD[:4], [1], None, ""]],
    ids=repr,
)
def test_anything_else_is_their_mistake(entry: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        offered_by(answer(GOOD, entry))


def test_another_message_is_their_mistake() -> None:
    with pytest.raises(RemoteProtocolError):
        offered_by(Alive())  # type: ignore[arg-type]
