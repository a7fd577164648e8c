# SPDX-License-Identifier: Apache-2.0
"""Client and server session together, over a simulated network that does what networks and ZeroMQ do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.client import ClientSession, Delivered, Event, Over, State
from scenario_execution_remote.protocol.frames import Frame, Kind, decode_frame
from scenario_execution_remote.protocol.server import ServerSession
from scenario_execution_remote.protocol.stream import WINDOW_FRAMES
from tests.support.examples import thrifty
from tests.support.wire_values import hello, welcome

SESSION = b"session-of-tests"
BEGAN_S = 100.0
LOST_AFTER_S = 5.0
QUEUED_MESSAGES = 256  # what the server's socket keeps for one client


@dataclass
class Connection:
    """What is on its way. ``is_up`` is what the network does; the client hears of it later."""

    number: int
    is_up: bool = True
    to_server: deque[bytes] = field(default_factory=deque)
    to_client: deque[bytes] = field(default_factory=deque)


@dataclass
class Front:
    """What the server's front does with frames: here it has one session at most, known by its route."""

    executed: list[bytes] = field(default_factory=list)  # by any worker there ever was
    pushed: list[bytes] = field(default_factory=list)  # by the present worker, or the last one
    machine: ServerSession | None = None
    route: int = 0
    has_bye: bool = False
    has_ended_one: bool = False

    def receive(self, data: bytes, route: int, now_s: float) -> list[bytes]:
        frame = decode_frame(data)
        if self.machine is None:
            if frame.kind is not Kind.HELLO or self.has_ended_one:
                refused = wire.encode(messages.Refused(code="unknown-session", text=""))
                return [Frame(kind=Kind.REFUSED, session=SESSION, body=refused).encode()]
            self.machine, self.route = ServerSession(SESSION, now_s, wire.encode(welcome())), route
            self.pushed, self.has_bye = [], False
        if route != self.route:
            if frame.kind not in (Kind.RESUME, Kind.HELLO):
                return []
            self.route = route
        received = self.machine.receive(frame, now_s)
        bodies = [bytes(body) for body in received.bodies]
        assert not self.has_bye or all(body.startswith(b"answer") for body in bodies)
        self.executed += bodies
        self.has_bye = self.has_bye or received.is_bye
        return self.machine.take_replies()


class Network:
    """One client, one server, and every way in which things between them can go wrong."""

    def __init__(self) -> None:
        self.now_s = BEGAN_S
        self.client = ClientSession(SESSION, hello(), LOST_AFTER_S)
        self.front = Front()
        self.current = Connection(1)
        self.old: list[Connection] = []  # broken, with frames that may still arrive
        self.knows_it_is_up = True
        self.sent: list[bytes] = []
        self.delivered: list[bytes] = []
        self.over: Over | None = None
        self.wants_end = self.has_ended = self.has_restarted = False
        self.client.start(self.now_s)
        self.flush()

    # -- what the two sides do ---------------------------------------------------------------------

    def call(self, count: int) -> None:
        for _ in range(count if self.over is None else 0):
            body = f"{'answer' if self.wants_end else 'call'} {len(self.sent)}".encode()
            self.sent.append(body)
            self.client.send(body)
        self.flush()

    def result(self, count: int) -> None:
        for _ in range(count if self.front.machine is not None and not self.front.machine.is_full else 0):
            assert self.front.machine is not None
            self.front.pushed.append(f"result {len(self.front.pushed)}".encode())
            self.to_client(self.front.machine.push(self.front.pushed[-1]))

    def end(self) -> None:
        self.wants_end = True
        self.client.end()
        self.flush()

    def the_server_ends_the_session(self) -> None:
        if self.front.machine is not None:
            self.to_client(self.front.machine.finish(wire.encode(messages.Ended(reason="bye", text="", is_home=True))))
            self.front.machine = None
            self.has_ended = self.front.has_ended_one = True

    def the_server_is_restarted(self) -> None:
        if self.front.machine is not None:
            self.front.machine, self.front.has_ended_one = None, False
            self.has_restarted = True
            self.the_connection_breaks(0)
            for connection in self.old:  # a restart takes longer than to read what had arrived before it
                connection.to_server.clear()
                connection.to_client.clear()

    # -- what the network does ---------------------------------------------------------------------

    def to_server(self, count: int) -> None:
        for connection in [*self.old, self.current]:
            while connection.to_server and count:
                count -= 1
                replies = self.front.receive(connection.to_server.popleft(), connection.number, self.now_s)
                self.to_client(replies, connection.number)

    def to_the_client(self, count: int) -> None:
        for connection in [*self.old, self.current]:
            while connection.to_client and count:
                count -= 1
                self.digest(self.client.receive(connection.to_client.popleft(), self.now_s))
        self.flush()

    def everything_arrives(self) -> None:
        for _ in range(3):
            self.to_server(1000)
            self.to_the_client(1000)

    def some_are_dropped(self, kept: int, dropped: int) -> None:
        frames = list(self.current.to_client)
        self.current.to_client = deque(frames[:kept] + frames[kept + dropped :])

    def the_connection_breaks(self, survivors: int) -> None:
        """The first few frames that were on their way still arrive, some time."""
        connection = self.current
        if connection.is_up:
            connection.is_up = False
            for queue in (connection.to_server, connection.to_client):
                while len(queue) > survivors:
                    queue.pop()
            self.old.append(connection)
            self.current = Connection(connection.number + 1, is_up=False)

    def the_client_notices(self) -> None:
        if not self.current.is_up and self.knows_it_is_up:
            self.knows_it_is_up = False
            self.client.connection_lost()

    def it_connects_again(self) -> None:
        if not self.current.is_up and not self.knows_it_is_up:
            self.current.is_up = self.knows_it_is_up = True
            self.client.connection_made()
            self.flush()

    def the_connection_is_replaced(self, survivors: int) -> None:
        self.the_connection_breaks(survivors)
        self.the_client_notices()
        self.it_connects_again()

    def time_passes(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s and self.over is None:
            self.now_s = min(until_s, self.client.next_deadline_s())
            self.digest(self.client.tick(self.now_s))
        self.flush()

    # -- plumbing ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """The link hands frames to a socket that takes none while it has no connection."""
        while self.client.outgoing and self.current.is_up:
            self.current.to_server.append(self.client.outgoing.popleft())

    def to_client(self, frames: list[bytes], route: int | None = None) -> None:
        """The server's socket drops what has no connection, and what does not fit into its queue."""
        route = self.front.route if route is None else route
        for frame in frames:
            fits = len(self.current.to_client) < QUEUED_MESSAGES
            if self.current.is_up and route == self.current.number and fits:
                self.current.to_client.append(frame)

    def digest(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Delivered):
                self.delivered.append(bytes(event.body))
            elif isinstance(event, Over):
                self.over = event

    # -- what holds --------------------------------------------------------------------------------

    def check(self) -> None:
        """Nothing is executed or delivered twice or out of order, and a session is over for a reason only."""
        assert self.front.executed == self.sent[: len(self.front.executed)]
        assert self.delivered == self.front.pushed[: len(self.delivered)]
        if self.over is not None and self.over.reason == "lost":
            assert self.now_s >= BEGAN_S + LOST_AFTER_S
        elif self.over is not None:
            assert self.over.reason in ("bye", "unknown-session")
            assert self.has_ended or self.has_restarted

    def heal(self) -> None:
        """Let the network behave until there is nothing left to do."""
        for _ in range(40):
            self.the_client_notices()
            self.it_connects_again()
            for _ in range(5):
                self.everything_arrives()
            if self.over is not None or self.is_done():
                break
            self.time_passes(0.5)

    def is_done(self) -> bool:
        everything = self.front.executed == self.sent and self.delivered == self.front.pushed
        return everything and self.front.has_bye == self.wants_end


Step = Callable[[Network], None]
STEPS: dict[str, tuple[int, Step]] = {  # how often, and what
    "call": (4, lambda network: network.call(1)),
    "many calls": (1, lambda network: network.call(WINDOW_FRAMES + 20)),
    "result": (4, lambda network: network.result(1)),
    "many results": (1, lambda network: network.result(WINDOW_FRAMES + 20)),
    "too many results": (1, lambda network: network.result(3 * QUEUED_MESSAGES)),
    "first dropped": (2, lambda network: network.some_are_dropped(0, 1)),
    "second dropped": (2, lambda network: network.some_are_dropped(1, 1)),
    "all dropped": (2, lambda network: network.some_are_dropped(0, 1000)),
    "one to server": (3, lambda network: network.to_server(1)),
    "all to server": (3, lambda network: network.to_server(1000)),
    "one to client": (3, lambda network: network.to_the_client(1)),
    "all to client": (3, lambda network: network.to_the_client(1000)),
    "everything": (3, Network.everything_arrives),
    "break": (2, lambda network: network.the_connection_breaks(1)),
    "notice": (2, Network.the_client_notices),
    "connect": (2, Network.it_connects_again),
    "replace": (2, lambda network: network.the_connection_is_replaced(0)),
    "replace late": (2, lambda network: network.the_connection_is_replaced(3)),
    "moment": (2, lambda network: network.time_passes(0.3)),
    "second": (3, lambda network: network.time_passes(1.1)),
    "silence": (1, lambda network: network.time_passes(4.5)),
    "end": (1, Network.end),
    "server ends": (1, Network.the_server_ends_the_session),
    "server restarts": (1, Network.the_server_is_restarted),
}
WEIGHTED = [name for name, (weight, _) in STEPS.items() for _ in range(weight)]


def went(steps: list[str]) -> Network:
    """A network after these steps, and after it has recovered from them."""
    network = Network()
    for step in steps:
        STEPS[step][1](network)
        network.check()
    network.heal()
    network.check()
    return network


@settings(thrifty, max_examples=40)
@given(steps=st.lists(st.sampled_from(WEIGHTED), min_size=5, max_size=40), opens=st.sampled_from([True, True, False]))
def test_whatever_happens_all_arrives_once_and_in_order_or_the_client_knows_why_not(
    steps: list[str], opens: bool
) -> None:
    network = went(["everything", *steps] if opens else steps)
    assert network.over is not None or network.is_done()


@pytest.mark.parametrize(
    "steps",
    [
        ["everything", "result", "all dropped"],
        ["everything", "result", "result", "first dropped"],
        ["everything", "too many results"],
        ["everything", "many results", "replace", "many results", "replace late"],
        ["call", "replace", "all to server", "all dropped", "replace"],
        ["everything", "call", "all to server", "replace"],
        ["everything", "many calls", "replace", "all to server", "replace late", "call"],
        ["everything", "call", "break", "call", "notice", "call", "connect", "end"],
        ["everything", "many calls", "end", "replace"],
        ["everything", "end", "call", "all to server", "replace", "result"],
        ["everything", "replace", "all to server", "break", "notice", "all to client", "connect", "call"],
        ["everything", "result", "result", "first dropped", "all to client", "all to server", "all dropped", "call"],
    ],
    ids=", ".join,
)
def test_what_was_lost_is_made_good(steps: list[str]) -> None:
    network = went(steps)
    assert network.over is None
    assert network.is_done()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["everything", "call", "server ends"], "bye"),
        (["everything", "call", "server ends", "all dropped"], "unknown-session"),
        (["everything", "server restarts"], "unknown-session"),
        (["everything", "call", "break", "server ends", "notice", "connect"], "unknown-session"),
        (["call", "all to server", "server ends"], "bye"),
        (["call", "all to server", "server ends", "all dropped", "replace"], "unknown-session"),
        (["everything", "break", "notice", "silence", "second"], "lost"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else value,
)
def test_what_cannot_be_made_good_is_told(steps: list[str], reason: str) -> None:
    over = went(steps).over
    assert over is not None
    assert over.reason == reason


def test_no_frame_is_dropped_for_a_client_that_reads_as_fast_as_it_can() -> None:
    network = went(["everything"])
    dropped = []
    to_client = network.to_client

    def noticing(network: Network, frames: list[bytes], route: int | None = None) -> None:
        before = len(network.current.to_client)
        to_client(frames, route)
        dropped.extend(frames[len(network.current.to_client) - before :])

    network.to_client = partial(noticing, network)  # type: ignore[method-assign]
    for _ in range(5):
        network.result(3 * QUEUED_MESSAGES)
        network.everything_arrives()
    network.heal()
    assert network.is_done()
    assert dropped == []
    assert network.client.state is State.OPEN
