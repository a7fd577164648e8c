# SPDX-License-Identifier: Apache-2.0
"""Whose word a payload is, and that a client cannot speak in the front's name."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.origin import Origin, taken_apart
from scenario_execution_server.worker.permission import NOTHING, NotPermittedError, check_permitted

PERMIT = messages.Permit(client="alice", actions=["*"], mend="")
END = messages.EndSession(reason="bye")
CALL = messages.EndScenario(call=1, scenario=1)


class Script:
    """A channel with these payloads in it, and then its end."""

    def __init__(self, *payloads: bytes) -> None:
        self.payloads = list(payloads)
        self.said: list[Any] = []

    def send(self, *payload: bytes | memoryview) -> None:
        self.said += wire.decode(b"".join(payload), wire.FROM_WORKER)

    def receive(self) -> bytes | None:
        return self.payloads.pop(0) if self.payloads else None

    def wait(self, _timeout_s: float) -> bool:
        return True


@pytest.mark.parametrize("message", [PERMIT, END], ids=["permit", "end"])
def test_what_the_front_alone_may_say_is_not_understood_from_a_client(message: Any) -> None:
    forged = Origin.CLIENT.value + wire.encode(message)
    channel = Script(forged, Origin.CLIENT.value + wire.encode(CALL))
    assert Conversation(channel).next_call() == CALL
    (complaint,) = channel.said
    assert "does not belong here" in complaint.text


@pytest.mark.parametrize("message", [PERMIT, END], ids=["permit", "end"])
def test_the_front_is_understood(message: Any) -> None:
    assert Conversation(Script(Origin.FRONT.value + wire.encode(message))).next_call() == message


def test_a_body_that_begins_with_the_mark_of_the_front_is_still_the_clients() -> None:
    accepted, body = taken_apart(Origin.CLIENT.value + Origin.FRONT.value + wire.encode(PERMIT))
    assert accepted == wire.FROM_CLIENT
    with pytest.raises(wire.WireError):
        wire.decode(body, accepted)


@pytest.mark.parametrize("payload", [b"", b"X", wire.encode(END)], ids=["empty", "unknown", "unmarked"])
def test_a_payload_without_an_origin_is_nobodys(payload: bytes) -> None:
    with pytest.raises(ValueError, match="Origin"):
        taken_apart(payload)


def test_before_the_front_has_said_anything_nothing_is_permitted() -> None:
    with pytest.raises(NotPermittedError):
        check_permitted("log", NOTHING)


def test_a_refusal_names_action_client_and_command() -> None:
    permit = messages.Permit(client="alice", actions=["log"], mend="se-server permit alice --allow log --allow")
    check_permitted("log", permit)
    with pytest.raises(NotPermittedError) as caught:
        check_permitted("rm -rf", permit)
    assert str(caught.value) == (
        "the client alice may not run the action 'rm -rf' on this server. "
        "Ask its operator to run: se-server permit alice --allow log --allow 'rm -rf'"
    )
