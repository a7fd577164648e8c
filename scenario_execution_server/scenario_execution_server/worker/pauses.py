# SPDX-License-Identifier: Apache-2.0
"""Pauses that a limited rate asks for, during which the client hears that this is no standstill."""

from __future__ import annotations

from collections.abc import Callable

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.conversation import Conversation

# A set-up gives up after setup_timeout without a word, 5 s if nobody says otherwise, and `se-remote` after 30 s.
_SAID_EVERY_S = 1.0


def audible_pause(conversation: Conversation) -> Callable[[float], None]:
    """A function that lets so many seconds pass, from any thread; raises ConversationOver when the front hangs up."""

    def pause(seconds: float) -> None:
        while seconds > _SAID_EVERY_S:
            conversation.pause(_SAID_EVERY_S)
            conversation.say(messages.Alive())
            seconds -= _SAID_EVERY_S
        conversation.pause(seconds)

    return pause
