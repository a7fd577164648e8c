# SPDX-License-Identifier: Apache-2.0
"""One connection to one server: connect, authenticate, and say in words why not."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from .endpoint import Endpoint
from .errors import HandshakeError

if TYPE_CHECKING:
    from scenario_execution_keys.keypair import KeyPair, PublicKey


class LinkChange(enum.Enum):
    """What can happen to a connection that once stood. libzmq reconnects by itself except after REFUSED."""

    UP = "up"  # handshake done (again): a new connection to the server, ask it to resume
    DOWN = "down"  # the connection broke; libzmq tries again
    UNREACHABLE = "unreachable"  # one attempt to reconnect found nobody there
    UNCONVINCED = "unconvinced"  # one attempt found somebody who did not finish the handshake
    REFUSED = "refused"  # the server does not admit us any more; libzmq will not try again


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent:
    """One change of the connection.

    Attributes:
        change: What happened.
        text: The same for the log.
        error: For REFUSED the error to fail with, else None.
    """

    change: LinkChange
    text: str
    error: HandshakeError | None = None


class Connection:
    """A connection whose handshake has succeeded. Used and closed by the one thread that owns it.

    Attributes:
        endpoint: The server.
        socket: DEALER. IMMEDIATE is set: while the connection is down a send raises ``zmq.Again`` instead of queueing.
        monitor: PAIR that becomes readable when :meth:`events` has something.
        encrypted: Whether it speaks CURVE.
    """

    endpoint: Endpoint
    socket: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]
    encrypted: bool

    def events(self) -> list[LinkEvent]:
        """What has happened since the last call, oldest first; never waits."""
        raise NotImplementedError

    def close(self, *, linger_s: float = 0.0) -> None:
        """Close monitor and socket; idempotent. What was sent gets *linger_s* seconds to leave, in the background."""
        raise NotImplementedError


def connect(
    endpoint: Endpoint,
    *,
    own: KeyPair | None,
    server_key: PublicKey | None,
    deadline_s: float,
    context: zmq.Context[zmq.Socket[bytes]],
    silence_s: float = 5.0,
    abort_fd: int | None = None,
) -> Connection:
    """Connect, and return when the handshake has succeeded.

    Args:
        endpoint: The server.
        own: Our key pair; needed if *server_key* is given.
        server_key: The server's public key; CURVE if given, no encryption if None. There is no downgrade.
        deadline_s: When to give up, as a value of ``time.monotonic()``, not a duration.
        context: The context the socket is made in.
        silence_s: Silence after which ZMTP heartbeats take the connection down (and libzmq reconnects), in seconds.
        abort_fd: A descriptor that becomes readable if the caller wants this to stop; it is not read.

    Raises:
        HandshakeError: one of its children, named for what is true. Definite refusals come at once, "nobody there" when
            the deadline is reached.
    """
    raise NotImplementedError
