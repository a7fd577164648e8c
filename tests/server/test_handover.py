# SPDX-License-Identifier: Apache-2.0
"""What clients hand over is in the key store when it is said to be, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import Client
from scenario_execution_server import handover as handover_module
from scenario_execution_server.admission import Peer
from scenario_execution_server.errors import EnrolmentRefusedError
from scenario_execution_server.handover import Handover
from tests.support.doors import Lines, captured_log
from tests.support.keys import CLIENT

NEXT, LATER = KeyPair.generate().public, KeyPair.generate().public


class Desk:
    """A handover at a store in which one client is enrolled."""

    def __init__(self, store: KeyStore, handover: Handover, lines: Lines) -> None:
        self.store, self.handover, self.lines = store, handover, lines

    def friend(self) -> Client:
        (client,) = (one for one in self.store.authorised_clients().by_key.values() if one.name == "friend")
        return client

    def announce(self, key: PublicKey, peer: Peer | None = None) -> bool:
        return self.handover.announce(peer or came_with(CLIENT.public), key.z85, self.friend())


def came_with(key: PublicKey, *, name: str = "friend", is_next: bool = False, is_retired: bool = False) -> Peer:
    return Peer(
        identity=f"key:{key.z85}", name=name, address="192.0.2.1", key=key.z85, is_next=is_next, is_retired=is_retired
    )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    store = KeyStore(tmp_path / "keys")
    store.enrol("friend", CLIENT.public)
    now_s = [0.0]

    def an_hour_later() -> float:
        now_s[0] += 3600.0
        return now_s[0]

    monkeypatch.setattr(handover_module.time, "monotonic", an_hour_later)
    with captured_log() as (log, lines):
        yield Desk(store, Handover(store, Invitations(store), log), lines)


def test_an_invited_key_is_enrolled_under_the_name_of_the_invitation_and_only_once(desk: Desk) -> None:
    desk.store.create_server_pair()
    until = datetime.now(timezone.utc) + timedelta(hours=1)
    invitation = Invitations(desk.store).create("guest", ["127.0.0.1:7613"], until, Permissions())
    guest = came_with(invitation.pair.public, name="guest")
    assert desk.handover.redeem(guest, NEXT.z85) == "guest"
    assert desk.store.authorised_clients().by_key[NEXT].name == "guest"
    assert len(desk.lines.about("a client used its invitation client=guest")) == 1
    with pytest.raises(EnrolmentRefusedError):
        desk.handover.redeem(guest, LATER.z85)


def test_a_next_key_is_taken_on_beside_the_one_that_the_client_has(desk: Desk) -> None:
    assert desk.announce(NEXT)
    assert (desk.friend().key, desk.friend().next_key) == (CLIENT.public, NEXT)
    assert not desk.announce(NEXT)  # said once more
    assert len(desk.lines.about("announced its next key")) == 1


def test_its_own_key_is_no_next_key(desk: Desk) -> None:
    assert not desk.announce(CLIENT.public)
    assert desk.friend().next_key is None


@pytest.mark.parametrize("peer", [came_with(NEXT, is_next=True), came_with(LATER, is_retired=True)])
def test_only_with_the_key_that_it_has_a_client_announces_another(peer: Peer, desk: Desk) -> None:
    with pytest.raises(EnrolmentRefusedError, match="not the key of an enrolled client"):
        desk.announce(KeyPair.generate().public, peer)
    assert desk.friend().next_key is None


def test_keys_that_come_too_fast_are_not_taken_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover_module.time, "monotonic", lambda: 0.5)
    assert desk.announce(NEXT)
    with pytest.raises(EnrolmentRefusedError, match="too many keys"):
        desk.announce(LATER)
    assert desk.friend().next_key == NEXT


def test_what_is_no_key_is_refused_with_words(desk: Desk) -> None:
    with pytest.raises(EnrolmentRefusedError):
        desk.handover.announce(came_with(CLIENT.public), "no key", desk.friend())


def test_a_session_with_a_key_from_before_the_last_is_still_the_clients(desk: Desk) -> None:
    for before, following in ((CLIENT.public, NEXT), (NEXT, LATER)):
        desk.announce(following, came_with(before))
        desk.handover.confirm(came_with(following, is_next=True))
    clients = desk.store.authorised_clients().by_key
    assert desk.friend().key == LATER
    assert desk.handover.retired(clients) == {CLIENT.public: "friend", NEXT: "friend"}
    assert desk.handover.retired({}) == {}  # who was revoked has none
    assert desk.handover.forget_unused(lambda identity: identity == f"key:{CLIENT.public.z85}")
    assert desk.handover.retired(clients) == {CLIENT.public: "friend"}
    assert not desk.handover.forget_unused(lambda _identity: True)


def test_a_next_key_that_cannot_be_written_down_retires_none(desk: Desk) -> None:
    with pytest.raises(KeysError):
        desk.handover.confirm(came_with(NEXT, is_next=True))  # nobody has announced it
    assert desk.handover.retired(desk.store.authorised_clients().by_key) == {}
