# SPDX-License-Identifier: Apache-2.0
"""What client and front say to each other: a session, and what a connection may be for instead of one."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Open a session. ``versions`` maps distribution names (and ``python``) to versions, and ``messages`` to the digest
    of those known; ``silence_s`` is how long the client waits before it counts a silent server as lost."""

    program: str
    versions: dict[str, str]
    silence_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NextKey:
    """The public key, in Z85, that the server will have from ``from_utc_s`` on, in seconds since 1970."""

    key: str
    from_utc_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The session is open. ``versions``: as in :class:`Hello`; ``watchdog_s``: the server ends it after that much
    silence; ``shutdown_timeout_s``: how long its actions may take to stop at the end; ``next_key``: None if no other
    key is announced than the one it has."""

    program: str
    versions: dict[str, str]
    watchdog_s: float
    shutdown_timeout_s: float
    next_key: NextKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a :class:`Welcome` said of the server's next key is not so any more."""

    next_key: NextKey | None


class RefusalCode(str, enum.Enum):
    """Why a frame or a session was refused; stable names, safe to compare."""

    PROTOCOL = "protocol"
    VERSION = "version"
    LIMIT = "limit"
    NOT_AUTHORISED = "not-authorised"
    UNKNOWN_SESSION = "unknown-session"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No, and why: a :class:`RefusalCode` value for programs, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The session is over and nothing of it is left running.

    Attributes:
        reason: ``bye``, ``silent``, ``stopped``, ``revoked``, ``worker-lost`` or ``start-failed``.
        text: A sentence for people.
        is_home: Whether the client is known to have all results, so that none are left on the server.
    """

    reason: str
    text: str
    is_home: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol:
    """In place of a :class:`Hello`, from a client that came in with an invitation: enrol ``key``, a public key in Z85,
    and forget the invitation. From an enrolled client: admit me with ``key`` as well, and with nothing else once I have
    come in with it; its own key says that it has."""

    program: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """In place of a :class:`Welcome`: the key is enrolled as ``name``, and this connection is of no further use."""

    name: str
    next_key: NextKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """In place of a :class:`Hello`, from a client that is enrolled as an administrator: how is the server, and whose
    sessions run?"""

    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """In place of a :class:`Welcome`: the status, as the JSON that `se-server status` prints of one server."""

    status: str
