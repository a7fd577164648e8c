# SPDX-License-Identifier: Apache-2.0
"""Opens one door at a time: every option is set and read back before the socket is bound, or it is not bound at all."""

from __future__ import annotations

import errno
import ipaddress
import os
from dataclasses import dataclass, replace

import zmq

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_remote.protocol.frames import FRAME_LIMIT_BYTES
from scenario_execution_server.admission import ZAP_DOMAINS
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.config import ALL_INTERFACES, DoorKind, TcpDoor, UnixDoor
from scenario_execution_server.errors import GuardError, LibraryError, ListenError
from scenario_execution_server.socket_path import SocketPath

CURVE_BYTES = 33  # what CURVE adds to a message (command name, nonce, flags, authentication code); libzmq counts it
MAX_MESSAGE_BYTES = FRAME_LIMIT_BYTES + CURVE_BYTES  # without a limit one stranger made the server hold 390 MiB
HANDSHAKE_WITHIN_MS = 3000  # three round trips even over a satellite; half-open peers are gone soon
HEARTBEAT_EVERY_MS = 5000  # clears away connections whose other end vanished; whether a client lives says the watchdog
HEARTBEAT_WITHIN_MS = 15000  # a Wi-Fi roaming gap (5 s) and two lost rounds; 256 KiB at 150 kbit/s fit in
BACKLOG = 1000  # connections that wait for accept; the kernel cuts it to net.core.somaxconn
QUEUED_MESSAGES = 256  # for each peer, more than a scenario has under way in one tick
TAKEN_MESSAGES = 32  # from each peer ahead of their turn; the rest stays with who sends it, or 256 of 8 MiB lay here
LINGER_MS = 1000  # the last words ("ended") may still reach a client that listens; the server's end waits no longer
UNREAD_WITHIN_MS = 30_000  # a connection whose other end takes nothing in is cut, and what is queued for it freed
KEEPALIVE_IDLE_S = 60  # for peers whose libzmq is too old for ZMTP heartbeats (before 4.2)
MAX_SOCKETS = 64  # the server has under ten, however many peers there are: a leak shows early

LIBZMQ_FLOOR = (4, 3, 3)  # before it an unauthenticated peer can overrun memory (CVE-2020-15166 and older)
LIBZMQ_WISHED = (4, 3, 5)  # what everything here was measured with

_REPORT = "Nothing was served. This is a bug, please report it"

ZmqContext = zmq.Context[zmq.Socket[bytes]]
ZmqSocket = zmq.Socket[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """An open door.

    Attributes:
        socket: A ROUTER that never waits and never drops: sending to a peer that is gone raises EHOSTUNREACH, to one
            whose queue is full EAGAIN.
        kind: What may be believed about peers that come in here.
        endpoint: Where it is bound, as libzmq writes it.
        description: For the line that says where the server listens.
        exposed: Whether other machines reach it without encryption.
        path: The claim on the path of a unix socket.
    """

    socket: ZmqSocket
    kind: DoorKind
    endpoint: str
    description: str
    exposed: bool = False
    path: SocketPath | None = None

    @property
    def port(self) -> int | None:
        """The TCP port, as the operating system gave it; None for a unix socket."""
        return None if self.kind is DoorKind.UNIX else int(self.endpoint.rpartition(":")[2])

    def unbind(self) -> None:
        """Stop listening; whoever is connected is cut off, and may come back when it is bound again."""
        self.socket.unbind(self.endpoint)

    def rebind(self, server_pair: KeyPair) -> Listener | None:
        """Listen again where it did, after `unbind`, with another pair; None if the port is not free yet.

        Raises:
            ListenError: If the port cannot be had for another reason.
        """
        _guard_with_curve(self.socket, server_pair)  # it acts on later binds, of which this is one
        try:
            self.socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:  # libzmq closes in a thread of its own; or somebody has taken it
                return None
            what = f"{self.endpoint} cannot be listened on again: {error}"
            raise ListenError(what, "Start the server again", endpoint=self.endpoint) from error
        where = self.description.rpartition(" (")[0]
        return replace(self, description=_described(where, server_pair))

    def close(self) -> None:
        """Stop listening and give the path of a unix socket up. Repeating is harmless."""
        if not self.socket.closed:
            self.socket.close()
        if self.path is not None:
            self.path.release()


def check_library(version: tuple[int, ...] | None = None, has_curve: bool | None = None) -> str | None:
    """A warning about the libzmq in use, None if there is nothing to say.

    Args:
        version: Instead of the installed one, for tests.
        has_curve: Likewise.

    Raises:
        LibraryError: If it must not face a network, or cannot encrypt.
    """
    version = zmq.zmq_version_info() if version is None else version
    has_curve = zmq.has("curve") if has_curve is None else has_curve
    name = "libzmq " + ".".join(map(str, version))
    mend = "Run: pip install --upgrade --only-binary=pyzmq pyzmq"
    if version < LIBZMQ_FLOOR:
        raise LibraryError(f"{name} has holes that anybody on the network can use", mend)
    if not has_curve:
        raise LibraryError(f"{name} was built without CURVE", mend)
    if version < LIBZMQ_WISHED:
        return f"{name} is older than {'.'.join(map(str, LIBZMQ_WISHED))}, with which this server was tested. {mend}"
    return None


def open_tcp(context: ZmqContext, doorkeeper: Doorkeeper, door: TcpDoor, server_pair: KeyPair | None) -> Listener:
    """Open a TCP door.

    Args:
        context: The context to open it in.
        doorkeeper: The running authenticator of that context.
        door: What to open.
        server_pair: The server's keys, for a door with CURVE.

    Raises:
        GuardError: If the door would not be guarded as it looks.
        ListenError: If the address or port cannot be had.
    """
    socket = _router(context, doorkeeper, door.kind)
    try:
        socket.setsockopt(zmq.IPV6, 1)  # `*` is both families, and [::1] an address like others
        if door.curve:
            _guard_with_curve(socket, server_pair)
        assert_guarded(socket, door.kind)
        _bind_tcp(socket, door)
    except BaseException:
        socket.close(0)
        raise
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    port = endpoint.rpartition(":")[2]
    where = f"tcp://{_bracketed(door.host)}:{port}"
    return Listener(
        socket=socket,
        kind=door.kind,
        endpoint=endpoint,
        description=_described(where, server_pair if door.curve else None),
        exposed=door.exposed,
    )


def _described(where: str, server_pair: KeyPair | None) -> str:
    how = "no encryption" if server_pair is None else f"CURVE, server key {server_pair.public.fingerprint}"
    return f"{where} ({how})"


def open_unix(context: ZmqContext, doorkeeper: Doorkeeper, door: UnixDoor) -> Listener:
    """Open a unix socket; arguments and errors as in `open_tcp`."""
    path = SocketPath.claim(door.path, door.mode)
    socket: ZmqSocket | None = None
    try:
        socket = _router(context, doorkeeper, door.kind)
        assert_guarded(socket, door.kind)
        try:
            with path.binding() as endpoint:
                socket.bind(endpoint)
        except zmq.ZMQError as error:
            raise ListenError(
                f"the unix socket {path.path} cannot be made: {error}",
                "Choose another --socket",
                endpoint=str(path.path),
            ) from error
    except BaseException:
        if socket is not None:
            socket.close(0)
        path.release()
        raise
    return Listener(
        socket=socket,
        kind=door.kind,
        endpoint=endpoint,
        description=f"ipc://{path.path} (mode {door.mode:04o}, uid {os.geteuid()})",
        path=path,
    )


def _router(context: ZmqContext, doorkeeper: Doorkeeper, kind: DoorKind) -> ZmqSocket:
    """A ROUTER with everything set that has to be set before it is bound."""
    if doorkeeper.context is not context:
        raise GuardError("the authenticator is of another context and would never be asked", _REPORT)
    if not doorkeeper.is_alive():
        raise GuardError("the authenticator is not running", _REPORT)
    socket = context.socket(zmq.ROUTER)
    # Every door asks the authenticator, also those without keys. Where ZAP is off, libzmq takes ZMTP 1.0 peers, among
    # them web pages that post to localhost, and a peer may write its own User-Id.
    socket.zap_domain = ZAP_DOMAINS[kind].encode()
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without it, no authenticator means that everybody comes in
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_WITHIN_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_EVERY_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_WITHIN_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_WITHIN_MS)  # the peer's end is cleared away likewise
    socket.setsockopt(zmq.BACKLOG, BACKLOG)
    socket.setsockopt(zmq.ROUTER_HANDOVER, 0)  # with 1 a client gets another's replies by claiming its routing id
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a reply that reaches nobody is an error, not silence
    socket.setsockopt(zmq.SNDHWM, QUEUED_MESSAGES)
    socket.setsockopt(zmq.RCVHWM, TAKEN_MESSAGES)
    socket.setsockopt(zmq.SNDTIMEO, 0)  # or it would wait for one peer that does not read, and all others with it
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    if kind is not DoorKind.UNIX:
        socket.setsockopt(zmq.TCP_MAXRT, UNREAD_WITHIN_MS)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S)
    return socket


def _guard_with_curve(socket: ZmqSocket, server_pair: KeyPair | None) -> None:
    if server_pair is None:
        raise GuardError("there is no key pair for a CURVE door", "Run: se-server keygen")
    # pyzmq cannot read the keys back, and libzmq runs on the all-zero secret if none is set. That the socket holds this
    # pair shows in the self-test: only then is the stranger refused because of its own key.
    socket.curve_server = True
    socket.curve_publickey = server_pair.public.z85.encode()
    socket.curve_secretkey = server_pair.secret.reveal_z85().encode()


def assert_guarded(socket: ZmqSocket, kind: DoorKind) -> None:
    """Read back from a socket what keeps strangers out; before it is bound, because options act on later binds only.

    Raises:
        GuardError: If anything is not as it has to be.
    """
    mechanism = zmq.CURVE if kind is DoorKind.TCP_CURVE else zmq.NULL
    found = {
        "an authentication domain": socket.zap_domain == ZAP_DOMAINS[kind].encode(),
        "enforced authentication": socket.getsockopt(zmq.ZAP_ENFORCE_DOMAIN) == 1,
        "the right mechanism": socket.mechanism == mechanism,
        "a size limit": socket.getsockopt(zmq.MAXMSGSIZE) == MAX_MESSAGE_BYTES,
        "no endpoint yet": not socket.getsockopt_string(zmq.LAST_ENDPOINT),
    }
    for what, there in found.items():
        if not there:
            raise GuardError(f"the door {kind.value} does not have {what}", _REPORT)


def _bind_tcp(socket: ZmqSocket, door: TcpDoor) -> None:
    address = f"tcp://{_bracketed(door.host)}:{door.port or '*'}"
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        what, mend = {
            zmq.EADDRINUSE: (f"port {door.port} is in use already", "Stop the other server, or choose another --port"),
            zmq.EADDRNOTAVAIL: (f"no interface of this machine has the address {door.host}", "Choose another --host"),
            errno.ENODEV: (f"no interface of this machine has the address {door.host}", "Choose another --host"),
            errno.EACCES: (f"this user may not listen on port {door.port}", "Choose a --port above 1023"),
        }.get(error.errno or 0, (f"{address} cannot be listened on: {error}", "Choose another --host or --port"))
        raise ListenError(what, mend, endpoint=address) from error


def _bracketed(host: str) -> str:
    if host == ALL_INTERFACES:
        return host
    return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
