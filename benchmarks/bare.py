# SPDX-License-Identifier: Apache-2.0
"""What a tick and a file cost without us: through bare pyzmq over CURVE, and through the least that keeps our promises.

The promises: one process has the keys and the network, another one the actions and their files, and what is between
them and the client is encrypted. A tick is packed, passed on by the front, which knows whose session it is, unpacked
and carried out, and all the way back. A file is read, its digest taken, and at the other end once more before it is
written. Plain Python, and nothing that makes it safe: no limits, no clocks, no lost connections, no second client.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import zmq

from scenario_execution_keys.keypair import KeyPair

Socket = zmq.Socket[bytes]

ROUTER = """
import sys, zmq, zmq.auth.thread
secret = bytes.fromhex(sys.stdin.readline().strip())
context = zmq.Context()
keeper = zmq.auth.thread.ThreadAuthenticator(context)
keeper.start()
class Everybody:
    def callback(self, domain, key):
        return True
keeper.configure_curve_callback(domain="bare", credentials_provider=Everybody())
socket = context.socket(zmq.ROUTER)
socket.zap_domain = b"bare"
socket.curve_server = True
socket.curve_secretkey = secret
socket.sndhwm = 0
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
"""

_ECHO = f"""{ROUTER}
while True:
    socket.send_multipart(socket.recv_multipart())
"""

_HEADER_BYTES = 36  # of a frame: as many as ours has, with the session's name in it

# A process with a py_trees behaviour, and the one that has its ticks from there.
_TICKING = f"""
import os, select, socket as sockets, struct
import msgpack, py_trees
here, there = sockets.socketpair()
if os.fork() == 0:
    here.close()
    class Idle(py_trees.behaviour.Behaviour):
        def update(self):
            return py_trees.common.Status.RUNNING
    actions = {{1: Idle("idle")}}
    while data := there.recv(65536):
        call, numbers = msgpack.unpackb(data[4:])
        running = 0
        for number in numbers:
            actions[number].tick_once()
            running += actions[number].status is py_trees.common.Status.RUNNING
        answer = msgpack.packb([call, running, None])
        there.sendall(struct.pack("!I", len(answer)) + answer)
    os._exit(0)
there.close()
{ROUTER}
watch = select.epoll()
watch.register(socket.getsockopt(zmq.FD), select.EPOLLIN)
watch.register(here.fileno(), select.EPOLLIN)
sessions = {{}}
while True:
    for fd, _ in watch.poll():
        if fd == here.fileno():
            answer = here.recv(65536)[4:]
            route, header = sessions[session]
            socket.send_multipart([route, header + answer])
        while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
            route, data = socket.recv_multipart()
            session, body = data[4:20], data[{_HEADER_BYTES}:]
            sessions[session] = route, data[:{_HEADER_BYTES}]
            here.sendall(struct.pack("!I", len(body)) + body)
"""

# Sends so many messages of that size to whoever asks.
_SOURCE = f"""{ROUTER}
while True:
    route, size, count = socket.recv_multipart()
    message = open("/dev/urandom", "rb").read(int(size))
    for _ in range(int(count)):
        socket.send_multipart([route, message], copy=False)
"""

# A process with the file, and the one that has it from there; a message is confirmed, and so many are on their way.
_CHAIN = f"""
import hashlib, os, socket as sockets, sys
path, size, window = sys.stdin.readline().strip(), int(sys.stdin.readline()), int(sys.stdin.readline())
here, there = sockets.socketpair()
if os.fork() == 0:
    here.close()
    def hand_on(data):
        there.sendall(len(data).to_bytes(4, "big"))
        there.sendall(data)
    while there.recv(1):
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as file:
            while data := file.read(size):
                digest.update(data)
                hand_on(data)
        hand_on(digest.digest())
    sys.exit()
there.close()
{ROUTER}
def message():
    return here.recv(int.from_bytes(here.recv(4, sockets.MSG_WAITALL), "big"), sockets.MSG_WAITALL)
while True:
    route, _ = socket.recv_multipart()
    here.sendall(b"!")
    on_their_way = 0
    while len(data := message()) > {hashlib.sha256().digest_size}:
        if on_their_way == window:
            socket.recv_multipart()
            on_their_way -= 1
        socket.send_multipart([route, data])
        on_their_way += 1
    for _ in range(on_their_way):
        socket.recv_multipart()
    socket.send_multipart([route, data])
"""


@contextlib.contextmanager
def connected(client: KeyPair, script: str, *lines: object) -> Iterator[Socket]:
    """A socket to a process that runs *script* and is told these lines."""
    pair = KeyPair.generate()
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.writelines(f"{line}\n" for line in (*lines, pair.secret.reveal_z85().encode().hex()))
    process.stdin.flush()
    context: zmq.Context[Socket] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.linger = 0
        socket.rcvhwm = 0
        socket.curve_serverkey = pair.public.z85.encode()
        socket.curve_publickey = client.public.z85.encode()
        socket.curve_secretkey = client.secret.reveal_z85().encode()
        socket.connect(f"tcp://127.0.0.1:{int(process.stdout.readline())}")
        yield socket
    finally:
        context.destroy(linger=0)
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextlib.contextmanager
def echo(client: KeyPair) -> Iterator[Callable[[bytes], bytes]]:
    """An authenticated ROUTER in a process of its own; yields one blocking round trip."""
    with connected(client, _ECHO) as socket:

        def round_trip(data: bytes) -> bytes:
            socket.send(data)
            return socket.recv()

        round_trip(b"first")
        yield round_trip


@contextlib.contextmanager
def ticking(client: KeyPair) -> Iterator[Callable[[], None]]:
    """A front and a worker of the plainest kind; yields one tick of one action."""
    with connected(client, _TICKING) as socket:
        calls, watch = itertools.count(1), select.poll()
        watch.register(int(socket.getsockopt(zmq.FD)), select.POLLIN)

        def tick() -> None:
            call = next(calls)
            socket.send(bytes(_HEADER_BYTES) + msgpack.packb([call, [1]]))
            while not int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                watch.poll(1000)
            assert msgpack.unpackb(socket.recv()[_HEADER_BYTES:]) == [call, 1, None]

        tick()
        yield tick


def source(client: KeyPair) -> contextlib.AbstractContextManager[Socket]:
    """For :func:`bare_s`."""
    return connected(client, _SOURCE)


def bare_s(source: Socket, size_bytes: int, message_bytes: int) -> float:
    """How long so many bytes take in messages of this size, from memory to memory."""
    count = size_bytes // message_bytes
    began_s = time.perf_counter()
    source.send_multipart([str(message_bytes).encode(), str(count).encode()])
    for _ in range(count):
        source.recv(copy=False)
    return time.perf_counter() - began_s


def chain(client: KeyPair, path: Path, message_bytes: int, window: int) -> contextlib.AbstractContextManager[Socket]:
    """For :func:`chain_s`, with the file that is carried."""
    return connected(client, _CHAIN, path, message_bytes, window)


def chain_s(chain: Socket, target: Path) -> float:
    """How long the file takes to be in *target*, verified."""
    digest = hashlib.sha256()
    began_s = time.perf_counter()
    chain.send(b"")
    with target.open("wb", buffering=0) as file:
        while len(data := chain.recv(copy=False).buffer) > digest.digest_size:
            digest.update(data)
            file.write(data)
            chain.send(b"")
    took_s = time.perf_counter() - began_s
    assert bytes(data) == digest.digest()
    target.unlink()
    return took_s
