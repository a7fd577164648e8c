# SPDX-License-Identifier: Apache-2.0
"""Each way in which a connection does not come about, provoked for real on this machine."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
import zmq

from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import (
    ConnectAbortedError,
    EncryptionRequiredError,
    HandshakeError,
    NotEncryptedError,
    NotEnrolledError,
    OwnKeyError,
    ServerIdentityError,
    ServerSilentError,
    ServerUnreachableError,
    WrongServiceError,
)
from scenario_execution_remote.patience import Patience
from scenario_execution_remote.transport import Connection, connect
from tests.support import peers
from tests.support.keys import CLIENT, SERVER

Context = zmq.Context[zmq.Socket[bytes]]

IN_TIME_S = 5.0  # for what ends at once; a busy machine may need part of it
BRIEFLY_S = 0.6  # for what is only given up at the deadline
STRANGER = CLIENT  # a key that is not the server's


class Door:
    """Connects as the client does, and closes what came of it at the end of the test."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.connections: list[Connection] = []
        self.took_s = 0.0

    def open(
        self,
        where: str | int,
        *,
        pinned: bool = False,
        within_s: float = IN_TIME_S,
        abort_fd: int | None = None,
    ) -> Connection:
        endpoint = Endpoint.parse(where if isinstance(where, str) else f"{peers.LOOPBACK}:{where}")
        begin_s = time.monotonic()
        try:
            connection = connect(
                endpoint,
                own=CLIENT if pinned else None,
                server_key=SERVER.public if pinned else None,
                deadline_s=begin_s + within_s,
                context=self.context,
                abort_fd=abort_fd,
            )
        finally:
            self.took_s = time.monotonic() - begin_s
        self.connections.append(connection)
        return connection

    def refuses(
        self, error: type[HandshakeError], where: str | int, *, pinned: bool = False, within_s: float = IN_TIME_S
    ) -> str:
        """The sentence of *error*, which is what opening must end with."""
        with pytest.raises(error) as caught:
            self.open(where, pinned=pinned, within_s=within_s)
        assert type(caught.value) is error
        assert str(caught.value).endswith(caught.value.next_command)
        return str(caught.value)


@pytest.fixture
def door(context: Context) -> Iterator[Door]:
    door = Door(context)
    yield door
    for connection in door.connections:
        connection.close()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder that everybody may enter, with a name that leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def exchange(connection: Connection, server: zmq.Socket[bytes]) -> bytes:
    """Send a word there and back; what comes back."""
    connection.socket.send(b"word")
    assert server.poll(int(IN_TIME_S * 1000))
    server.send_multipart(server.recv_multipart())
    assert connection.socket.poll(int(IN_TIME_S * 1000))
    return connection.socket.recv()


# -- it works -------------------------------------------------------------------------------------------------------


def test_a_plain_server_is_connected_to_and_messages_pass(door: Door) -> None:
    with peers.zmq_server() as server:
        connection = door.open(peers.port_of(server))
        assert not connection.encrypted
        assert exchange(connection, server) == b"word"


def test_a_curve_server_that_admits_us_is_connected_to_and_messages_pass(door: Door) -> None:
    with peers.zmq_server(curve=SERVER, zap=b"200") as server:
        connection = door.open(peers.port_of(server), pinned=True)
        assert connection.encrypted
        assert connection.socket.getsockopt(zmq.MECHANISM) == zmq.CURVE
        assert exchange(connection, server) == b"word"


@pytest.mark.parametrize("pinned", [False, True], ids=["plainly", "pinned"])
def test_a_unix_socket_is_connected_to_with_and_without_a_key(door: Door, short_path: Path, pinned: bool) -> None:
    path = short_path / "se.sock"
    with peers.zmq_server(curve=SERVER if pinned else None, address=f"ipc://{path}") as server:
        assert exchange(door.open(str(path), pinned=pinned), server) == b"word"


def test_ipv6_loopback_is_connected_to(door: Door) -> None:
    with peers.zmq_server(address="tcp://[::1]:*") as server:
        connection = door.open(f"[::1]:{peers.port_of(server)}")
        assert connection.address.zmq_text.startswith("tcp://[::1]:")
        assert exchange(connection, server) == b"word"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:*", "tcp://[::1]:*"])
def test_a_name_with_two_addresses_finds_the_server_on_either(
    door: Door, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(host: str, port: int, **options: int) -> list[object]:
        if options["flags"] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        stream = (socket.SOCK_STREAM, 6, "")
        return [(socket.AF_INET6, *stream, ("::1", port, 0, 0)), (socket.AF_INET, *stream, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with peers.zmq_server(address=address) as server:
        assert exchange(door.open(f"twofold:{peers.port_of(server)}"), server) == b"word"


# -- nobody there ---------------------------------------------------------------------------------------------------


def test_a_closed_port_is_nobody_there_once_the_deadline_has_come(door: Door) -> None:
    sentence = door.refuses(ServerUnreachableError, port := peers.free_port(), within_s=BRIEFLY_S)
    assert "nobody listens" in sentence
    assert sentence.endswith(f"scenario_execution_server --port {port} --curve")
    assert door.took_s < BRIEFLY_S + 0.5


def test_a_port_that_answers_nothing_is_told_from_a_closed_one(door: Door) -> None:
    with peers.dropping() as port:
        assert "neither yes nor no" in door.refuses(ServerUnreachableError, port, within_s=BRIEFLY_S)
    assert door.took_s < BRIEFLY_S + 0.5


def test_a_host_name_that_does_not_exist_is_named_within_the_deadline(door: Door) -> None:
    sentence = door.refuses(ServerUnreachableError, "no-such-host.invalid", within_s=BRIEFLY_S)
    assert sentence.endswith("getent hosts no-such-host.invalid")
    assert door.took_s < BRIEFLY_S + 0.5


def test_a_name_server_that_never_answers_does_not_hold_us_beyond_the_deadline(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(host: str, port: int, **options: int) -> list[object]:
        if options["flags"] & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        released.wait(IN_TIME_S)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert "no name server answers" in door.refuses(ServerUnreachableError, "robot", within_s=BRIEFLY_S)
    assert door.took_s < BRIEFLY_S + 0.5
    released.set()
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join(IN_TIME_S)


def test_a_missing_socket_file_is_nobody_there_once_the_deadline_has_come(door: Door, short_path: Path) -> None:
    sentence = door.refuses(ServerUnreachableError, str(short_path / "se.sock"), within_s=BRIEFLY_S)
    assert "no such socket" in sentence
    assert sentence.endswith(f"scenario_execution_server --socket {short_path}/se.sock")


def test_a_socket_file_whose_server_is_gone_is_nobody_there(door: Door, short_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(short_path / "se.sock"))
    assert "nobody listens" in door.refuses(ServerUnreachableError, str(short_path / "se.sock"), within_s=BRIEFLY_S)


def a_file(path: Path) -> None:
    path.write_text("not a socket")


@pytest.mark.parametrize("place", [a_file, Path.mkdir], ids=["file", "folder"])
def test_a_path_that_is_no_socket_is_said_at_once(
    door: Door, short_path: Path, place: Callable[[Path], object]
) -> None:
    place(path := short_path / "se.sock")
    assert "not a socket" in door.refuses(ServerUnreachableError, str(path))


def test_a_socket_file_that_is_not_ours_is_said_at_once(short_path: Path) -> None:
    path = short_path / "se.sock"
    with peers.zmq_server(address=f"ipc://{path}"):
        path.chmod(0)

        def attempt() -> None:
            context: Context = zmq.Context()
            try:
                Door(context).open(str(path))
            finally:
                context.destroy(linger=0)

        with pytest.raises(ServerUnreachableError, match="may not connect.*permission denied") as caught:
            peers.call_without_file_rights(attempt)
        assert str(caught.value).endswith(f"ls -l {path}")


# -- somebody else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pinned", [False, True], ids=["plainly", "pinned"])
def test_a_web_server_is_named_long_before_the_deadline(door: Door, pinned: bool) -> None:
    with peers.web_server() as port:
        sentence = door.refuses(WrongServiceError, port, pinned=pinned)
    assert "a web server answers" in sentence and "DOCTYPE" in sentence
    assert door.took_s < IN_TIME_S


@pytest.mark.parametrize("hang_up", [False, True])
def test_an_ssh_server_is_named_and_quoted(door: Door, hang_up: bool) -> None:
    with peers.talker(b"SSH-2.0-OpenSSH_9.2\r\n", hang_up=hang_up) as port:
        assert "an SSH server answers at" in door.refuses(WrongServiceError, port)
        assert 'it said "SSH-2.0-OpenSSH_9.2"' in door.refuses(WrongServiceError, port, pinned=True)


def test_what_another_service_says_cannot_flood_or_steer_the_terminal(door: Door) -> None:
    with peers.talker(b"\x1b[2J\x00\xe2\x80\xae" + b"x" * 100_000, hang_up=False) as port:
        sentence = door.refuses(WrongServiceError, port)
    assert sentence.isprintable() and sentence.isascii() and len(sentence) < 400


def test_a_zeromq_from_before_security_is_named(door: Door) -> None:
    with peers.talker(b"\xff" + bytes(7) + b"\x01\x7f\x01", hang_up=False) as port:
        assert "ZeroMQ 3 or older" in door.refuses(WrongServiceError, port, pinned=True)


def test_a_zeromq_program_of_another_kind_is_named(door: Door) -> None:
    with peers.zmq_server(kind=zmq.PUB) as server:
        assert "another ZeroMQ program" in door.refuses(WrongServiceError, peers.port_of(server))


def test_a_port_that_accepts_and_says_nothing_is_silent_and_not_unreachable(door: Door) -> None:
    with peers.mute() as port:
        assert "says nothing" in door.refuses(ServerSilentError, port, pinned=True, within_s=BRIEFLY_S)
        assert door.took_s < BRIEFLY_S + 0.5
        assert "says nothing" in door.refuses(ServerSilentError, port, within_s=BRIEFLY_S)


def test_a_port_that_accepts_and_hangs_up_may_be_a_forwarder_and_is_tried_until_the_deadline(door: Door) -> None:
    met = threading.Semaphore(0)
    with peers.talker(b"", hang_up=True, meet=met.release) as port:
        assert "without a word" in door.refuses(ServerSilentError, port, within_s=BRIEFLY_S)
    assert all(met.acquire(blocking=False) for _ in range(4))  # two attempts at least, each with its look


def test_a_greeting_that_stops_halfway_is_silence(door: Door) -> None:
    with peers.talker(b"\xff" + bytes(7) + b"\x01\x7f\x03", hang_up=False) as port:
        assert "does not go on" in door.refuses(ServerSilentError, port, within_s=BRIEFLY_S)


# -- not as agreed --------------------------------------------------------------------------------------------------


def test_a_pinned_server_that_does_not_encrypt_is_refused_and_never_spoken_to_plainly(door: Door) -> None:
    with peers.zmq_server() as server:
        sentence = door.refuses(NotEncryptedError, peers.port_of(server), pinned=True)
        assert "it speaks NULL" in sentence and SERVER.public.fingerprint in sentence
        assert sentence.endswith("--curve")
        assert not server.poll(0)


def test_a_pinned_server_that_wants_a_password_is_refused(door: Door) -> None:
    with peers.zmq_server(plain=True) as server:
        assert "it speaks PLAIN" in door.refuses(NotEncryptedError, peers.port_of(server), pinned=True)


def test_a_server_that_wants_a_password_is_no_server_of_ours(door: Door) -> None:
    with peers.zmq_server(plain=True) as server:
        assert "demands PLAIN" in door.refuses(WrongServiceError, peers.port_of(server))


def test_a_server_that_demands_curve_sends_for_its_key(door: Door) -> None:
    with peers.zmq_server(curve=SERVER, zap=b"200") as server:
        sentence = door.refuses(EncryptionRequiredError, port := peers.port_of(server))
    assert sentence.endswith(f"se-remote trust 127.0.0.1:{port} sepub-...")


def test_a_wrong_server_key_is_reported_as_probable_with_the_expected_fingerprint(door: Door) -> None:
    with peers.zmq_server(curve=STRANGER, zap=b"200") as server:
        sentence = door.refuses(ServerIdentityError, peers.port_of(server), pinned=True)
    assert "probably" in sentence and SERVER.public.fingerprint in sentence


def test_a_key_that_is_not_enrolled_is_reported_at_once_with_the_command_for_the_server(door: Door) -> None:
    with peers.zmq_server(curve=SERVER, zap=b"400") as server:
        sentence = door.refuses(NotEnrolledError, peers.port_of(server), pinned=True)
    assert CLIENT.public.fingerprint in sentence
    assert sentence.endswith(f"se-server enrol NAME {CLIENT.public.text}")
    assert door.took_s < 1.0


def test_a_server_that_denies_clients_without_a_key_is_told_from_a_silent_one(door: Door) -> None:
    with peers.zmq_server(zap=b"400") as server:
        assert "clients without a key" in door.refuses(NotEnrolledError, peers.port_of(server))


def test_a_dead_authenticator_is_not_mistaken_for_a_refusal_or_a_wrong_key(door: Door) -> None:
    with peers.zmq_server(curve=SERVER, zap_never_answers=True) as server:
        sentence = door.refuses(ServerSilentError, peers.port_of(server), pinned=True, within_s=BRIEFLY_S)
    assert "authenticator" in sentence


def test_a_missing_authenticator_looks_like_a_wrong_key_because_the_server_hangs_up_alike(door: Door) -> None:
    # Our own server ends when it loses its authenticator; for others "probably" has to do.
    with peers.zmq_server(curve=SERVER, enforce_zap=True) as server:
        assert "probably" in door.refuses(ServerIdentityError, peers.port_of(server), pinned=True)


def test_an_authenticator_that_fails_is_not_a_refusal(door: Door) -> None:
    with peers.zmq_server(curve=SERVER, zap=b"500") as server:
        assert "500" in door.refuses(ServerSilentError, peers.port_of(server), pinned=True, within_s=BRIEFLY_S)


def test_a_pinned_server_is_not_spoken_to_without_a_key_of_our_own(context: Context) -> None:
    with peers.talker(b"", hang_up=True, meet=lambda: pytest.fail("it was spoken to")) as port:
        with pytest.raises(OwnKeyError) as caught:
            connect(
                Endpoint.parse(f"127.0.0.1:{port}"),
                own=None,
                server_key=SERVER.public,
                deadline_s=time.monotonic() + IN_TIME_S,
                context=context,
            )
    assert str(caught.value).endswith("se-remote keygen")


# -- when to go on, when to stop ------------------------------------------------------------------------------------


@pytest.mark.parametrize("pinned", [False, True], ids=["plainly", "pinned"])
def test_a_server_that_starts_after_us_is_met(door: Door, monkeypatch: pytest.MonkeyPatch, pinned: bool) -> None:
    port = peers.free_port()
    pause = Patience.pause
    with ExitStack() as server:

        def start_instead(patience: Patience, seconds: float) -> None:
            monkeypatch.setattr(Patience, "pause", pause)
            address = f"tcp://127.0.0.1:{port}"
            server.enter_context(peers.zmq_server(curve=SERVER if pinned else None, address=address))

        monkeypatch.setattr(Patience, "pause", start_instead)
        door.open(port, pinned=pinned)


def test_a_server_behind_a_unix_socket_that_starts_after_us_is_met(
    door: Door, monkeypatch: pytest.MonkeyPatch, short_path: Path
) -> None:
    path = short_path / "se.sock"
    pause = Patience.pause
    with ExitStack() as server:

        def start_instead(patience: Patience, seconds: float) -> None:
            monkeypatch.setattr(Patience, "pause", pause)
            server.enter_context(peers.zmq_server(address=f"ipc://{path}"))

        monkeypatch.setattr(Patience, "pause", start_instead)
        door.open(str(path))


@pytest.mark.parametrize("peer", [peers.mute, peers.dropping])
def test_connecting_stops_when_the_caller_says_so(door: Door, peer: Callable[[], AbstractContextManager[int]]) -> None:
    stop, say_stop = socket.socketpair()
    with stop, say_stop, peer() as port:
        timer = threading.Timer(0.05, say_stop.send, (b"x",))  # while it waits for the peer
        timer.start()
        with pytest.raises(ConnectAbortedError):
            door.open(port, abort_fd=stop.fileno())
        timer.join()
        assert stop.recv(2) == b"x"  # left for the caller to read
    assert door.took_s < IN_TIME_S


def test_a_deadline_that_is_over_already_is_an_error_with_a_reason(door: Door) -> None:
    door.refuses(ServerUnreachableError, peers.free_port(), within_s=-1.0)


def test_nothing_is_left_open_by_failures_of_any_kind(short_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    context: Context = zmq.Context()
    door = Door(context)
    with peers.talker(b"SSH-2.0-x\r\n", hang_up=True) as ssh, peers.zmq_server(curve=SERVER, zap=b"400") as server:
        door.refuses(WrongServiceError, ssh)
        door.refuses(NotEnrolledError, peers.port_of(server), pinned=True)
        door.refuses(EncryptionRequiredError, peers.port_of(server))
        door.refuses(ServerUnreachableError, str(short_path / "se.sock"), within_s=0.1)
        door.refuses(ServerUnreachableError, "no-such-host.invalid", within_s=BRIEFLY_S)
    context.term()  # would hang if a socket were open
    for thread in threading.enumerate():
        if thread.name == "resolver":
            thread.join(IN_TIME_S)
    assert sorted(os.listdir("/proc/self/fd")) == before
