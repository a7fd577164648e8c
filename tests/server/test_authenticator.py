# SPDX-License-Identifier: Apache-2.0
"""The thread that answers at every handshake: what it refuses, and what happens when it no longer answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from zmq.utils import z85

from scenario_execution_keys.trust import Client as Enrolled
from scenario_execution_server import authenticator, listener
from scenario_execution_server.admission import ZAP_DOMAINS, Admission
from scenario_execution_server.authenticator import ANSWER_WITHIN_S, Doorkeeper
from scenario_execution_server.config import DoorKind
from scenario_execution_server.errors import AuthenticatorDead
from tests.support.doors import DEADLINE_S, STRANGER, Context, Site, curve
from tests.support.keys import CLIENT

CURVE_DOMAIN = ZAP_DOMAINS[DoorKind.TCP_CURVE].encode()
ADMISSION = Admission({CLIENT.public: Enrolled(name="friend", key=CLIENT.public)})


class Asker:
    """Asks the authenticator as libzmq does."""

    def __init__(self, context: Context) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.connect("inproc://zeromq.zap.01")

    def ask(self, *frames: bytes) -> list[bytes]:
        """The reply without its envelope: version, request id, status, text, user id, metadata."""
        self._socket.send_multipart([b"", *frames])
        assert self._socket.poll(int(DEADLINE_S * 1000)), "no answer"
        return self._socket.recv_multipart()[1:]

    def handshake(
        self, domain: bytes, mechanism: bytes, *credentials: bytes, address: bytes = b"127.0.0.1"
    ) -> list[bytes]:
        return self.ask(b"1.0", b"7", domain, address, b"", mechanism, *credentials)

    def close(self) -> None:
        self._socket.close(0)


@pytest.fixture
def context() -> Iterator[Context]:
    made: Context = zmq.Context()
    yield made
    made.term()


@pytest.fixture
def doorkeeper(context: Context) -> Iterator[Doorkeeper]:
    made = Doorkeeper(context, ADMISSION)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def asker(context: Context, doorkeeper: Doorkeeper) -> Iterator[Asker]:
    made = Asker(context)
    yield made
    made.close()


def test_an_enrolled_key_is_answered_with_its_own_key_as_user_id(asker: Asker) -> None:
    reply = asker.handshake(CURVE_DOMAIN, b"CURVE", CLIENT.public.raw)
    assert reply == [b"1.0", b"7", b"200", b"OK", CLIENT.public.z85.encode(), b""]


NOT_LET_IN: dict[str, tuple[bytes, ...]] = {
    "unknown key": (CURVE_DOMAIN, b"CURVE", STRANGER.public.raw),
    "key of zeros": (CURVE_DOMAIN, b"CURVE", bytes(32)),
    "key of 0xff": (CURVE_DOMAIN, b"CURVE", b"\xff" * 32),
    "no key": (CURVE_DOMAIN, b"CURVE"),
    "two keys": (CURVE_DOMAIN, b"CURVE", CLIENT.public.raw, CLIENT.public.raw),
    "key in Z85": (CURVE_DOMAIN, b"CURVE", CLIENT.public.z85.encode()),
    "enrolled key for another domain": (b"global", b"CURVE", CLIENT.public.raw),
    "enrolled key for no domain": (b"", b"CURVE", CLIENT.public.raw),
    "enrolled key at a door without keys": (ZAP_DOMAINS[DoorKind.TCP_NULL].encode(), b"CURVE", CLIENT.public.raw),
    "NULL at the CURVE door": (CURVE_DOMAIN, b"NULL"),
    "PLAIN at the CURVE door": (CURVE_DOMAIN, b"PLAIN", b"admin", b"admin"),
    "GSSAPI at the CURVE door": (CURVE_DOMAIN, b"GSSAPI", b"\xff\xfe"),
    "GSSAPI at the unix door": (ZAP_DOMAINS[DoorKind.UNIX].encode(), b"GSSAPI", b"root"),
    "NULL for a domain of nobody": (b"global", b"NULL"),
    "a domain that is no text": (b"\xff\xff", b"NULL"),
    "a mechanism that is no text": (CURVE_DOMAIN, b"\xff\xff"),
}


@pytest.mark.parametrize("case", NOT_LET_IN)
def test_it_refuses(asker: Asker, doorkeeper: Doorkeeper, case: str) -> None:
    domain, mechanism, *credentials = NOT_LET_IN[case]
    status, user_id = asker.handshake(domain, mechanism, *credentials)[2:5:2]
    assert (status, user_id) == (b"400", b"")
    assert asker.handshake(CURVE_DOMAIN, b"CURVE", CLIENT.public.raw)[2] == b"200", "it must go on answering"


@pytest.mark.parametrize(
    "frames",
    [[b"1.0", b"7"], [b"1.0", b"7", CURVE_DOMAIN], [b"2.0", b"7", CURVE_DOMAIN, b"", b"", b"CURVE", b"x"]],
    ids=len,
)
def test_a_question_that_is_none_is_refused_and_the_next_one_answered(asker: Asker, frames: list[bytes]) -> None:
    assert asker.ask(*frames)[2] == b"400"
    assert asker.handshake(CURVE_DOMAIN, b"CURVE", CLIENT.public.raw)[2] == b"200"


def test_the_gssapi_that_the_library_would_let_in_is_refused(asker: Asker) -> None:
    """The library's own authenticator answers 200 to any GSSAPI principal, under any domain."""
    assert asker.handshake(CURVE_DOMAIN, b"GSSAPI", b"root")[2] == b"400"


def test_a_new_answer_book_counts_from_the_next_handshake_on(asker: Asker, doorkeeper: Doorkeeper) -> None:
    doorkeeper.admission = Admission({})
    assert asker.handshake(CURVE_DOMAIN, b"CURVE", CLIENT.public.raw)[2] == b"400"
    doorkeeper.admission = ADMISSION
    assert asker.handshake(CURVE_DOMAIN, b"CURVE", CLIENT.public.raw)[2] == b"200"


def test_refusals_are_kept_with_key_and_address_until_they_are_taken(asker: Asker, doorkeeper: Doorkeeper) -> None:
    asker.handshake(CURVE_DOMAIN, b"CURVE", STRANGER.public.raw, address=b"::ffff:10.0.0.1")
    asker.handshake(CURVE_DOMAIN, b"PLAIN", b"admin", b"secret", address=b"10.0.0.2")
    (with_key, without_key), uncounted = doorkeeper.take_refusals()
    assert (with_key.key, with_key.address) == (STRANGER.public.z85, "10.0.0.1")
    assert (without_key.key, without_key.address) == (None, "10.0.0.2")
    assert "secret" not in without_key.why
    assert uncounted == 0
    assert doorkeeper.take_refusals() == ([], 0)


def test_more_refusals_than_can_be_kept_are_counted(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "_KEPT_REFUSALS", 3)
    doorkeeper = Doorkeeper(context, ADMISSION)
    for _ in range(10):
        assert not doorkeeper.callback("", STRANGER.public.z85.encode())
    refusals, uncounted = doorkeeper.take_refusals()
    assert (len(refusals), uncounted) == (3, 7)


def test_the_refusal_of_the_self_test_is_an_event_and_no_stranger(asker: Asker, doorkeeper: Doorkeeper) -> None:
    seen = doorkeeper.expect_stranger(STRANGER.public.z85)
    assert not seen.is_set()
    assert asker.handshake(CURVE_DOMAIN, b"CURVE", STRANGER.public.raw)[2] == b"400"
    assert seen.is_set()
    assert doorkeeper.take_refusals() == ([], 0)


@pytest.mark.parametrize("key", [b"", b"\xff" * 40, b"x" * 10_000, z85.encode(bytes(32))])
def test_no_key_can_make_the_callback_raise(context: Context, key: bytes) -> None:
    assert Doorkeeper(context, ADMISSION).callback("", key) is False


# -- when it does not answer -------------------------------------------------------------------------------------------


class Stuck(Admission):
    """An answer book that never comes to an answer."""

    def __init__(self) -> None:
        super().__init__({})
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def objection(self, domain: str, mechanism: str, address: str) -> str | None:
        self.asked.set()
        assert self.let_go.wait(60)
        return "too late"


class Raising(Admission):
    """A mistake in the answer book."""

    def objection(self, domain: str, mechanism: str, address: str) -> str | None:
        raise RuntimeError("a mistake")


def test_an_authenticator_that_answers_passes_every_check(doorkeeper: Doorkeeper) -> None:
    for second in range(20):
        doorkeeper.check(float(second))
        assert doorkeeper._question is not None
        assert doorkeeper._question.poll(int(DEADLINE_S * 1000))


def test_a_stuck_authenticator_is_noticed_after_five_seconds(doorkeeper: Doorkeeper) -> None:
    stuck = Stuck()
    doorkeeper.admission = stuck
    for second in range(int(ANSWER_WITHIN_S)):
        doorkeeper.check(float(second))
    with pytest.raises(AuthenticatorDead, match="gives no answer"):
        doorkeeper.check(ANSWER_WITHIN_S)
    stuck.let_go.set()


def test_a_process_that_stood_still_does_not_take_its_authenticator_for_stuck(doorkeeper: Doorkeeper) -> None:
    stuck = Stuck()
    doorkeeper.admission = stuck
    doorkeeper.check(0.0)
    doorkeeper.check(3600.0)
    stuck.let_go.set()


def test_stopping_a_stuck_authenticator_does_not_wait_for_it(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "_JOIN_WITHIN_S", 0.05)
    doorkeeper = Doorkeeper(context, Admission({}))
    doorkeeper.start()
    stuck = Stuck()
    doorkeeper.admission = stuck
    doorkeeper.check(0.0)
    assert stuck.asked.wait(DEADLINE_S)
    thread, pipe = doorkeeper.thread, doorkeeper.pipe
    before_s = time.monotonic()
    doorkeeper.stop()
    assert time.monotonic() - before_s < DEADLINE_S / 2
    assert doorkeeper.stuck
    stuck.let_go.set()
    thread.join(DEADLINE_S)
    assert not doorkeeper.stuck
    pipe.close()
    doorkeeper.zap_socket.close()


def test_stopping_twice_and_stopping_after_the_thread_ended_do_not_wait(context: Context) -> None:
    doorkeeper = Doorkeeper(context, Admission({}))
    doorkeeper.start()
    doorkeeper.pipe.send(b"TERMINATE")
    doorkeeper.thread.join(DEADLINE_S)
    doorkeeper.stop()
    doorkeeper.stop()
    with pytest.raises(AuthenticatorDead):
        doorkeeper.check(0.0)


@pytest.fixture
def impatient_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Handshakes that nobody answers end after 0.3 s instead of 3."""
    monkeypatch.setattr(listener, "HANDSHAKE_WITHIN_MS", 300)
    with curve(tmp_path) as site:
        yield site


def test_nobody_comes_in_while_the_authenticator_is_stuck(impatient_site: Site) -> None:
    stuck = Stuck()
    impatient_site.doors.doorkeeper.admission = stuck
    with impatient_site.client() as client:
        assert client.event() == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    stuck.let_go.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_in_the_answer_book_ends_the_thread_which_is_noticed_and_lets_nobody_in(impatient_site: Site) -> None:
    doors = impatient_site.doors
    doors.check()
    doors.doorkeeper.admission = Raising({})
    with impatient_site.client() as client:
        assert client.event() == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    doors.doorkeeper.thread.join(DEADLINE_S)
    with pytest.raises(AuthenticatorDead, match="has ended"):
        doors.check()


def test_a_server_whose_authenticator_ended_says_so_and_lets_nobody_in(impatient_site: Site) -> None:
    doors = impatient_site.doors
    doors.doorkeeper.pipe.send(b"TERMINATE")
    doors.doorkeeper.thread.join(DEADLINE_S)
    with pytest.raises(AuthenticatorDead, match="has ended"):
        doors.check()
    with impatient_site.client() as client:
        assert client.event() == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
