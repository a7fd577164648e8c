# SPDX-License-Identifier: Apache-2.0
"""The self-test finds every door that is open although it looks guarded, within bounded time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from scenario_execution_keys.trust import Client as Enrolled
from scenario_execution_server.admission import ZAP_DOMAINS, Admission
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.config import DoorKind
from scenario_execution_server.errors import SelfTestFailed
from scenario_execution_server.self_test import self_test
from tests.support.doors import STRANGER, Context, curve
from tests.support.keys import CLIENT, SERVER

DOMAIN = ZAP_DOMAINS[DoorKind.TCP_CURVE].encode()
ADMISSION = Admission({CLIENT.public: Enrolled(name="friend", key=CLIENT.public)})


class Suspect:
    """A ROUTER set up in some way, and the doorkeeper that may or may not guard it."""

    def __init__(self) -> None:
        self.context: Context = zmq.Context()
        self.doorkeeper = Doorkeeper(self.context, ADMISSION)
        self.router = self.context.socket(zmq.ROUTER)
        self.router.handshake_ivl = 300

    def curve(self, *, zap: bool) -> None:
        self.router.curve_server = True
        self.router.curve_secretkey = SERVER.secret.reveal_z85().encode()
        if zap:
            self.router.zap_domain = DOMAIN
            self.router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def bind(self, address: str = "tcp://127.0.0.1:*") -> str:
        self.router.bind(address)
        return self.router.getsockopt_string(zmq.LAST_ENDPOINT)

    def test(self, endpoint: str, within_s: float = 5.0) -> None:
        self_test(endpoint, SERVER.public, self.doorkeeper, answer_within_s=within_s)

    def close(self) -> None:
        self.router.close(0)
        self.doorkeeper.stop()
        self.context.term()


@pytest.fixture
def suspect() -> Iterator[Suspect]:
    made = Suspect()
    yield made
    made.close()


def test_a_guarded_door_passes(suspect: Suspect) -> None:
    suspect.doorkeeper.start()
    suspect.curve(zap=True)
    suspect.test(suspect.bind())
    assert suspect.doorkeeper.take_refusals() == ([], 0)


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:*", "tcp://[::]:*", "tcp://*:*", "tcp://[::1]:*"])
def test_a_door_on_any_interface_is_tested_from_this_machine(suspect: Suspect, address: str) -> None:
    suspect.doorkeeper.start()
    suspect.curve(zap=True)
    suspect.router.setsockopt(zmq.IPV6, 1)
    suspect.test(suspect.bind(address))


def test_it_finds_a_door_that_asks_nobody(suspect: Suspect) -> None:
    suspect.curve(zap=False)
    with pytest.raises(SelfTestFailed, match="nobody enrolled was let in"):
        suspect.test(suspect.bind())


def test_it_finds_a_door_that_asks_a_library_set_to_allow_all(suspect: Suspect) -> None:
    suspect.doorkeeper.start()
    suspect.doorkeeper.configure_curve(DOMAIN.decode(), location=zmq.auth.CURVE_ALLOW_ANY)
    suspect.curve(zap=True)
    with pytest.raises(SelfTestFailed, match="nobody enrolled was let in"):
        suspect.test(suspect.bind())


def test_it_finds_a_door_without_an_authenticator(suspect: Suspect) -> None:
    suspect.curve(zap=True)
    with pytest.raises(SelfTestFailed, match="not because of its key"):
        suspect.test(suspect.bind())


def test_it_finds_a_door_whose_authenticator_is_another_one(suspect: Suspect) -> None:
    other = Doorkeeper(suspect.context, ADMISSION)
    other.start()
    suspect.curve(zap=True)
    with pytest.raises(SelfTestFailed, match="not by this server's authenticator"):
        suspect.test(suspect.bind(), within_s=0.2)
    suspect.router.close(0)
    other.stop()


def test_it_finds_a_door_with_another_secret_key(suspect: Suspect) -> None:
    suspect.doorkeeper.start()
    suspect.curve(zap=True)
    suspect.router.curve_secretkey = STRANGER.secret.reveal_z85().encode()
    with pytest.raises(SelfTestFailed, match="not because of its key"):
        suspect.test(suspect.bind())


def test_it_finds_a_door_without_encryption(suspect: Suspect) -> None:
    suspect.doorkeeper.start()
    suspect.router.zap_domain = DOMAIN
    with pytest.raises(SelfTestFailed, match="not because of its key"):
        suspect.test(suspect.bind())


def answering(*answers: bytes) -> tuple[str, threading.Thread]:
    """A server that is none: takes two connections, and says one answer on each."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server:
            for answer in answers:
                connection, _ = server.accept()
                with connection, contextlib.suppress(ConnectionError):
                    connection.sendall(answer)
                    connection.recv(1000)

    thread = threading.Thread(target=serve)
    thread.start()
    return f"tcp://127.0.0.1:{server.getsockname()[1]}", thread


def test_it_gives_up_on_a_door_that_is_silent(suspect: Suspect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        before_s = time.monotonic()
        with pytest.raises(SelfTestFailed, match="not answered within 0.2 s"):
            suspect.test(f"tcp://127.0.0.1:{server.getsockname()[1]}", within_s=0.2)
        assert time.monotonic() - before_s < 5


def test_it_gives_up_on_a_door_behind_which_there_is_another_service(suspect: Suspect) -> None:
    endpoint, thread = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(SelfTestFailed):
        suspect.test(endpoint, within_s=0.2)
    thread.join(10)


def test_nothing_is_heard_of_the_self_test_inside(tmp_path: Path) -> None:
    with curve(tmp_path) as site:
        assert not site.doors.listeners[0].socket.poll(0)
