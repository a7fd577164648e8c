# SPDX-License-Identifier: Apache-2.0
"""Who waits for a slow transfer hears that it is none that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.carrying import STALLED_S
from scenario_execution_remote.inquiry import SETUP_TIMEOUT_S
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.pauses import audible_pause


class _Conversation:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def pause(self, seconds: float) -> None:
        self.events.append(seconds)

    def say(self, message: Any) -> None:
        self.events.append(message)


@pytest.mark.parametrize("seconds", [0.5, 12.0, 65.0])
def test_a_pause_is_as_long_as_it_was_to_be_and_never_silent_for_as_long_as_a_client_waits(seconds: float) -> None:
    conversation = _Conversation()
    audible_pause(conversation)(seconds)  # type: ignore[arg-type]
    silent = [event for event in conversation.events if not isinstance(event, messages.Alive)]
    assert sum(silent) == seconds and max(silent) < min(STALLED_S, SETUP_TIMEOUT_S) / 2
    assert len(conversation.events) == 2 * len(silent) - 1
