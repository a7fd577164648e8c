# SPDX-License-Identifier: Apache-2.0
"""What a tick costs with all that makes it safe, and nothing that makes it readable: each process is one function.

Between `bare.ticking`, which is neither, and the product, which is both. Frames are numbered and confirmed and kept
until then, it is asked of each message who sent it, values are decoded strictly, an action may raise anything, whoever
waits waits so long at most and lets others send, and somebody else would listen in between.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgpack
import zmq

from benchmarks import bare
from scenario_execution_keys.keypair import KeyPair

_HEADER = struct.Struct("!2sBB16sQQ")
_EVENTS, _READ, _NOBLOCK = int(zmq.EVENTS), int(zmq.POLLIN), int(zmq.NOBLOCK)
_SIMPLE = frozenset((int, str, float, type(None)))
_TICK, _TICKED = 22, 23
_SESSION = b"careful session!"
_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Tick:
    call: int
    actions: list[int]
    now_s: float | None


@dataclass(frozen=True, slots=True)
class _Ticked:
    call: int
    running: int
    result: object


_FRONT_AND_WORKER = f"""
import os, select, socket as sockets, struct, threading, time
from collections import deque
from dataclasses import dataclass
import msgpack, py_trees
here, there = sockets.socketpair()
@dataclass(frozen=True, slots=True)
class Tick:
    call: int
    actions: list
    now_s: float | None
@dataclass(frozen=True, slots=True)
class Ticked:
    call: int
    running: int
    result: object
LENGTH = struct.Struct("!I")
HEADER = struct.Struct("!2sBB16sQQ")
buffer = memoryview(bytearray(65536))
if os.fork() == 0:
    here.close()
    class Idle(py_trees.behaviour.Behaviour):
        def update(self):
            return py_trees.common.Status.RUNNING
    actions = {{1: Idle("idle")}}
    RUNNING = py_trees.common.Status.RUNNING
    SIMPLE = frozenset((int, str, float, type(None)))
    lock = threading.Lock()
    while count := there.recv_into(buffer):
        (size,) = LENGTH.unpack_from(buffer)
        assert size + 4 == count
        try:
            items = msgpack.unpackb(buffer[4:count], raw=False, strict_map_key=False)
            if type(items) is not list or items[0] != {_TICK}:
                raise ValueError
            for item in items:
                if type(item) not in SIMPLE and not (type(item) is list and SIMPLE.issuperset(map(type, item))):
                    raise ValueError
            call = Tick(*items[1:])
        except ValueError:
            continue
        running, result = 0, None
        for number in call.actions:
            action = actions.get(number)
            try:
                for node in action.tick():
                    pass
            except BaseException as error:
                result = str(error)
                break
            if action.status is not RUNNING:
                break
            running += 1
        said = Ticked(call.call, running, result)
        answer = msgpack.packb([{_TICKED}, said.call, said.running, said.result], strict_types=True, use_bin_type=True)
        with lock:
            there.sendmsg((LENGTH.pack(len(answer)) + answer,))
    os._exit(0)
there.close()
{bare.ROUTER}
@dataclass
class Session:
    route: bytes
    name: bytes
    kept: deque
    heard_s: float = 0.0
    received: int = 0
    sent: int = 0
here.setblocking(False)
EVENTS, READ = int(zmq.EVENTS), int(zmq.POLLIN)
NOBLOCK, MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
watch = select.epoll()
watch.register(socket.getsockopt(zmq.FD), select.EPOLLIN)
watch.register(here.fileno(), select.EPOLLIN)
peers, sessions, by_channel = {{}}, {{}}, {{}}
while True:
    while socket.getsockopt(EVENTS) & READ:
        route = socket.recv()
        frame = socket.recv(copy=False)
        who = str(frame.get("User-Id")), str(frame.get("Peer-Address"))
        peer = peers.setdefault(who, who[0])
        data = frame.buffer
        if frame.more or len(data) < HEADER.size:
            continue
        magic, version, kind, name, seq, ack = HEADER.unpack_from(data)
        session = sessions.get((peer, name))
        if session is None:
            session = sessions[peer, name] = by_channel[here.fileno()] = Session(route, name, deque())
        if magic != b"SE" or version != 2 or kind != 7 or route != session.route:
            continue
        if ack > session.sent or seq != session.received + 1:
            continue
        session.heard_s, session.received = time.monotonic(), seq
        while session.kept and session.sent - len(session.kept) < ack:
            session.kept.popleft()
        body = data[HEADER.size:]
        try:
            here.sendmsg((b"".join((LENGTH.pack(len(body)), body)),))
        except BlockingIOError:
            break
    for fd, events in watch.poll(0.25):
        session = by_channel.get(fd)
        if session is None:
            continue
        count = here.recv_into(buffer)
        (size,) = LENGTH.unpack_from(buffer)
        assert size + 4 == count
        answer = buffer[4:count].tobytes()
        session.sent += 1
        session.kept.append(answer)
        try:
            socket.send(session.route, MORE)
            socket.send(HEADER.pack(b"SE", 2, 7, session.name, session.sent, session.received) + answer, NOBLOCK)
        except zmq.ZMQError:
            pass
"""


@contextlib.contextmanager
def ticking(client: KeyPair) -> Iterator[Callable[[], None]]:
    """Such a front and worker, and such a client; yields one tick of one action."""
    with bare.connected(client, _FRONT_AND_WORKER) as socket:
        calls, ears, thread = itertools.count(1), select.poll(), select.epoll()
        fd = int(socket.getsockopt(zmq.FD))
        ears.register(fd, select.POLLIN)
        thread.register(fd, select.EPOLLIN)  # of who would listen in between
        kept: deque[bytes] = deque()
        pending: dict[int, _Tick] = {}
        sent = received = 0
        turn, lead = threading.Lock(), threading.Lock()

        def tick() -> None:
            nonlocal sent, received
            told = _Tick(next(calls), [1], None)
            body = msgpack.packb([_TICK, told.call, told.actions, told.now_s], strict_types=True, use_bin_type=True)
            pending[told.call] = told
            sent += 1
            kept.append(body)
            with turn:
                socket.send(_HEADER.pack(b"SE", 2, 7, _SESSION, sent, received) + body, _NOBLOCK)
                socket.getsockopt(_EVENTS)
            until_s = time.monotonic() + _LIMIT_S
            lead.acquire(blocking=False)
            thread.modify(fd, 0)
            try:
                while not int(socket.getsockopt(_EVENTS)) & _READ:
                    left_s = until_s - time.monotonic()
                    if left_s <= 0:
                        raise TimeoutError
                    ears.poll(left_s * 1000 + 1)
                with turn:
                    data = socket.recv(_NOBLOCK)
                    magic, version, _, session, seq, ack = _HEADER.unpack_from(data)
                    if magic != b"SE" or version != 2 or session != _SESSION or seq != received + 1 or ack > sent:
                        raise ValueError(data)
                    received = seq
                    while kept and sent - len(kept) < ack:
                        kept.popleft()
                    items = msgpack.unpackb(memoryview(data)[_HEADER.size :], raw=False, strict_map_key=False)
                    if type(items) is not list or items[0] != _TICKED or not _SIMPLE.issuperset(map(type, items)):
                        raise ValueError(items)
                    answer = _Ticked(*items[1:])
                    del pending[answer.call]
            finally:
                thread.modify(fd, select.EPOLLIN)
                lead.release()
                socket.getsockopt(_EVENTS)
            assert answer.running == 1

        try:
            tick()
            yield tick
        finally:
            thread.close()
