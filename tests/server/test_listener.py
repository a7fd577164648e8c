# SPDX-License-Identifier: Apache-2.0
"""The ways in which authentication is silently off: each shown to be real, and each shut in our doors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from zmq.auth.thread import ThreadAuthenticator

from scenario_execution_server.admission import ZAP_DOMAINS, Admission
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.config import DoorKind, TcpDoor
from scenario_execution_server.errors import GuardError, LibraryError
from scenario_execution_server.listener import assert_guarded, check_library, open_tcp
from tests.support.doors import STRANGER, Client, Context, curve, open_site, plain
from tests.support.keys import CLIENT, SERVER

DOOR = TcpDoor(host="127.0.0.1", port=0, curve=True, exposed=False)
NOBODY_ENROLLED = Admission({})


Spoil = Callable[[zmq.Socket[bytes]], object]


class Bench:
    """A context, and the sockets made in it; all end together."""

    def __init__(self) -> None:
        self.context: Context = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def router(self) -> zmq.Socket[bytes]:
        socket = self.context.socket(zmq.ROUTER)
        self._sockets.append(socket)
        return socket

    def naive_router(self, **options: object) -> str:
        """The endpoint of a ROUTER that was set up the obvious way, with more options."""
        router = self.router()
        router.curve_server = True
        router.curve_secretkey = SERVER.secret.reveal_z85().encode()
        for name, value in options.items():
            setattr(router, name, value)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        return f"tcp://127.0.0.1:{port}"

    def close(self) -> None:
        for socket in self._sockets:
            socket.close(0)
        self.context.term()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


@pytest.fixture
def doorkeeper(bench: Bench) -> Iterator[Doorkeeper]:
    made = Doorkeeper(bench.context, NOBODY_ENROLLED)
    made.start()
    yield made
    made.stop()


def lets_in(endpoint: str, *, encrypted: bool = True) -> bool:
    """Whether a stranger comes in."""
    with Client(endpoint, server=SERVER.public if encrypted else None, pair=STRANGER) as client:
        return client.event() == zmq.EVENT_HANDSHAKE_SUCCEEDED


# -- no authenticator behind the door --------------------------------------------------------------------------------


def test_a_curve_socket_with_a_domain_but_no_authenticator_would_let_everybody_in(bench: Bench) -> None:
    assert lets_in(bench.naive_router(zap_domain=b"global"))


def test_our_door_lets_nobody_in_after_its_authenticator_stopped(bench: Bench, doorkeeper: Doorkeeper) -> None:
    listener = open_tcp(bench.context, doorkeeper, DOOR, SERVER)
    doorkeeper.stop()
    came_in = lets_in(listener.endpoint)
    listener.close()
    assert not came_in


def test_a_stopped_authenticator_would_reopen_a_naive_door(bench: Bench) -> None:
    authenticator = ThreadAuthenticator(bench.context)
    authenticator.start()
    authenticator.configure_curve("global", location="/nonexistent")
    endpoint = bench.naive_router(zap_domain=b"global")
    closed_before = not lets_in(endpoint)
    authenticator.stop()
    assert closed_before
    assert lets_in(endpoint)


# -- the authenticator of another context ----------------------------------------------------------------------------


def test_an_authenticator_of_another_context_would_never_be_asked(bench: Bench) -> None:
    elsewhere: Context = zmq.Context()
    authenticator = ThreadAuthenticator(elsewhere)
    authenticator.start()
    assert lets_in(bench.naive_router(zap_domain=b"global"))
    authenticator.stop()
    elsewhere.term()


def test_no_door_is_opened_in_another_context_than_its_authenticators(bench: Bench) -> None:
    elsewhere: Context = zmq.Context()
    with pytest.raises(GuardError, match="another context"):
        open_tcp(elsewhere, Doorkeeper(bench.context, NOBODY_ENROLLED), DOOR, SERVER)
    elsewhere.term()


def test_no_door_is_opened_before_its_authenticator_runs(bench: Bench) -> None:
    with pytest.raises(GuardError, match="not running"):
        open_tcp(bench.context, Doorkeeper(bench.context, NOBODY_ENROLLED), DOOR, SERVER)


# -- options that switch each other off ------------------------------------------------------------------------------


def guarded_router(bench: Bench, *, domain: bytes = ZAP_DOMAINS[DoorKind.TCP_CURVE].encode()) -> zmq.Socket[bytes]:
    """A ROUTER that passes the reading back, to be spoilt in one point."""
    router = bench.router()
    if domain:
        router.zap_domain = domain
    router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    router.setsockopt(zmq.MAXMSGSIZE, 8 * 1024 * 1024 + 33)
    router.curve_server = True
    router.curve_secretkey = SERVER.secret.reveal_z85().encode()
    return router


SPOILT: dict[str, tuple[Spoil, str]] = {
    "another domain": (lambda router: setattr(router, "zap_domain", b"global"), "an authentication domain"),
    "no enforcement": (lambda router: router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 0), "enforced authentication"),
    "no curve": (lambda router: setattr(router, "curve_server", False), "the right mechanism"),
    "plain": (lambda router: setattr(router, "plain_server", True), "the right mechanism"),
    "no size limit": (lambda router: router.setsockopt(zmq.MAXMSGSIZE, -1), "a size limit"),
    "bound already": (lambda router: router.bind("tcp://127.0.0.1:*"), "no endpoint yet"),
}


def test_a_door_with_everything_it_needs_passes(bench: Bench) -> None:
    assert_guarded(guarded_router(bench), DoorKind.TCP_CURVE)


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_door_that_lacks_one_thing_is_not_opened(bench: Bench, spoilt: str) -> None:
    spoil, named = SPOILT[spoilt]
    router = guarded_router(bench)
    spoil(router)
    with pytest.raises(GuardError, match=named):
        assert_guarded(router, DoorKind.TCP_CURVE)


def test_a_door_with_an_empty_domain_is_not_opened(bench: Bench) -> None:
    with pytest.raises(GuardError, match="an authentication domain"):
        assert_guarded(guarded_router(bench, domain=b""), DoorKind.TCP_CURVE)


def test_enforcement_with_an_empty_domain_would_let_everybody_in(bench: Bench) -> None:
    assert lets_in(bench.naive_router(zap_enforce_domain=1))


def test_curve_switched_on_after_bind_would_serve_without_encryption(bench: Bench) -> None:
    router = bench.router()
    port = router.bind_to_random_port("tcp://127.0.0.1")
    router.curve_server = True
    router.curve_secretkey = SERVER.secret.reveal_z85().encode()
    assert router.mechanism == zmq.CURVE  # and yet:
    assert lets_in(f"tcp://127.0.0.1:{port}", encrypted=False)


def test_a_curve_door_without_a_key_pair_is_not_opened(bench: Bench, doorkeeper: Doorkeeper) -> None:
    with pytest.raises(GuardError, match="no key pair"):
        open_tcp(bench.context, doorkeeper, DOOR, None)


def test_curve_without_a_secret_key_would_run_on_the_all_zero_key(bench: Bench) -> None:
    router = bench.router()
    router.curve_server = True
    port = router.bind_to_random_port("tcp://127.0.0.1")
    zero = zmq.curve_public(b"0" * 40)

    def knows_zero(socket: zmq.Socket[bytes]) -> None:
        socket.curve_serverkey = zero

    with Client(f"tcp://127.0.0.1:{port}", server=SERVER.public, pair=STRANGER, prepare=knows_zero) as client:
        assert client.event() == zmq.EVENT_HANDSHAKE_SUCCEEDED


def test_our_authenticator_admits_no_key_by_default_and_has_no_switch_for_all(doorkeeper: Doorkeeper) -> None:
    assert not doorkeeper.allow_any
    assert set(doorkeeper.credentials_providers) == {ZAP_DOMAINS[DoorKind.TCP_CURVE]}
    assert doorkeeper.certs == {}
    assert doorkeeper.passwords == {}


def test_a_star_would_not_cover_a_named_domain(bench: Bench, tmp_path: Path) -> None:
    authenticator = ThreadAuthenticator(bench.context)
    authenticator.start()
    (tmp_path / "friend.key").write_text(f'curve\n    public-key = "{CLIENT.public.z85}"\n')
    authenticator.configure_curve("*", location=str(tmp_path))
    endpoint = bench.naive_router(zap_domain=b"global")
    with Client(endpoint, server=SERVER.public, pair=CLIENT) as client:
        came_in = client.event() == zmq.EVENT_HANDSHAKE_SUCCEEDED
    authenticator.stop()
    assert not came_in


# -- what every door has ----------------------------------------------------------------------------------------------


def test_every_option_of_a_door_can_be_read_back_from_it(tmp_path: Path) -> None:
    with open_site(tmp_path, curve=True, host="127.0.0.1", port=0, socket=tmp_path / "door") as site:
        for listener in site.doors.listeners:
            socket = listener.socket
            assert socket.getsockopt(zmq.TYPE) == zmq.ROUTER
            assert socket.getsockopt(zmq.MAXMSGSIZE) == 8 * 1024 * 1024 + 33
            assert socket.getsockopt(zmq.RCVHWM) == 32  # of the largest, a quarter of a gigabyte
            assert socket.getsockopt(zmq.HANDSHAKE_IVL) == 3000
            assert socket.getsockopt(zmq.HEARTBEAT_IVL) == 5000
            assert socket.getsockopt(zmq.HEARTBEAT_TIMEOUT) == 15000
            assert 0 < socket.getsockopt(zmq.HEARTBEAT_TTL) < 65000
            assert socket.getsockopt(zmq.BACKLOG) == 1000
            assert socket.getsockopt(zmq.SNDTIMEO) == 0
            assert socket.getsockopt(zmq.LINGER) == 1000
            assert socket.getsockopt(zmq.ZAP_ENFORCE_DOMAIN) == 1
            assert socket.zap_domain == ZAP_DOMAINS[listener.kind].encode()


def test_where_it_listens_is_said_with_how_it_is_guarded(tmp_path: Path) -> None:
    with plain(tmp_path) as site:
        (listener,) = site.doors.listeners
        assert listener.description == f"tcp://127.0.0.1:{listener.port} (no encryption)"
        assert not listener.exposed
    with open_site(tmp_path, host="*", port=0, insecure=True) as site:
        (listener,) = site.doors.listeners
        assert listener.description == f"tcp://*:{listener.port} (no encryption)"
        assert listener.exposed


def test_the_context_of_the_doors_is_no_shared_one(tmp_path: Path) -> None:
    with curve(tmp_path) as site:
        assert site.doors.context is not zmq.Context.instance()
        assert all(listener.socket.context is site.doors.context for listener in site.doors.listeners)
    zmq.Context.instance().term()


# -- the library -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [(4, 3, 2), (4, 2, 5), (3, 2, 5)])
def test_a_libzmq_with_known_holes_is_refused(version: tuple[int, ...]) -> None:
    with pytest.raises(LibraryError, match="pip install --upgrade"):
        check_library(version, True)


@pytest.mark.parametrize("version", [(4, 3, 3), (4, 3, 4)])
def test_a_libzmq_that_was_not_tested_is_warned_about(version: tuple[int, ...]) -> None:
    warning = check_library(version, True)
    assert warning is not None and "older than 4.3.5" in warning


def test_a_libzmq_without_curve_is_refused() -> None:
    with pytest.raises(LibraryError, match="without CURVE"):
        check_library((4, 3, 5), False)


def test_the_installed_libzmq_is_fit() -> None:
    assert check_library() is None
