# SPDX-License-Identifier: Apache-2.0
"""Every call is answered, with an error if the answer itself cannot travel."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import BODY_LIMIT_BYTES
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.main import answer

TOO_MUCH = "x" * (BODY_LIMIT_BYTES + 1)
LARGE = messages.Result(
    call=7, status="SUCCESS", stopped=True, feedback="", fault=None, value=[TOO_MUCH], nodes=[]
)  # fmt: skip


class Channel:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, *payload: bytes | memoryview) -> None:
        self.sent += wire.decode(b"".join(payload), wire.FROM_WORKER)

    def receive(self) -> bytes | None:
        return None

    def wait(self, timeout_s: float) -> bool:
        return True


@pytest.mark.parametrize("large", [LARGE, messages.Ticked(call=7, running=3, result=LARGE)], ids=["one", "wave"])
def test_a_result_that_is_too_large_to_travel_is_answered_with_the_reason(large: Any) -> None:
    channel = Channel()
    answer(Conversation(channel), large)
    (said,) = channel.sent
    result = said.result if isinstance(said, messages.Ticked) else said
    assert said.call == 7
    assert result.fault is not None
    assert str(BODY_LIMIT_BYTES) in result.fault.text
