# SPDX-License-Identifier: Apache-2.0
"""Who may enter, as rules."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.trust import Client
from scenario_execution_server.admission import ZAP_DOMAINS, Admission, Peer
from scenario_execution_server.config import DoorKind
from scenario_execution_server.errors import (
    NotEnrolledError,
    NotLocalError,
    NotPermittedError,
    RefusedError,
    UnknownPeerError,
)
from tests.support.keys import CLIENT, SERVER

FRIEND = Client(name="friend", key=CLIENT.public)
ADMISSION = Admission({CLIENT.public: FRIEND})
NOBODY = Admission({})


def test_an_enrolled_key_is_admitted_under_its_name() -> None:
    peer = ADMISSION.admit(DoorKind.TCP_CURVE, CLIENT.public.z85, "10.0.0.1")
    assert peer == Peer(
        identity=f"key:{CLIENT.public.z85}", name="friend", address="10.0.0.1", key=CLIENT.public.z85,
        files=CLIENT.public.fingerprint,
    )  # fmt: skip


def test_files_are_those_of_the_clients_first_key_whichever_it_comes_in_with() -> None:
    first, now, following = (KeyPair.generate().public for _ in range(3))
    admission = Admission(
        {now: Client(name="friend", key=now, next_key=following, first_key=first)}, retired={first: "friend"}
    )
    owners = {admission.admit(DoorKind.TCP_CURVE, key.z85, "10.0.0.1").owner for key in (first, now, following)}
    assert owners == {first.fingerprint}


@pytest.mark.parametrize(
    "user_id", ["", "anonymous", "friend", SERVER.public.z85, CLIENT.public.z85 + " ", "key:x", "\0"]
)
def test_every_other_user_id_is_refused_on_a_curve_door(user_id: str) -> None:
    with pytest.raises(NotEnrolledError, match="se-server enrol"):
        ADMISSION.admit(DoorKind.TCP_CURVE, user_id, "127.0.0.1")


def test_the_refusal_of_a_key_names_its_fingerprint() -> None:
    with pytest.raises(NotEnrolledError) as caught:
        NOBODY.admit(DoorKind.TCP_CURVE, CLIENT.public.z85, "127.0.0.1")
    assert caught.value.fingerprint == CLIENT.public.fingerprint


def test_a_revoked_key_is_not_admitted_any_more_although_its_peer_was() -> None:
    peer = ADMISSION.admit(DoorKind.TCP_CURVE, CLIENT.public.z85, "127.0.0.1")
    assert ADMISSION.admits(peer)
    assert not NOBODY.admits(peer)


def test_peers_without_keys_do_not_depend_on_the_enrolled_ones() -> None:
    assert NOBODY.admits(NOBODY.admit(DoorKind.UNIX, "", "localhost:7:8:9"))
    assert NOBODY.admits(NOBODY.admit(DoorKind.TCP_NULL, "", "127.0.0.1"))


def test_a_key_in_the_user_id_counts_nothing_where_no_key_was_proven() -> None:
    for kind, address in ((DoorKind.TCP_NULL, "127.0.0.1"), (DoorKind.UNIX, "localhost:1:2:3")):
        assert ADMISSION.admit(kind, CLIENT.public.z85, address).key is None


def test_a_user_is_known_by_the_number_the_kernel_says() -> None:
    peer = ADMISSION.admit(DoorKind.UNIX, "anonymous", "localhost:1000:100:4711")
    assert (peer.identity, peer.name, peer.address, peer.uid, peer.pid) == ("uid:1000", "uid 1000", "unix", 1000, 4711)


def test_a_process_in_another_pid_namespace_has_no_number_here() -> None:
    assert ADMISSION.admit(DoorKind.UNIX, "", "localhost:1000:100:0").pid is None


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "127.0.0.1", "localhost:1000", "localhost:-1:0:1", "localhost:x:0:1", "localhost:1:2:3:4"],
)
def test_a_unix_peer_without_credentials_is_refused(address: str) -> None:
    with pytest.raises(UnknownPeerError):
        ADMISSION.admit(DoorKind.UNIX, "", address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_all_of_loopback_is_one_peer(address: str) -> None:
    assert ADMISSION.admit(DoorKind.TCP_NULL, "", address).identity == "local-tcp"


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "", "localhost:0:0:1", "not an address"]
)
def test_a_loopback_door_refuses_whom_routing_brought_from_elsewhere(address: str) -> None:
    with pytest.raises(NotLocalError):
        ADMISSION.admit(DoorKind.TCP_NULL, "", address)


def test_an_exposed_door_tells_its_peers_apart_by_address() -> None:
    exposed = Admission({}, exposed=True)
    assert exposed.admit(DoorKind.TCP_NULL, "", "::ffff:10.0.0.1").identity == "tcp:10.0.0.1"
    assert exposed.admit(DoorKind.TCP_NULL, "", "10.0.0.2").identity == "tcp:10.0.0.2"


def test_a_handshake_goes_on_only_with_the_mechanism_of_its_door() -> None:
    right = {DoorKind.TCP_CURVE: "CURVE", DoorKind.TCP_NULL: "NULL", DoorKind.UNIX: "NULL"}
    for kind, domain in ZAP_DOMAINS.items():
        address = "localhost:1:2:3" if kind is DoorKind.UNIX else "127.0.0.1"
        for mechanism in ("CURVE", "NULL", "PLAIN", "GSSAPI", "", "curve"):
            objection = ADMISSION.objection(domain, mechanism, address)
            assert (objection is None) is (mechanism == right[kind]), (kind, mechanism, objection)


@pytest.mark.parametrize("domain", ["", "*", "global", "scenario-execution", "scenario-execution.tcp-curve "])
def test_a_handshake_for_a_domain_of_no_door_is_refused(domain: str) -> None:
    assert ADMISSION.objection(domain, "CURVE", "127.0.0.1") is not None


def test_a_handshake_from_elsewhere_at_a_loopback_door_is_refused() -> None:
    assert ADMISSION.objection(ZAP_DOMAINS[DoorKind.TCP_NULL], "NULL", "10.0.0.1") is not None


def test_no_domain_is_empty_because_libzmq_would_not_ask_then() -> None:
    assert all(ZAP_DOMAINS[kind] for kind in DoorKind)


def test_every_refusal_has_a_code_for_the_wire() -> None:
    for refusal in (NotEnrolledError("sefp-x"), NotLocalError("10.0.0.1"), UnknownPeerError("why")):
        assert isinstance(refusal, RefusedError)
        assert refusal.code.value == "not-authorised"
        assert refusal.text == str(refusal)


# -- permissions -------------------------------------------------------------------------------------------------------

NOON = datetime(2030, 1, 31, 12, 0, tzinfo=timezone.utc)


def book(now: datetime | None = NOON, **options: str) -> Admission:
    """The answers for one friend with these options."""
    friend = Client(name="friend", key=CLIENT.public, permissions=Permissions.from_metadata(options))
    clock = None if now is None else lambda: now
    return Admission({CLIENT.public: friend}, clock=clock, command=lambda words: words + " --keys-dir K")


def enter(admission: Admission, address: str = "192.0.2.7") -> Peer:
    return admission.admit(DoorKind.TCP_CURVE, CLIENT.public.z85, address)


@pytest.mark.parametrize(
    ("options", "address", "says"),
    [
        ({"until": "2030-01-31T12:00:00Z"}, "192.0.2.7", "its time was over at 2030-01-31T12:00:00Z"),
        ({"from": "198.51.100.0/24 ::1"}, "192.0.2.7", "it comes from 192.0.2.7, and may come from 198.51.100.0/24 or"),
        ({"from": "198.51.100.0/24"}, "", "it comes from , and"),
    ],
)
def test_a_permission_keeps_out_with_words_and_the_command_that_mends(
    options: dict[str, str], address: str, says: str
) -> None:
    with pytest.raises(NotPermittedError, match="the client friend may not come in: ") as caught:
        enter(book(**options), address)
    assert says in str(caught.value)
    change = "--until WHEN" if "until" in options else "--from CIDR"
    assert str(caught.value).endswith(f"run: se-server permit friend {change} --keys-dir K")


def test_an_address_that_came_over_ipv6_is_in_its_ipv4_network() -> None:
    assert enter(book(**{"from": "192.0.2.0/24"}), "::ffff:192.0.2.7").address == "192.0.2.7"


def test_who_was_admitted_may_not_go_on_when_the_time_is_over() -> None:
    options = {"until": "2030-01-31T12:00:01Z"}
    peer = enter(book(**options))
    assert book(**options).admits(peer)
    assert not book(NOON + timedelta(seconds=1), **options).admits(peer)


def test_who_was_admitted_may_not_go_on_when_its_place_is_taken_away() -> None:
    peer = enter(book())
    assert not book(**{"from": "198.51.100.0/24"}).admits(peer)


def test_without_a_clock_nobody_comes_in_for_a_time() -> None:
    with pytest.raises(NotPermittedError):
        enter(book(None, until="2999-01-01T00:00:00Z"))
    assert enter(book(None, sessions="1"))


@pytest.mark.parametrize(
    ("options", "globs", "mend"),
    [
        ({}, ["*"], "se-server permit friend --allow '*' --keys-dir K --allow"),
        (
            {"actions": "log nav_*"},
            ["log", "nav_*"],
            "se-server permit friend --allow log --allow 'nav_*' --keys-dir K --allow",
        ),
        ({"observe": "yes"}, [], "se-server permit friend --no-observe --keys-dir K --allow"),
    ],
    ids=["all", "some", "observer"],
)
def test_the_permit_for_the_worker_says_what_may_run_and_how_to_permit_more(
    options: dict[str, str], globs: list[str], mend: str
) -> None:
    permit = book(**options).permit(enter(book()))
    assert (permit.client, permit.actions, permit.mend) == ("friend", globs, mend)


def test_peers_without_keys_may_run_everything() -> None:
    assert NOBODY.permit(NOBODY.admit(DoorKind.UNIX, "", "localhost:7:8:9")).actions == ["*"]
