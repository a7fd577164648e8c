# SPDX-License-Identifier: Apache-2.0
"""What strangers send instead of a handshake: nothing comes in, and whoever behaves is served all the while.

The cases are those of libzmq's own test_security_curve and of its fuzzers, and a few more.
"""

from __future__ import annotations

import contextlib
import random
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from scenario_execution_keys.keypair import KeyPair, PublicKey, SecretKey
from scenario_execution_server import listener
from tests.support.doors import STRANGER, Client, Site, curve, plain, unix
from tests.support.keys import CLIENT, SERVER
from tests.support.zmtp import CurveHandshake, RawPeer, frame, greeting, plain_hello, properties

Command = Callable[[CurveHandshake], bytes]
METADATA = properties(Socket_Type=b"DEALER")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A CURVE door, at which whoever behaves is served after each test."""
    with curve(tmp_path) as opened:
        yield opened
        with opened.client() as good:
            opened.ask(good)
        assert {payload for _, payload in opened.heard} == {b"hello"}, "something came in that should not have"


def spoilt(body: bytes, place: int) -> bytes:
    return body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]


# -- through libzmq's own client ---------------------------------------------------------------------------------------


def unsafe_pair(public: PublicKey, secret: SecretKey) -> KeyPair:
    """Two keys that do not belong together, past the check that they do."""
    pair = object.__new__(KeyPair)
    object.__setattr__(pair, "public", public)
    object.__setattr__(pair, "secret", secret)
    return pair


def refuses(site: Site, *events: int, **client: object) -> None:
    with site.client(**client) as refused:
        assert refused.event() in events


# Whichever side sees first that the mechanisms differ closes; the client's monitor tells which one it was.
EITHER_SIDE = (zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)


def test_a_client_with_another_servers_key_does_not_come_in(site: Site) -> None:
    refuses(site, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, server=STRANGER.public)


def with_keys(**keys: bytes) -> Callable[[zmq.Socket[bytes]], None]:
    def prepare(socket: zmq.Socket[bytes]) -> None:
        for name, value in keys.items():
            socket.setsockopt(getattr(zmq, name), value)

    return prepare


ZERO = b"0" * 40


def test_a_client_with_the_null_key_as_the_servers_does_not_come_in(site: Site) -> None:
    refuses(site, *EITHER_SIDE, prepare=with_keys(CURVE_SERVERKEY=ZERO))


def test_a_client_with_the_null_key_as_its_public_key_does_not_come_in(site: Site) -> None:
    refuses(site, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, prepare=with_keys(CURVE_PUBLICKEY=ZERO))


def test_a_client_with_the_null_key_as_its_secret_key_does_not_come_in(site: Site) -> None:
    refuses(site, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, prepare=with_keys(CURVE_SECRETKEY=ZERO))


def test_a_client_whose_enrolled_public_key_has_another_secret_does_not_come_in(site: Site) -> None:
    pair = unsafe_pair(CLIENT.public, STRANGER.secret)
    refuses(site, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, pair=pair)


def test_a_client_with_a_bogus_pair_is_told_that_its_key_is_not_admitted(site: Site) -> None:
    refuses(site, zmq.EVENT_HANDSHAKE_FAILED_AUTH, pair=STRANGER)


def test_a_client_without_encryption_does_not_come_in(site: Site) -> None:
    refuses(site, *EITHER_SIDE, server=None)


def test_a_client_with_a_password_does_not_come_in(site: Site) -> None:
    def password(socket: zmq.Socket[bytes]) -> None:
        socket.plain_username = b"admin"
        socket.plain_password = b"password"

    refuses(site, *EITHER_SIDE, server=None, prepare=password)


@pytest.mark.parametrize("length", [0, 31, 39, 41])
def test_libzmq_takes_no_key_of_another_size(length: int) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    for option in (zmq.CURVE_SERVERKEY, zmq.CURVE_PUBLICKEY, zmq.CURVE_SECRETKEY):
        with pytest.raises(zmq.ZMQError):
            socket.setsockopt(option, b"x" * length)
    socket.close()
    context.term()


def test_a_routing_id_of_255_bytes_is_served_like_any_other(site: Site) -> None:
    with site.client(prepare=lambda socket: socket.setsockopt(zmq.ROUTING_ID, b"\xff" * 255)) as client:
        assert site.ask(client).name == "friend"


# -- byte by byte ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", [b"NULL", b"PLAIN", b"GSSAPI", b"", b"CURVE2", b"curve", b"X" * 20])
def test_a_greeting_with_another_mechanism_is_shut_out(site: Site, mechanism: bytes) -> None:
    with RawPeer(site.address) as peer:
        assert peer.greet(mechanism) == b"CURVE"
        assert peer.is_shut_out()


def test_a_password_after_a_curve_greeting_is_shut_out(site: Site) -> None:
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(plain_hello(b"admin", b"admin"), command=True))
        assert peer.is_shut_out()


def test_a_ready_without_security_after_a_curve_greeting_is_shut_out(site: Site) -> None:
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(b"\x05READY" + METADATA, command=True))
        assert peer.is_shut_out()


@pytest.mark.parametrize(
    "old",
    [
        b"\x01\x00" + b"\x06\x00hello",  # ZMTP 1.0: an empty routing id, a message
        b"\xff" + bytes(7) + b"\x01\x7f" + b"\x00\x05" + b"\x00\x00" + b"\x00\x05hello",  # ZMTP 1.0, versioned
        b"\xff" + bytes(7) + b"\x01\x7f" + b"\x01\x05" + b"\x00\x00" + b"\x00\x05hello",  # ZMTP 2.0
    ],
    ids=["1.0", "1.0 versioned", "2.0"],
)
@pytest.mark.parametrize("door", [curve, plain, unix])
def test_a_peer_from_before_there_was_security_does_not_come_in(
    tmp_path: Path, door: Callable[[Path], contextlib.AbstractContextManager[Site]], old: bytes
) -> None:
    with door(tmp_path) as site, RawPeer(site.address) as peer:
        peer.send(old)
        assert_closed(peer)
        with site.client() as good:
            site.ask(good)
        assert len(site.heard) == 1


def assert_closed(peer: RawPeer) -> None:
    """Read, greeting included, until the server closes."""
    with pytest.raises(EOFError):
        while True:
            peer.read(1)


def test_where_zap_is_off_a_web_page_that_posts_to_localhost_would_be_heard() -> None:
    """Why also the plain door asks the authenticator: without it, ZMTP 1.0 is taken, and HTTP can be read as that."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with RawPeer(("127.0.0.1", port)) as page:
        page.send(web_page())
        assert router.poll(10_000)
        parts = router.recv_multipart()
    router.close(0)
    context.term()
    assert b"run this" in parts


def web_page() -> bytes:
    """A POST whose request line and headers are skipped as one ZMTP 1.0 frame each, and whose body is then a message.

    'P' is taken for the length of the routing id, which ends inside the headers; what follows there is up to the page.
    """
    length = b"P"[0]  # of flags and body
    head = b"POST /" + b"x" * (length - 5)
    frames = b"\x09\x00run this"
    return head + frames


def test_a_web_page_that_posts_to_the_plain_door_is_not_heard(tmp_path: Path) -> None:
    with plain(tmp_path) as site:
        with RawPeer(site.address) as page:
            page.send(web_page())
            assert_closed(page)
        with site.client() as good:
            site.ask(good)
        assert [payload for _, payload in site.heard] == [b"hello"]


HELLOS: dict[str, Command] = {
    "too short": lambda handshake: handshake.hello()[:-1],
    "too long": lambda handshake: handshake.hello() + b"\0",
    "empty": lambda handshake: b"",
    "name alone": lambda handshake: b"\x05HELLO",
    "another name": lambda handshake: handshake.hello().replace(b"HELLO", b"HELLP"),
    "length of its name beyond its end": lambda handshake: b"\xff" + handshake.hello()[1:],
    "another version": lambda handshake: handshake.hello(version=b"\x02\x00"),
    "version 0.0": lambda handshake: handshake.hello(version=b"\x00\x00"),
    "spoilt signature": lambda handshake: spoilt(handshake.hello(), 150),
    "all zeros": lambda handshake: b"\x05HELLO\x01\x00" + bytes(192),
    "an INITIATE": lambda handshake: b"\x08INITIATE" + bytes(300),
    "a MESSAGE": lambda handshake: b"\x07MESSAGE" + bytes(40),
    "an ERROR": lambda handshake: b"\x05ERROR\x03bad",
    "a PING": lambda handshake: b"\x04PING\x00\x00",
}


@pytest.mark.parametrize("case", HELLOS)
def test_a_bad_hello_is_shut_out(site: Site, case: str) -> None:
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(HELLOS[case](CurveHandshake(SERVER.public, CLIENT)), command=True))
        assert peer.is_shut_out()


INITIATES: dict[str, Command] = {
    "too short": lambda handshake: handshake.initiate(METADATA)[:200],
    "too short by one": lambda handshake: handshake.initiate(METADATA)[:-1],
    "too long": lambda handshake: handshake.initiate(METADATA) + b"\0",
    "name alone": lambda handshake: b"\x08INITIATE",
    "another name": lambda handshake: handshake.initiate(METADATA).replace(b"INITIATE", b"INITIATF"),
    "corrupted cookie nonce": lambda handshake: spoilt(handshake.initiate(METADATA), 9),
    "corrupted cookie": lambda handshake: spoilt(handshake.initiate(METADATA), 60),
    "cookie of zeros": lambda handshake: handshake.initiate(METADATA, cookie=bytes(96)),
    "corrupted content": lambda handshake: spoilt(handshake.initiate(METADATA), 150),
    "corrupted vouch": lambda handshake: spoilt(handshake.initiate(METADATA), 220),
    "metadata that ends in a name": lambda handshake: handshake.initiate(b"\x0bSocket"),
    "metadata that ends in a value": lambda handshake: handshake.initiate(b"\x01a\xff\xff\xff\xffx"),
    "metadata of another socket type": lambda handshake: handshake.initiate(properties(Socket_Type=b"PUB")),
    "a second HELLO": lambda handshake: handshake.hello(),
}


@pytest.mark.parametrize("case", INITIATES)
def test_a_bad_initiate_is_shut_out(site: Site, case: str) -> None:
    handshake = CurveHandshake(SERVER.public, CLIENT)
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(handshake.hello(), command=True))
        handshake.take_welcome(peer.read_frame())
        peer.send(frame(INITIATES[case](handshake), command=True))
        assert peer.is_shut_out()


def test_the_cookie_of_another_connection_is_shut_out(site: Site) -> None:
    one, other = CurveHandshake(SERVER.public, CLIENT), CurveHandshake(SERVER.public, CLIENT)
    with RawPeer(site.address) as first, RawPeer(site.address) as second:
        for peer, handshake in ((first, one), (second, other)):
            peer.greet(b"CURVE")
            peer.send(frame(handshake.hello(), command=True))
            handshake.take_welcome(peer.read_frame())
        second.send(frame(other.initiate(METADATA, cookie=one.cookie), command=True))
        assert second.is_shut_out()


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "spoilt": lambda body: spoilt(body, 30),
    "cut short": lambda body: body[:20],
    "not encrypted": lambda body: b"in the clear",
}


@pytest.mark.parametrize("case", FORGERIES)
def test_a_forged_message_on_an_admitted_connection_is_not_heard(site: Site, case: str) -> None:
    handshake = CurveHandshake(SERVER.public, CLIENT)
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(frame(handshake.hello(), command=True))
        handshake.take_welcome(peer.read_frame())
        peer.send(frame(handshake.initiate(METADATA), command=True))
        assert not peer.is_shut_out()
        peer.send(frame(FORGERIES[case](handshake.message(b"forged"))))
        assert_closed(peer)


def test_a_stranger_cannot_make_the_server_wait_for_a_gigabyte(site: Site) -> None:
    with RawPeer(site.address) as peer:
        peer.greet(b"CURVE")
        peer.send(struct.pack(">BQ", 6, 2**30) + bytes(1000))
        assert_closed(peer)


def test_half_open_peers_are_closed_after_a_while_and_hold_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_WITHIN_MS", 500)
    with curve(tmp_path) as site:
        silent = [RawPeer(site.address) for _ in range(200)]
        for number, peer in enumerate(silent):
            peer.send(greeting(b"CURVE")[: number % 64])
        with site.client() as good:
            for _ in range(20):
                site.ask(good)
        for peer in silent:
            assert_closed(peer)
            peer.close()


def test_a_junk_peer_and_a_good_client_at_the_same_time(site: Site) -> None:
    dice = random.Random(7613)
    prefixes = [
        b"",
        greeting(b"CURVE"),
        greeting(b"CURVE") + frame(b"\x05HELLO\x01\x00", command=True),
        greeting(b"NULL"),
    ]
    stop = threading.Event()

    def throw_junk() -> None:
        while not stop.is_set():
            with RawPeer(site.address) as peer:
                try:
                    peer.send(dice.choice(prefixes) + dice.randbytes(dice.randrange(1, 2000)))
                except (BrokenPipeError, ConnectionResetError):
                    continue

    junk = threading.Thread(target=throw_junk)
    junk.start()
    try:
        with site.client() as good:
            for _ in range(200):
                assert site.ask(good).name == "friend"
    finally:
        stop.set()
        junk.join(10)
    assert {payload for _, payload in site.heard} == {b"hello"}


def test_strangers_who_knock_without_end_hold_up_nobody(site: Site) -> None:
    with Client(site.endpoint, server=STRANGER.public), site.client(pair=STRANGER), site.client() as good:
        for _ in range(100):
            assert site.ask(good).name == "friend"
