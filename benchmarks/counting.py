# SPDX-License-Identifier: Apache-2.0
"""Counts the frames that the sessions of this process send and receive: numbers that no machine changes."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scenario_execution_remote.protocol.client import ClientSession
from scenario_execution_remote.protocol.frames import Kind

_KIND_AT = 3  # in a frame: behind two bytes of magic and one of version


@dataclass
class Counts:
    """What has passed so far: DATA frames, and beats by themselves, which go out by time and not for a tick.

    Attributes:
        sent: Frames from this side.
        received: Frames from servers.
        sent_bytes: With their headers, without encryption.
        received_bytes: Likewise.
        beats: Received beats.
    """

    sent: int = 0
    received: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    beats: int = 0

    def since(self, before: Counts) -> Counts:
        """What has passed since *before*, a :meth:`copy`."""
        return Counts(
            self.sent - before.sent, self.received - before.received,
            self.sent_bytes - before.sent_bytes, self.received_bytes - before.received_bytes,
            self.beats - before.beats,
        )  # fmt: skip

    def copy(self) -> Counts:
        """As it is now."""
        return replace(self)

    def note_sent(self, frame: bytes) -> None:
        if frame[_KIND_AT] == Kind.DATA:
            self.sent += 1
            self.sent_bytes += len(frame)

    def note_received(self, frame: bytes | memoryview) -> None:
        if frame[_KIND_AT] == Kind.DATA:
            self.received += 1
            self.received_bytes += len(frame)
        elif frame[_KIND_AT] == Kind.BEAT:
            self.beats += 1


class _Outgoing(deque):  # type: ignore[type-arg]
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts

    def append(self, frame: bytes) -> None:
        self._counts.note_sent(frame)
        super().append(frame)


@contextlib.contextmanager
def counting() -> Iterator[Counts]:
    """Count for the length of a block; only sessions that begin in it are counted."""
    counts = Counts()
    original_init = ClientSession.__init__
    original_receive, original_take_next = ClientSession.receive, ClientSession.take_next

    def init(self: ClientSession, *arguments: Any, **named: Any) -> None:
        original_init(self, *arguments, **named)
        self.outgoing = _Outgoing(counts)

    def receive(self: ClientSession, data: bytes | memoryview, now_s: float) -> Any:
        counts.note_received(data)
        return original_receive(self, data, now_s)

    def take_next(self: ClientSession, data: bytes | memoryview, now_s: float) -> memoryview | None:
        body = original_take_next(self, data, now_s)
        if body is not None:  # else `receive` gets it
            counts.note_received(data)
        return body

    ClientSession.__init__ = init  # type: ignore[method-assign]
    ClientSession.take_next = take_next  # type: ignore[method-assign]
    ClientSession.receive = receive  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        ClientSession.__init__ = original_init  # type: ignore[method-assign]
        ClientSession.take_next = original_take_next  # type: ignore[method-assign]
        ClientSession.receive = original_receive  # type: ignore[method-assign]
