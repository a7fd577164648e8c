# SPDX-License-Identifier: Apache-2.0
"""A tick of N running actions in several ways, in turns: one message for all, and one call for each as others do it.

RPyC and Pyro5 stand for what one would take otherwise, both with mutual TLS; ``requirements.txt`` has them. They call a
method that does next to nothing on an object in another process; between them and it is no front, no admission and no
action. The version 1 client is what is in the field: it asks for each action by itself.

    python -m benchmarks.peers (rpyc | pyro5) FOLDER    serves, with the certificates in FOLDER, and prints its port
"""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import zmq

from benchmarks import bare, bench
from benchmarks.results import Cell, Result
from scenario_execution_remote.protocol import messages

COUNTS = (1, 10, 100)
_CA, _SERVER, _CLIENT = "ca.pem", "server.pem", "client.pem"
_INSTALLED = "SCENARIO_EXECUTION_BENCH_PEERS"  # the folder that ./dev has installed them into

Tick = Callable[[int], None]
"""Ticks so many actions."""


def peers(here: bench.Place, is_quick: bool) -> Result:
    """Everything in turns, so that whatever else the machine does hits all alike."""
    rounds, calls = (5, 20) if is_quick else (20, 100)
    with contextlib.ExitStack() as stack:
        endpoint, _ = stack.enter_context(bench.server(here))
        echo = stack.enter_context(bare.echo(here.store.client_pair()))
        ways: dict[str, Tick] = {
            "bare echo": lambda _count: _nothing(echo(bytes(45))),
            "this project": stack.enter_context(_together(here, endpoint)),
            "version 1": stack.enter_context(_version_1(here, endpoint)),
        }
        missing = _enter_others(stack, here, ways)
        rows: list[list[Cell]] = []
        for count in COUNTS:
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for tick in ways.values():
                tick(count)  # the first one begins what has not begun yet
            for _ in range(rounds):
                for name, tick in ways.items():
                    taken[name] += bench.microseconds(partial(tick, count), max(2, calls // count))
            rows.append([count, *(bench.median(values) for values in taken.values())])
    columns = ["actions", *ways]
    return Result(
        "peers", "a tick of N running actions, microseconds: one message for all, or one call for each", columns, rows,
        remarks=[
            "The tree on the client is left out. The bare echo is one message whatever N is.",
            "Version 1 speaks to this project's server, RPyC and Pyro5 to an object of their own in one process.",
            *missing,
        ],
        plot=columns[1:], unit="microseconds a tick",
    )  # fmt: skip


def _nothing(_value: object) -> None:
    pass


@contextlib.contextmanager
def _together(here: bench.Place, endpoint: str) -> Iterator[Tick]:
    with bench.link(here, endpoint) as session:
        begun: list[int] = []

        def tick(count: int) -> None:
            for number in range(len(begun), count):
                begun.append(number)
                bench.start_action(session, number, "bench_idle", {})
            call = messages.TickAll(call=session.next_number(), actions=begun[:count], now_s=None)
            session.call(call).wait(5.0)

        yield tick


@contextlib.contextmanager
def _version_1(here: bench.Place, endpoint: str) -> Iterator[Tick]:
    """A REQ socket, a map out and a map in."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.linger = 0
    client = here.store.client_pair()
    socket.curve_serverkey = here.store.server_pair().public.z85.encode()
    socket.curve_publickey = client.public.z85.encode()
    socket.curve_secretkey = client.secret.reveal_z85().encode()
    socket.connect(f"tcp://{endpoint}")
    begun: list[str] = []

    def ask(cmd: str, **payload: Any) -> None:
        socket.send(msgpack.packb({"cmd": cmd, "payload": payload}))
        reply: dict[str, Any] = msgpack.unpackb(socket.recv())
        if reply["status"] != "ok":
            raise RuntimeError(f"{cmd}: {reply}")

    def begin(action_id: str) -> None:
        begun.append(action_id)
        ask("init", action_id=action_id, plugin_key="bench_idle", init_args={}, output_dir="")
        ask("setup", action_id=action_id, tick_period=0.1, output_dir="", scenario_file_directory="")
        ask("execute", action_id=action_id, exec_args={})

    def tick(count: int) -> None:
        for number in range(len(begun), count):
            begin(str(number))
        for action_id in begun[:count]:
            ask("update", action_id=action_id)

    try:
        yield tick
        ask("reset")
    finally:
        context.destroy(linger=0)


def _enter_others(stack: contextlib.ExitStack, here: bench.Place, ways: dict[str, Tick]) -> list[str]:
    """Add RPyC and Pyro5 to *ways*. Returns a remark if they are not there."""
    installed = os.environ.get(_INSTALLED)
    if installed:
        sys.path.append(installed)
    try:
        folder = certificates(here.folder / "tls")
        for name, open_client in (("RPyC, TLS", _rpyc_client), ("Pyro5, TLS", _pyro5_client)):
            port = stack.enter_context(_serving(name.partition(",")[0].lower(), folder))
            ways[name] = stack.enter_context(open_client(port, folder))
    except ImportError as error:
        return [f"RPyC and Pyro5 are not installed here ({error.name}): see benchmarks/requirements.txt."]
    return []


def certificates(folder: Path) -> Path:
    """An authority, and a certificate for each side, in a new folder."""
    import trustme

    folder.mkdir(mode=0o700)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / _CA)
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / _SERVER)
    authority.issue_cert("client@bench").private_key_and_cert_chain_pem.write_to_path(folder / _CLIENT)
    return folder


@contextlib.contextmanager
def _serving(name: str, folder: Path) -> Iterator[int]:
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), os.environ.get(_INSTALLED))))
    command = [sys.executable, "-m", "benchmarks.peers", name, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def _rpyc_client(port: int, folder: Path) -> Iterator[Tick]:
    import rpyc

    connection = rpyc.ssl_connect(
        "localhost", port, keyfile=str(folder / _CLIENT), certfile=str(folder / _CLIENT), ca_certs=str(folder / _CA),
        cert_reqs=ssl.CERT_REQUIRED,
    )  # fmt: skip
    update = connection.root.update

    def tick(count: int) -> None:
        for number in range(count):
            update(number)

    try:
        yield tick
    finally:
        connection.close()


@contextlib.contextmanager
def _pyro5_client(port: int, folder: Path) -> Iterator[Tick]:
    import Pyro5.api

    Pyro5.config.SSL = True
    Pyro5.config.SSL_CACERTS, Pyro5.config.SSL_CLIENTCERT = str(folder / _CA), str(folder / _CLIENT)
    with Pyro5.api.Proxy(f"PYRO:actions@localhost:{port}") as proxy:

        def tick(count: int) -> None:
            for number in range(count):
                proxy.update(number)

        yield tick


class Actions:
    """What both serve: the next tick of an action, which stays RUNNING."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}

    def update(self, number: int) -> str:
        self._ticks[number] = self._ticks.get(number, 0) + 1
        return "RUNNING"


def _serve_rpyc(folder: Path) -> None:
    import rpyc
    from rpyc.utils.authenticators import SSLAuthenticator
    from rpyc.utils.server import ThreadedServer

    class Service(rpyc.Service):  # type: ignore[misc]
        exposed_update = staticmethod(Actions().update)

    pair = str(folder / _SERVER)
    guard = SSLAuthenticator(pair, pair, ca_certs=str(folder / _CA))  # which makes it ask for the client's certificate
    server = ThreadedServer(Service, hostname="localhost", port=0, authenticator=guard)
    print(server.port, flush=True)
    server.start()


def _serve_pyro5(folder: Path) -> None:
    import Pyro5.api

    config = Pyro5.config
    config.SSL, config.SSL_REQUIRECLIENTCERT = True, True
    config.SSL_SERVERCERT, config.SSL_CACERTS = str(folder / _SERVER), str(folder / _CA)
    with Pyro5.api.Daemon(host="localhost") as daemon:
        daemon.register(Pyro5.api.expose(Actions)(), "actions")
        print(daemon.locationStr.rpartition(":")[2], flush=True)
        daemon.requestLoop()


if __name__ == "__main__":
    {"rpyc": _serve_rpyc, "pyro5": _serve_pyro5}[sys.argv[1]](Path(sys.argv[2]))
