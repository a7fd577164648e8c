# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import zmq

from scenario_execution_remote.connection import MAX_MESSAGE_BYTES, LinkChange, LinkEvent
from scenario_execution_remote.diagnosis import Attempt, Outcome
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import NotEncryptedError, NotEnrolledError
from scenario_execution_remote.transport import Connection, connect, settle
from tests.support import peers
from tests.support.keys import CLIENT, SERVER

Context = zmq.Context[zmq.Socket[bytes]]
DEADLINE_S = 10.0


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connected(context: Context, server: zmq.Socket[bytes], *, pinned: bool) -> Connection:
    return connect(
        Endpoint.parse(f"127.0.0.1:{peers.port_of(server)}"),
        own=CLIENT if pinned else None,
        server_key=SERVER.public if pinned else None,
        deadline_s=time.monotonic() + DEADLINE_S,
        context=context,
    )


def wait_for(connection: Connection, *wanted: LinkChange) -> LinkEvent:
    """The next event of these kinds; others that come before are passed over."""
    until_s = time.monotonic() + DEADLINE_S
    while connection.monitor.poll(max(0, int((until_s - time.monotonic()) * 1000))):
        for event in connection.events():
            if event.change in wanted:
                return event
    raise AssertionError(f"none of {wanted} in {DEADLINE_S} s")


def test_a_fresh_connection_has_nothing_to_tell(context: Context, servers: ExitStack) -> None:
    connection = connected(context, servers.enter_context(peers.zmq_server()), pinned=False)
    assert connection.events() == []
    connection.close()


@pytest.mark.parametrize("pinned", [False, True], ids=["plainly", "pinned"])
def test_a_server_that_goes_and_comes_back_is_down_then_unreachable_then_up(context: Context, pinned: bool) -> None:
    curve = SERVER if pinned else None
    with peers.zmq_server(curve=curve) as server:
        address = f"tcp://127.0.0.1:{peers.port_of(server)}"
        connection = connected(context, server, pinned=pinned)
    wait_for(connection, LinkChange.DOWN)
    wait_for(connection, LinkChange.UNREACHABLE)
    with pytest.raises(zmq.Again):  # nothing is queued for a server that may never come back
        connection.socket.send(b"lost?", zmq.NOBLOCK)
    with peers.zmq_server(curve=curve, address=address) as server:
        wait_for(connection, LinkChange.UP)
        connection.socket.send(b"again")
        assert server.poll(int(DEADLINE_S * 1000)) and server.recv_multipart()[1] == b"again"
        connection.close()


def test_a_server_that_comes_back_and_does_not_admit_us_any_more_ends_the_link(context: Context) -> None:
    with peers.zmq_server(curve=SERVER, zap=b"200") as server:
        address = f"tcp://127.0.0.1:{peers.port_of(server)}"
        connection = connected(context, server, pinned=True)
    with peers.zmq_server(curve=SERVER, zap=b"400", address=address):
        refused = wait_for(connection, LinkChange.REFUSED)
        with pytest.raises(NotEnrolledError, match=f"{CLIENT.public.fingerprint}"):
            settle(connection, refused)
        connection.close()


def test_a_server_that_comes_back_without_encryption_ends_the_link(context: Context) -> None:
    with peers.zmq_server(curve=SERVER) as server:
        address = f"tcp://127.0.0.1:{peers.port_of(server)}"
        connection = connected(context, server, pinned=True)
    with peers.zmq_server(address=address) as server:
        # It hangs up when it has read what we speak; which of the two events comes depends on who reads first.
        failed = wait_for(connection, LinkChange.REFUSED, LinkChange.UNCONVINCED)
        with pytest.raises(NotEncryptedError, match="does not encrypt \\(it speaks NULL\\)"):
            settle(connection, failed)
        assert not server.poll(0)
        connection.close()


def test_who_hangs_up_before_it_has_been_understood_is_looked_at(context: Context) -> None:
    hung_up = LinkEvent(change=LinkChange.UNCONVINCED, attempt=Attempt(outcome=Outcome.BROKEN_OFF))
    with peers.zmq_server(curve=SERVER) as server:
        address = f"tcp://127.0.0.1:{peers.port_of(server)}"
        connection = connected(context, server, pinned=True)
        settle(connection, hung_up)  # a server that encrypts: it may have been stopping
    settle(connection, hung_up)  # and nobody there may be one that is just starting
    with peers.zmq_server(address=address), pytest.raises(NotEncryptedError):
        settle(connection, hung_up)
    connection.close()


def test_a_server_that_comes_back_with_another_key_is_told_and_never_trusted(context: Context) -> None:
    with peers.zmq_server(curve=SERVER) as server:
        address = f"tcp://127.0.0.1:{peers.port_of(server)}"
        connection = connected(context, server, pinned=True)
    with peers.zmq_server(curve=CLIENT, address=address) as server:
        settle(connection, wait_for(connection, LinkChange.UNCONVINCED))  # it may be the announced one next time
        assert not server.poll(0)
        connection.close()


def test_closing_twice_is_the_same_as_closing_once(context: Context, servers: ExitStack) -> None:
    connection = connected(context, servers.enter_context(peers.zmq_server()), pinned=False)
    connection.close()
    connection.close()
    assert connection.socket.closed and connection.monitor.closed
    assert connection.events() == []


def test_what_was_sent_before_closing_still_leaves(context: Context, servers: ExitStack) -> None:
    server = servers.enter_context(peers.zmq_server())
    connection = connected(context, server, pinned=False)
    connection.socket.send(b"bye")
    connection.close(linger_s=DEADLINE_S)
    assert server.poll(int(DEADLINE_S * 1000)) and server.recv_multipart()[1] == b"bye"


def test_a_message_of_the_greatest_size_arrives_and_a_greater_one_takes_the_connection_down(
    context: Context, servers: ExitStack
) -> None:
    server = servers.enter_context(peers.zmq_server())
    connection = connected(context, server, pinned=False)
    connection.socket.send(b"who am I")
    assert server.poll(int(DEADLINE_S * 1000))
    name, _ = server.recv_multipart()
    server.send_multipart([name, bytes(MAX_MESSAGE_BYTES)])
    assert connection.socket.poll(int(DEADLINE_S * 1000))
    assert len(connection.socket.recv()) == MAX_MESSAGE_BYTES
    server.send_multipart([name, bytes(MAX_MESSAGE_BYTES + 1)])
    wait_for(connection, LinkChange.DOWN)
    connection.close()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES),
        (zmq.HANDSHAKE_IVL, 3000),
        (zmq.HEARTBEAT_IVL, 1000),
        (zmq.HEARTBEAT_TIMEOUT, 5000),
        (zmq.HEARTBEAT_TTL, 5000),
        (zmq.RECONNECT_IVL, 100),
        (zmq.RECONNECT_IVL_MAX, 2000),
        (zmq.IMMEDIATE, 1),
        (zmq.LINGER, 0),
        (zmq.TCP_KEEPALIVE, 1),
        (zmq.IPV6, 0),
    ],
)
def test_the_socket_is_set_as_the_reasons_in_the_code_say(
    context: Context, servers: ExitStack, option: int, value: int
) -> None:
    connection = connected(context, servers.enter_context(peers.zmq_server()), pinned=False)
    assert connection.socket.getsockopt(option) == value
    connection.close()
