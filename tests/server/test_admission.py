# SPDX-License-Identifier: Apache-2.0
"""Who may enter, as rules."""

from __future__ import annotations

import pytest

from scenario_execution_keys.trust import Client
from scenario_execution_server.admission import ZAP_DOMAINS, Admission, Peer
from scenario_execution_server.config import DoorKind
from scenario_execution_server.errors import NotEnrolledError, NotLocalError, RefusedError, UnknownPeerError
from tests.support.keys import CLIENT, SERVER

FRIEND = Client(name="friend", key=CLIENT.public)
ADMISSION = Admission({CLIENT.public: FRIEND})
NOBODY = Admission({})


def test_an_enrolled_key_is_admitted_under_its_name() -> None:
    peer = ADMISSION.admit(DoorKind.TCP_CURVE, CLIENT.public.z85, "10.0.0.1")
    assert peer == Peer(identity=f"key:{CLIENT.public.z85}", name="friend", address="10.0.0.1", key=CLIENT.public.z85)


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
