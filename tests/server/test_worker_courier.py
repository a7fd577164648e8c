# SPDX-License-Identifier: Apache-2.0
"""What lies in an output folder may make way for the client's only if the client has it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_remote.files.quota import Quota
from scenario_execution_remote.files.sending import Piece, cost_of
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.conversation import ConversationOver
from scenario_execution_server.worker.courier import Courier
from tests.support.waiting import wait_until


class Client:
    """Takes what is sent when the test says so."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.sent: list[Piece] = []
        self.takers: dict[type, Callable[[Any], None]] = {}
        self.is_over = False

    def divert(self, takers: dict[type, Callable[[Any], None]]) -> None:
        self.takers.update(takers)

    def say(self, message: Any) -> None:
        self.said.append(message)

    def say_pieces(self, pieces: list[Piece]) -> None:
        self.sent += pieces

    def wait_for(self, condition: Callable[[], bool], _timeout_s: float | None = None) -> bool:
        wait_until(lambda: condition() or self.is_over)
        if self.is_over:
            raise ConversationOver
        return True

    def pause(self, _seconds: float) -> None:
        pass

    def takes(self) -> None:
        """Deals with all that was sent."""
        pieces, self.sent = self.sent, []
        self.takers[messages.Taken](messages.Taken(cost=sum(cost_of(piece) for piece in pieces)))

    def declines(self) -> None:
        """Cannot put down what was sent."""
        self.takers[messages.Declined](messages.Declined(number=self.sent[0].number))
        self.takes()


class Sending:
    """An output folder and its courier."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.client = Client()
        self.quota = Quota()
        self.courier = Courier(self.client, self.quota)  # type: ignore[arg-type]
        self.courier.watch(1, path)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        os.utime(self.path / name, (1, 1))  # long ago: what it is does not have to be read again

    def collect(self) -> None:
        self.courier.collect()
        self.courier.wait_until_done()

    def may_replace(self, name: str) -> bool:
        return self.courier.may_replace(self.path, name)


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[Sending]:
    sending = Sending(tmp_path)
    yield sending
    sending.client.is_over = True


def test_what_is_on_its_way_to_the_client_does_not_make_way_before_it_is_there(sending: Sending) -> None:
    sending.write("x", "x")
    assert not sending.may_replace("x")
    sending.collect()
    assert not sending.may_replace("x")
    sending.client.takes()
    assert sending.may_replace("x")


def test_what_the_client_could_not_put_down_does_not_make_way(sending: Sending) -> None:
    sending.write("x", "x")
    sending.collect()
    sending.client.declines()
    assert not sending.may_replace("x")


def test_what_was_more_than_may_be_sent_does_not_make_way(sending: Sending) -> None:
    sending.quota.limit(total_bytes=1, count=None, rate_bytes_s=None)
    sending.write("x", "more than a byte")
    sending.collect()
    sending.client.takes()
    assert not sending.may_replace("x")


def test_what_has_changed_again_does_not_make_way_before_the_client_has_that_too(sending: Sending) -> None:
    for text in ("x", "another"):
        sending.write("x", text)
        assert not sending.may_replace("x")
        sending.collect()
        assert not sending.may_replace("x")
        sending.client.takes()
        assert sending.may_replace("x")


def test_what_looks_new_and_is_what_the_client_has_makes_way(sending: Sending) -> None:
    (sending.path / "x").write_text("x")  # so shortly before the look that it is looked at again
    sending.collect()
    sending.client.takes()
    sending.collect()
    assert [piece.kind for piece in sending.client.sent if isinstance(piece, messages.Artifact)] in ([], ["nothing"])
    assert sending.may_replace("x")


def test_what_the_client_has_put_there_makes_way(sending: Sending) -> None:
    sending.write("x", "x")
    sending.courier.note(sending.path, "x", b"")
    assert sending.may_replace("x")
