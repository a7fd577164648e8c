# SPDX-License-Identifier: Apache-2.0
"""A connection to a server as a socket with its monitor: how both are set, and what the monitor's events mean."""

from __future__ import annotations

import contextlib
import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import zmq

from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_remote.addresses import Address
from scenario_execution_remote.diagnosis import Attempt, Outcome, Parties
from scenario_execution_remote.errors import OwnKeyError

# The largest message accepted. libzmq's default is no limit, and then a peer that never authenticates can make this
# process hold what it announces (390 MiB were measured). Large values and files travel in pieces below this.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

HANDSHAKE_LIMIT_S = (
    3.0  # CURVE takes four round trips; this leaves 0.7 s for each, and is below the default set-up time
)
HEARTBEATS_PER_SILENCE = 5  # one lost ping must not take the link down, and more often only costs radio time
RECONNECT_FIRST_S = 0.1  # a server that was restarted is back within a tick or two
RECONNECT_LAST_S = 2.0  # hundreds of clients that wait for one server must not hold it up when it comes back
KEEPALIVE_IDLE_S = 30  # below the shortest idle time-outs of stateful firewalls (60 s), should heartbeats be off

_HEARTBEAT_LIMIT_S = 60.0  # libzmq keeps the time to live in tenths of a second in 16 bits, given as 16 bits of ms
_EVENT = struct.Struct("=Hi")  # what libzmq writes into the first frame of a monitor message: event and value
_EVENTS = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_CONNECT_RETRIED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
EPIPE = 32  # libzmq's value beside HANDSHAKE_FAILED_NO_DETAIL if the peer closed; anything else is a time-out


class LinkChange(enum.Enum):
    """What can happen to a connection that once stood. libzmq reconnects by itself except after REFUSED."""

    UP = "up"  # handshake done again: a new connection to the server, ask it to resume
    DOWN = "down"  # the connection broke; libzmq tries again
    UNREACHABLE = "unreachable"  # one attempt to reconnect found nobody there
    UNCONVINCED = "unconvinced"  # one attempt found somebody who did not finish the handshake
    REFUSED = "refused"  # one attempt found somebody who will not have us: there is no other


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEvent:
    """One change of the connection.

    Attributes:
        change: What happened.
        attempt: For UNCONVINCED and REFUSED what was seen of the attempt that failed, else None.
    """

    change: LinkChange
    attempt: Attempt | None = None


class Connection:
    """A connection whose handshake has succeeded. Used and closed by the one thread that owns it.

    Attributes:
        parties: Who speaks to whom; with the key that the server had to prove at first.
        address: The address of the server that answered.
        socket: DEALER. IMMEDIATE is set: while the connection is down a send raises ``zmq.Again`` instead of queueing.
        monitor: PAIR that becomes readable when :meth:`events` has something.
        encrypted: Whether it speaks CURVE.
        server_key: The key that the server has proved, or has to prove when the connection is made again.
        next_key: Another one that it may prove instead when the connection is made again.
    """

    def __init__(
        self, parties: Parties, address: Address, socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes]
    ) -> None:
        self.parties: Parties = parties
        self.address: Address = address
        self.socket: zmq.Socket[bytes] = socket
        self.monitor: zmq.Socket[bytes] = monitor
        self.encrypted: bool = parties.server_key is not None
        self.server_key: PublicKey | None = parties.server_key
        self.next_key: PublicKey | None = None
        self._is_up = True
        self._failed_handshake = False

    def events(self) -> list[LinkEvent]:
        """What has happened since the last call, oldest first; never waits. Empty after :meth:`close`."""
        changes = [self._understand(event, value) for event, value in read_monitor(self.monitor)]
        return [change for change in changes if change is not None]

    def _understand(self, event: int, value: int) -> LinkEvent | None:
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._is_up, self._failed_handshake = True, False
            return LinkEvent(change=LinkChange.UP)
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._failed_handshake = True
            if value == EPIPE and self.next_key is not None:
                self._try_the_other_key(self.next_key)
            outcome = Outcome.BROKEN_OFF if value == EPIPE else Outcome.STALLED
            return LinkEvent(change=LinkChange.UNCONVINCED, attempt=Attempt(outcome=outcome))
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            self._failed_handshake = True
            return LinkEvent(change=LinkChange.REFUSED, attempt=Attempt(outcome=Outcome.DENIED, status=value))
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self._failed_handshake = True
            return LinkEvent(change=LinkChange.REFUSED, attempt=Attempt(outcome=Outcome.MISMATCH))
        if event == zmq.EVENT_DISCONNECTED:
            had_failed, self._failed_handshake = self._failed_handshake, False
            if had_failed:
                return None  # told already
            self._is_up = False
            return LinkEvent(change=LinkChange.DOWN)
        if event == zmq.EVENT_CLOSED and not self._is_up:
            return LinkEvent(change=LinkChange.UNREACHABLE)
        return None

    def _try_the_other_key(self, key: PublicKey) -> None:
        """The server may have exchanged its key meanwhile, or not yet: connect anew, expecting the other one."""
        self.server_key, self.next_key = key, self.server_key
        self.socket.disconnect(self.address.zmq_text)
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, key.z85.encode("ascii"))  # acts on later connects only
        self.socket.connect(self.address.zmq_text)

    def close(self, *, linger_s: float = 0.0) -> None:
        """Close monitor and socket; idempotent. What was sent gets *linger_s* seconds to leave, in the background."""
        close_sockets(self.socket, self.monitor, linger_s)


def open_sockets(
    parties: Parties,
    own: KeyPair | None,
    address: Address,
    context: zmq.Context[zmq.Socket[bytes]],
    silence_s: float,
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    socket = context.socket(zmq.DEALER)
    monitor: zmq.Socket[bytes] | None = None
    try:
        # Options act on later connects only, so all of them come first, and the monitor as well: no event is missed.
        socket.setsockopt(
            zmq.LINGER, 0
        )  # what must arrive is confirmed by the server; nothing else may hold up the end
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _ms(HANDSHAKE_LIMIT_S))
        silence_ms = _ms(min(silence_s, _HEARTBEAT_LIMIT_S))
        socket.setsockopt(zmq.HEARTBEAT_IVL, max(1, silence_ms // HEARTBEATS_PER_SILENCE))
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, silence_ms)
        socket.setsockopt(zmq.HEARTBEAT_TTL, silence_ms)  # the server may forget this connection after the same time
        socket.setsockopt(zmq.RECONNECT_IVL, _ms(RECONNECT_FIRST_S))
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _ms(RECONNECT_LAST_S))
        socket.setsockopt(zmq.IMMEDIATE, 1)  # else messages queue up for a peer that never admits us, and are lost
        if not parties.endpoint.is_unix:
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
            socket.setsockopt(zmq.IPV6, 1 if "[" in address.zmq_text else 0)  # on IPv4, the server would see ::ffff:...
        if own is not None and parties.server_key is not None:
            socket.setsockopt(zmq.CURVE_SERVERKEY, parties.server_key.z85.encode("ascii"))
            socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public.z85.encode("ascii"))
            socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.reveal_z85().encode("ascii"))
            if socket.getsockopt(zmq.MECHANISM) != zmq.CURVE:
                raise OwnKeyError(
                    parties.endpoint.text,
                    "this client's ZeroMQ library does not encrypt",
                    advice="install one that does",
                    next_command="python -m pip install --upgrade pyzmq",
                )
        monitor = socket.get_monitor_socket(_EVENTS)
        monitor.setsockopt(zmq.LINGER, 0)
        socket.connect(address.zmq_text)
    except BaseException:
        close_sockets(socket, monitor, 0.0)
        raise
    return socket, monitor


def close_sockets(socket: zmq.Socket[bytes], monitor: zmq.Socket[bytes] | None, linger_s: float) -> None:
    if socket.closed:
        return
    with contextlib.suppress(zmq.ContextTerminated):  # then there is nothing left that could write to the monitor
        socket.disable_monitor()  # first: libzmq writes to the monitor from another thread
    if monitor is not None:
        monitor.close()
    socket.close(linger=_ms(linger_s))


def read_monitor(monitor: zmq.Socket[bytes]) -> Iterator[tuple[int, int]]:
    """The events that are there, as event and value, without waiting."""
    while not monitor.closed:
        try:
            frames = monitor.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        event, value = _EVENT.unpack(frames[0])
        yield event, value


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
