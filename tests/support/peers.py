# SPDX-License-Identifier: Apache-2.0
"""What a client may meet on a port: servers that work, servers that do not, and things that are no servers at all."""

from __future__ import annotations

import ctypes
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import zmq

from scenario_execution_keys.keypair import KeyPair

LOOPBACK = "127.0.0.1"
ZAP_DOMAIN = b"test"
NOBODY_UID = 65534  # owns nothing, may do nothing
_ZAP_ADDRESS = "inproc://zeromq.zap.01"
_ZAP_ENFORCE_DOMAIN = 93  # has no name in older pyzmq


def free_port(family: socket.AddressFamily = socket.AF_INET, host: str = LOOPBACK) -> int:
    """A port that was free a moment ago."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextmanager
def mute() -> Iterator[int]:
    """A port where the kernel accepts connections and nobody ever reads or writes."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def dropping() -> Iterator[int]:
    """A port that answers nothing, neither yes nor no: its queue is full, and the kernel drops what does not fit."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as listener:
        waiting = [
            socket.socket() for _ in range(3)
        ]  # one fits into a queue of 0; the rest is for kernels that round up
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        try:
            yield listener.getsockname()[1]
        finally:
            for client in waiting:
                client.close()


@contextmanager
def talker(say: bytes, *, hang_up: bool, meet: Callable[[], object] = lambda: None) -> Iterator[int]:
    """A port where everybody is told the same, and then is left alone or hung up on; *meet* is called for each."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        connections: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.sendall(say)
                meet()
                if hang_up:
                    connection.close()
                else:
                    connections.append(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() does not
            thread.join()
            for connection in connections:
                connection.close()


@contextmanager
def web_server() -> Iterator[int]:
    """Python's own web server."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        timeout = 5.0  # seconds until it gives up on a client that never finishes its line

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def zmq_server(
    *,
    curve: KeyPair | None = None,
    plain: bool = False,
    kind: int = zmq.ROUTER,
    address: str = f"tcp://{LOOPBACK}:*",
    zap: bytes | None = None,
    zap_never_answers: bool = False,
    enforce_zap: bool = False,
) -> Iterator[zmq.Socket[bytes]]:
    """A ZeroMQ server in a context of its own.

    Args:
        curve: Its key pair, for CURVE.
        plain: Whether it demands user name and password.
        kind: Its socket type.
        address: Where it binds.
        zap: Status code with which its authenticator answers everybody; None for no authenticator.
        zap_never_answers: Whether its authenticator is there and dead.
        enforce_zap: Whether it refuses everybody if there is no authenticator.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    authenticator: threading.Thread | None = None
    dead: zmq.Socket[bytes] | None = None
    server = context.socket(kind)
    try:
        if zap is not None:
            authenticator = _authenticator(context, zap)
        elif zap_never_answers:
            dead = context.socket(zmq.REP)
            dead.bind(_ZAP_ADDRESS)
        if zap is not None or zap_never_answers or enforce_zap:
            server.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
            server.setsockopt(_ZAP_ENFORCE_DOMAIN, 1)
        if plain:
            server.setsockopt(zmq.PLAIN_SERVER, 1)
        if curve is not None:
            server.setsockopt(zmq.CURVE_SERVER, 1)
            server.setsockopt(zmq.CURVE_PUBLICKEY, curve.public.z85.encode())
            server.setsockopt(zmq.CURVE_SECRETKEY, curve.secret.reveal_z85().encode())
        if address.startswith("tcp://["):
            server.setsockopt(zmq.IPV6, 1)
        server.setsockopt(zmq.LINGER, 0)
        server.bind(address)
        yield server
    finally:
        server.close()
        if dead is not None:
            dead.close(linger=0)
        context.term()  # ends the authenticator's recv
        if authenticator is not None:
            authenticator.join()


def port_of(server: zmq.Socket[bytes]) -> int:
    return int(server.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").rpartition(b":")[2])


def _authenticator(context: zmq.Context[zmq.Socket[bytes]], status: bytes) -> threading.Thread:
    """Answers every ZAP request with one status code, until the context ends."""
    replies = context.socket(zmq.REP)
    replies.bind(_ZAP_ADDRESS)

    def serve() -> None:
        with closing(replies):
            while True:
                try:
                    request = replies.recv_multipart()
                except zmq.ContextTerminated:
                    return
                user = b"somebody" if status == b"200" else b""
                replies.send_multipart([b"1.0", request[1], status, b"", user, b""])

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def call_without_file_rights(work: Callable[[], object]) -> object:
    """What *work* returns, or raises, in a thread that may open only what everybody may, even if we are root.

    The kernel keeps the user id for file accesses per thread; threads that *work* starts inherit it.
    """
    outcome: list[object] = []

    def run() -> None:
        ctypes.CDLL(None).setfsuid(NOBODY_UID)  # does nothing if we are not root, and then nothing is needed
        try:
            outcome.append(work())
        except Exception as error:  # noqa: BLE001  (it is handed to the thread that waits for it)
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
