# SPDX-License-Identifier: Apache-2.0
"""The sessions a server has: whose they are, what they speak, and which of them has to end. No sockets, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.server import ServerSession

Parts = list[bytes]
"""The parts of one ZeroMQ message to a client, behind its routing id."""


class Dialect(Protocol):
    """How a session talks to its client: version 2 (:class:`NumberedDialect`) or version 1 (``legacy``)."""

    @property
    def is_full(self) -> bool:
        """Whether the worker has to be held back because the client does not keep up."""

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        """Whether nothing has come from the client for *limit_s* seconds."""

    def deliver(self, body: bytes | memoryview) -> list[Parts]:
        """What the client is to get for a body from the worker."""

    def farewell(self, reason: str, text: str, is_home: bool = False) -> list[Parts]:
        """What the client is to get when nothing of the session runs any more; see ``messages.Ended``."""

    def note(self, notice: messages.Notice) -> list[Parts]:
        """What the client is to get when the server announces another key, or none any more."""


class NumberedDialect(ServerSession):
    """Version 2: bodies pass through unread, numbered and kept until confirmed."""

    def __init__(self, session: bytes, now_s: float, welcome: messages.Welcome) -> None:
        super().__init__(session, now_s, wire.encode(welcome))

    def deliver(self, body: bytes | memoryview) -> list[Parts]:
        """See :class:`Dialect`."""
        frames = self.push(body)
        return [frames] if len(frames) == 1 else [[frame] for frame in frames]

    def farewell(self, reason: str, text: str, is_home: bool = False) -> list[Parts]:
        """See :class:`Dialect`."""
        ended = wire.encode(messages.Ended(reason=reason, text=text, is_home=is_home))
        return [[frame] for frame in self.finish(ended)]

    def note(self, notice: messages.Notice) -> list[Parts]:
        """See :class:`Dialect`."""
        return [[frame] for frame in self.announce(wire.encode(notice))]


Worker = TypeVar("Worker")
SessionKey = tuple[str, bytes]
"""(identity from the handshake, session id): a session id means nothing in the hands of another identity."""


@dataclass
class Session(Generic[Worker]):
    """One client's time on this server: one worker, one folder.

    Attributes:
        key: See :data:`SessionKey`.
        peer: Who the client is, from the handshake.
        route: Routing id of the client's current connection.
        door: The listener that connection came through.
        dialect: How it is spoken to.
        worker: Its worker as the front holds it.
        ending: Why it is ending, once it is: (reason, sentence).
        grace_s: How long its actions may take to stop, once it is ending.
        permit: What its worker was told last that the client may run.
        alias: Its name if the session id, which the client chose, cannot be its name; else empty.
    """

    key: SessionKey
    peer: Any
    route: bytes
    door: Any
    dialect: Any
    worker: Worker
    started_s: float
    ending: tuple[str, str] | None = None
    grace_s: float = 0.0
    permit: messages.Permit | None = None
    alias: str = ""

    @property
    def name(self) -> str:
        """For logs and the launcher: unique among all sessions, harmless in a path."""
        return self.alias or self.key[1].hex()


ENDED_COUNT = 1000  # sessions remembered after their end; a late HELLO follows within moments, not after so many others


@dataclass
class SessionTable(Generic[Worker]):
    """All sessions, by key and by worker name.

    Attributes:
        limit: How many there may be at once.
    """

    limit: int
    _by_key: dict[SessionKey, Session[Worker]] = field(default_factory=dict)
    _ended: dict[SessionKey, None] = field(default_factory=dict)  # the latest ones, oldest first

    def __iter__(self) -> Iterator[Session[Worker]]:
        return iter(list(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def is_full(self) -> bool:
        """Whether no further session can be opened now."""
        return len(self._by_key) >= self.limit

    def find(self, identity: str, session: bytes) -> Session[Worker] | None:
        """The session *session* of this identity, never that of another one."""
        return self._by_key.get((identity, session))

    def named(self, name: str) -> Session[Worker] | None:
        """The session the launcher knows under *name*."""
        return next((session for session in self._by_key.values() if session.name == name), None)

    def add(self, session: Session[Worker]) -> None:
        """Remember a new session."""
        self._by_key[session.key] = session

    def remove(self, session: Session[Worker]) -> None:
        """Forget a session whose worker is gone."""
        del self._by_key[session.key]
        self._ended[session.key] = None
        if len(self._ended) > ENDED_COUNT:
            del self._ended[next(iter(self._ended))]

    def has_ended(self, identity: str, session: bytes) -> bool:
        """Whether there was such a session: its HELLO, come late or repeated, must not open it a second time."""
        return (identity, session) in self._ended

    def of(self, identity: str) -> list[Session[Worker]]:
        """All sessions of one identity."""
        return [session for session in self._by_key.values() if session.key[0] == identity]

    def silent(self, now_s: float, limit_s: float) -> list[Session[Worker]]:
        """The sessions whose client has been silent too long and that are not ending yet."""
        return [s for s in self._by_key.values() if s.ending is None and s.dialect.is_silent(now_s, limit_s)]
