# SPDX-License-Identifier: Apache-2.0
"""For tests of the server's doors: open ones, clients of every kind, and a loop that answers with who is speaking."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from scenario_execution_server.admission import Peer
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.doors import Doors
from scenario_execution_server.errors import RefusedError
from scenario_execution_server.journal import LineFormatter
from tests.support.keys import CLIENT, SERVER

DEADLINE_S = 10.0  # for what takes milliseconds on a machine that is not overloaded
HANDSHAKE_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
STRANGER = KeyPair.generate()

Context = zmq.Context[zmq.Socket[bytes]]


class Lines(logging.Handler):
    """Keeps every line as the server would write it, without the time."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).split(" ", 1)[1])

    def about(self, words: str) -> list[str]:
        return [line for line in self.lines if words in line]


@contextlib.contextmanager
def captured_log() -> Iterator[tuple[logging.Logger, Lines]]:
    log, lines = logging.Logger("test"), Lines()
    log.addHandler(lines)
    yield log, lines


class Client:
    """A libzmq client with a monitor.

    Args:
        endpoint: Where to connect.
        server: The server's key; without it the client does not speak CURVE.
        pair: The client's pair.
        prepare: Sets more options before the socket connects.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        server: PublicKey | None = None,
        pair: KeyPair = CLIENT,
        prepare: Callable[[zmq.Socket[bytes]], object] = lambda socket: None,
    ) -> None:
        self._context: Context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.IPV6, 1)
        self._monitor = self.socket.get_monitor_socket(HANDSHAKE_EVENTS | zmq.EVENT_DISCONNECTED)
        if server is not None:
            self.socket.curve_serverkey = server.z85.encode()
            self.socket.curve_publickey = pair.public.z85.encode()
            self.socket.curve_secretkey = pair.secret.reveal_z85().encode()
        prepare(self.socket)
        self.socket.connect(endpoint)

    def event(self) -> int:
        """The next event of the connection: a handshake that succeeded or failed, or a disconnection."""
        assert self._monitor.poll(int(DEADLINE_S * 1000)), "nothing happened to the connection"
        return int(recv_monitor_message(self._monitor)["event"])

    def close(self) -> None:
        if not self.socket.closed:
            self.socket.disable_monitor()
            self._monitor.close(0)
            self.socket.close(0)
            self._context.term()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass
class Site:
    """Open doors with what a test looks at.

    Attributes:
        doors: The doors.
        store: Their key store.
        lines: What was logged.
        heard: Payloads that came in, with who sent them.
        refused: Refusals by admission.
    """

    doors: Doors
    store: KeyStore
    lines: Lines
    heard: list[tuple[Peer, bytes]] = field(default_factory=list)
    refused: list[RefusedError] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Where a client on this machine connects to the first door."""
        listener = self.doors.listeners[0]
        return listener.endpoint if listener.port is None else f"tcp://127.0.0.1:{listener.port}"

    @property
    def address(self) -> tuple[str, int] | str:
        """The same for a plain socket."""
        listener = self.doors.listeners[0]
        return listener.endpoint.removeprefix("ipc://") if listener.port is None else ("127.0.0.1", listener.port)

    def client(self, **arguments: Any) -> Client:
        """A client that would be let in, unless the arguments say otherwise."""
        arguments.setdefault("server", SERVER.public if self.doors.listeners[0].kind == "tcp-curve" else None)
        return Client(self.endpoint, **arguments)

    def serve_until(self, done: Callable[[], object], within_s: float = DEADLINE_S) -> None:
        """Answer every message with the identity of its sender, until something is true."""
        poller = zmq.Poller()
        for listener in self.doors.listeners:
            poller.register(listener.socket, zmq.POLLIN)
        deadline_s = time.monotonic() + within_s
        while not done():
            assert time.monotonic() < deadline_s, "it did not come true"
            ready = dict(poller.poll(20))
            for listener in self.doors.listeners:
                if listener.socket in ready:
                    route, *_, payload = listener.socket.recv_multipart(zmq.NOBLOCK, copy=False)
                    try:
                        peer = self.doors.clients.admit(listener.kind, payload)
                    except RefusedError as error:
                        self.refused.append(error)
                        continue
                    self.heard.append((peer, payload.bytes))
                    listener.socket.send_multipart([route.bytes, peer.identity.encode()], zmq.NOBLOCK)

    def ask(self, client: Client) -> Peer:
        """Have a client say something, and return who it was taken for."""
        count = len(self.heard)
        client.socket.send(b"hello")
        self.serve_until(lambda: len(self.heard) > count and client.socket.poll(0))
        assert client.socket.recv() == self.heard[-1][0].identity.encode()
        return self.heard[-1][0]


@contextlib.contextmanager
def open_site(folder: Path, **settings: Any) -> Iterator[Site]:
    """Doors with a key store in `folder`, in which one client is enrolled."""
    store = KeyStore(folder / "keys")
    store.enrol("friend", CLIENT.public)
    chosen = ServerSettings(**settings)
    with captured_log() as (log, lines), Doors.open(chosen, store, SERVER, log) as doors:
        yield Site(doors, store, lines)


def curve(folder: Path) -> contextlib.AbstractContextManager[Site]:
    return open_site(folder, curve=True, host="127.0.0.1", port=0)


def plain(folder: Path) -> contextlib.AbstractContextManager[Site]:
    return open_site(folder, port=0)


def unix(folder: Path, mode: int = 0o600) -> contextlib.AbstractContextManager[Site]:
    return open_site(folder, socket=folder / "door", socket_mode=mode)
