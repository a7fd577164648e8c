# SPDX-License-Identifier: Apache-2.0
"""Refused keys that wait for an answer: how they are kept, found, approved and denied."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from scenario_execution_keys import errors, one_use, pending
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.one_use import OneUseKeys
from scenario_execution_keys.paths import KEYS_DIR_VARIABLE
from scenario_execution_keys.pending import PENDING_LIMIT, PendingKeys
from scenario_execution_keys.store import KeyStore
from tests.support.command_lines import refused, succeed
from tests.support.keys import CLIENT, HOSTILE_NOTES, SERVER, put

FINGERPRINT = CLIENT.public.fingerprint


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv(KEYS_DIR_VARIABLE, str(tmp_path / "keys"))
    return KeyStore(tmp_path / "keys")


@pytest.fixture
def waiting(store: KeyStore) -> PendingKeys:
    """One refused key."""
    found = PendingKeys(store)
    found.remember(CLIENT.public, "192.0.2.7")
    return found


def stranger(number: int) -> PublicKey:
    return PublicKey.from_bytes(number.to_bytes(32, "big"))


def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(10_000))
    monkeypatch.setattr(pending, "timestamp", lambda: f"2030-01-01T00:00:{next(moments):05}Z")


def test_what_was_refused_is_listed_for_people_and_for_programs(waiting: PendingKeys) -> None:
    output = succeed("se-server", "pending").stdout
    assert FINGERPRINT in output and "192.0.2.7" in output
    (entry,) = json.loads(succeed("se-server", "pending", "--json").stdout)["pending"]
    assert (entry["fingerprint"], entry["key"], entry["denied"]) == (FINGERPRINT, CLIENT.public.text, False)


def test_without_refused_keys_that_is_said() -> None:
    assert succeed("se-server", "pending").stdout == "No refused key waits for an answer.\n"


@pytest.mark.parametrize(
    "who", [FINGERPRINT, FINGERPRINT[:11], CLIENT.public.text, CLIENT.public.z85, "from-192.0.2.7"]
)
def test_who_is_approved_is_enrolled_and_waits_no_longer(store: KeyStore, waiting: PendingKeys, who: str) -> None:
    succeed("se-server", "approve", "--name", "alice", "--allow", "log", "--", who)
    client = store.authorised_clients().by_key[CLIENT.public]
    assert (client.name, client.permissions.to_metadata()) == ("alice", {"actions": "log"})
    assert waiting.all() == [] and not list(waiting.folder.iterdir())


def test_without_a_name_the_address_names_the_client(store: KeyStore, waiting: PendingKeys) -> None:
    succeed("se-server", "approve", FINGERPRINT)
    assert store.authorised_clients().by_key[CLIENT.public].name == "from-192.0.2.7"


def test_who_is_denied_stays_so_however_often_it_knocks_until_it_is_approved(
    store: KeyStore, waiting: PendingKeys
) -> None:
    succeed("se-server", "deny", FINGERPRINT)
    waiting.remember(CLIENT.public, "192.0.2.7")
    assert "No refused key" in succeed("se-server", "pending").stdout
    assert CLIENT.public not in store.authorised_clients().by_key
    succeed("se-server", "approve", FINGERPRINT, "--name", "alice")
    assert CLIENT.public in store.authorised_clients().by_key


@pytest.mark.parametrize("verb", ["approve", "deny"])
@pytest.mark.parametrize("who", ["nobody", "", "sefp-", FINGERPRINT[:10], SERVER.public.fingerprint, "../../server"])
def test_who_is_not_waiting_can_be_neither_approved_nor_denied(
    store: KeyStore, waiting: PendingKeys, verb: str, who: str
) -> None:
    refused(errors.KeyNotFoundError, "se-server", verb, who)
    assert len(waiting.all()) == 1 and not store.authorised_clients().by_key


def test_two_from_one_address_are_told_apart_by_fingerprint_alone(waiting: PendingKeys) -> None:
    waiting.remember(SERVER.public, "192.0.2.7")
    sentence = refused(errors.EntryNameError, "se-server", "approve", "from-192.0.2.7")
    assert sentence.endswith("Run: se-server pending")
    succeed("se-server", "approve", SERVER.public.fingerprint)


def test_too_short_a_beginning_of_a_fingerprint_is_said_to_be_that(waiting: PendingKeys) -> None:
    sentence = refused(errors.KeyNotFoundError, "se-server", "approve", FINGERPRINT[:10])
    assert "give at least 6 characters after sefp-" in sentence
    assert FINGERPRINT in succeed("se-server", "pending").stdout


def test_a_name_that_is_taken_approves_nobody(store: KeyStore, waiting: PendingKeys) -> None:
    store.enrol("alice", SERVER.public)
    refused(errors.KeyExistsError, "se-server", "approve", FINGERPRINT, "--name", "alice")
    assert len(waiting.all()) == 1


def test_the_key_of_an_invitation_never_waits_even_if_noted_before(store: KeyStore, waiting: PendingKeys) -> None:
    OneUseKeys(store.directory).spend("alice", CLIENT.public)
    assert waiting.all() == []
    refused(errors.KeyNotFoundError, "se-server", "approve", FINGERPRINT)


def test_of_too_many_spent_invitations_the_oldest_are_forgotten(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_use, "SPENT_LIMIT", 3)
    spent = OneUseKeys(store.directory)
    for number in range(1, 6):
        spent.spend(f"client.{number}", stranger(number))
        for path in spent.folder.iterdir():
            if stranger(number).fingerprint in path.name:
                os.utime(path, (number, number))
    assert spent.spent() == {stranger(number).fingerprint: f"client.{number}" for number in (3, 4, 5)}


def test_who_was_enrolled_by_hand_waits_no_longer(store: KeyStore, waiting: PendingKeys) -> None:
    store.enrol("alice", CLIENT.public)
    assert waiting.all() == []


def test_a_flood_of_strangers_displaces_none_but_its_own(
    store: KeyStore, waiting: PendingKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(monkeypatch)
    for number in range(1, PENDING_LIMIT + 20):
        waiting.remember(stranger(number), "203.0.113.66")
    kept = waiting.all()
    assert len(kept) == PENDING_LIMIT
    assert CLIENT.public in {entry.key for entry in kept}
    assert stranger(PENDING_LIMIT + 19) in {entry.key for entry in kept}
    assert stranger(1) not in {entry.key for entry in kept}


def test_who_knocks_again_keeps_its_first_time_and_place(waiting: PendingKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    (before,) = waiting.all()
    clock(monkeypatch)
    waiting.remember(CLIENT.public, "198.51.100.1")
    (after,) = waiting.all()
    assert (after.first_seen, after.address) == (before.first_seen, "192.0.2.7")
    assert after.last_seen == "2030-01-01T00:00:00000Z"


@pytest.mark.parametrize("data", HOSTILE_NOTES, ids=range(len(HOSTILE_NOTES)))
def test_a_note_that_cannot_be_read_hides_no_other(waiting: PendingKeys, data: bytes) -> None:
    put(waiting.folder / f"{SERVER.public.fingerprint}.key", data)
    put(waiting.folder / "other.key", data)
    assert [entry.key for entry in waiting.all()] == [CLIENT.public]


def test_a_key_store_that_cannot_be_written_is_no_place_for_notes(store: KeyStore) -> None:
    store.directory.mkdir(mode=0o700)
    put(store.directory / "pending", b"")
    with pytest.raises(errors.KeysError):
        PendingKeys(store).remember(CLIENT.public, "192.0.2.7")
