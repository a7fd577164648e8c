# SPDX-License-Identifier: Apache-2.0
"""The commands that decide who may come in, through the real command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_keys import enrolment, errors
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.paths import KEYS_DIR_VARIABLE
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.store import KeyStore
from tests.support.command_lines import refused, run, succeed
from tests.support.keys import CLIENT, SERVER, put

KEY = CLIENT.public.text


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    monkeypatch.setenv(KEYS_DIR_VARIABLE, str(tmp_path / "keys"))
    return KeyStore(tmp_path / "keys")


def may(store: KeyStore, name: str = "alice") -> dict[str, str]:
    """What the file of a client says it may."""
    (client,) = [client for client in store.authorised_clients().by_key.values() if client.name == name]
    return client.permissions.to_metadata()


@pytest.mark.parametrize(
    ("options", "written", "said"),
    [
        ("", {}, "all actions"),
        ("--allow log --allow nav_*", {"actions": "log nav_*"}, "log nav_*"),
        ("--allow log --allow *", {}, "all actions"),
        ("--from 192.0.2.0/24 --from ::1", {"from": "192.0.2.0/24 ::1/128"}, "from 192.0.2.0/24 ::1/128"),
        ("--until 2040-01-01T00:00:00Z", {"until": "2040-01-01T00:00:00Z"}, "until 2040-01-01T00:00:00Z"),
        ("--sessions 1", {"sessions": "1"}, "1 session"),
        ("--files total=2G --files count=5", {"files": "total=2G count=5"}, "files total=2G count=5"),
        ("--observe", {"observe": "yes"}, "observe only"),
        ("--admin --sessions 3", {"admin": "yes", "sessions": "3"}, "3 sessions, admin"),
    ],
)
def test_options_of_enrol_are_written_and_said(
    store: KeyStore, options: str, written: dict[str, str], said: str
) -> None:
    output = succeed("se-server", "enrol", "alice", KEY, *options.split()).stdout
    assert may(store) == written
    assert said in output


@pytest.mark.parametrize(
    "options",
    [
        "--allow a/b",
        "--from nowhere",
        "--until yesterday",
        "--sessions 0",
        "--files many",
        "--observe --allow log",
        "--until 1999-01-01",
    ],
)
def test_an_option_that_cannot_be_enrols_nobody(store: KeyStore, options: str) -> None:
    refused(errors.PermissionValueError, "se-server", "enrol", "alice", KEY, *options.split())
    assert not store.authorised_clients().by_key


def test_a_key_may_stand_on_standard_input(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", "-", stdin=f"{KEY}\nnot read\n")
    assert CLIENT.public in store.authorised_clients().by_key


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (
            "--allow nav_*",
            {"actions": "nav_*", "from": "192.0.2.0/24", "until": "2040-01-01T00:00:00Z", "sessions": "2"},
        ),
        ("--allow *", {"from": "192.0.2.0/24", "until": "2040-01-01T00:00:00Z", "sessions": "2"}),
        ("--from any --until never", {"actions": "log", "sessions": "2"}),
        ("--sessions any", {"actions": "log", "from": "192.0.2.0/24", "until": "2040-01-01T00:00:00Z"}),
        (
            "--allow * --observe",
            {"observe": "yes", "from": "192.0.2.0/24", "until": "2040-01-01T00:00:00Z", "sessions": "2"},
        ),
    ],
)
def test_permit_replaces_what_it_is_told_and_leaves_the_rest(
    store: KeyStore, options: str, left: dict[str, str]
) -> None:
    given = "--allow log --from 192.0.2.0/24 --until 2040-01-01T00:00:00Z --sessions 2"
    succeed("se-server", "enrol", "alice", KEY, *given.split())
    before = store.clients_signature()
    succeed("se-server", "permit", "alice", *options.split())
    assert may(store) == left
    assert store.clients_signature() != before
    (client,) = store.authorised_clients().by_key.values()
    assert client.key == CLIENT.public and client.metadata["name"] == "alice"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ("--ttl 1x", errors.PermissionValueError, ("--ttl: '1x' is no moment", "se-server invite --help")),
        ("--endpoint tcp://foo:99999", errors.EntryNameError, ("has no port", "se-server invite NAME --endpoint")),
        ("--endpoint foo/bar", errors.EntryNameError, ("is no TCP endpoint", "se-server invite NAME --endpoint")),
    ],
)
def test_an_invitation_that_cannot_be_made_names_its_own_options(
    store: KeyStore, options: str, error: type[errors.KeysError], says: tuple[str, ...]
) -> None:
    store.create_server_pair()
    sentence = refused(error, "se-server", "invite", "bob", *options.split())
    assert all(word in sentence for word in says)
    assert "permit" not in sentence and "se-remote trust" not in sentence


def test_permit_takes_flags_back(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", KEY, "--observe", "--admin")
    succeed("se-server", "permit", "alice", "--no-observe", "--no-admin")
    assert may(store) == {}


@pytest.mark.parametrize("options", ["", "--observe", "--sessions few"])
def test_a_permit_that_cannot_be_changes_nothing(store: KeyStore, options: str) -> None:
    succeed("se-server", "enrol", "alice", KEY, "--allow", "log")
    before = store.clients_signature()
    refused(errors.PermissionValueError, "se-server", "permit", "alice", *options.split())
    assert store.clients_signature() == before


def test_permit_mends_an_entry_that_did_not_count(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", KEY)
    put(store.clients_folder / "alice.key", format_key_file(CLIENT.public, metadata={"from": "the lab"}))
    (problem,) = store.authorised_clients().refused
    assert "from: 'the' is neither an address nor a network" in str(problem)
    assert str(store.clients_folder / "alice.key") in problem.error.mend
    succeed("se-server", "permit", "alice", "--from", "192.0.2.0/24")
    assert may(store) == {"from": "192.0.2.0/24"}


def test_an_exchanged_key_keeps_the_restrictions(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", KEY, "--allow", "log")
    succeed("se-server", "enrol", "--replace", "alice", SERVER.public.text)
    assert may(store) == {"actions": "log"}
    put(store.clients_folder / "alice.key", format_key_file(CLIENT.public, metadata={"action": "log"}))
    refused(errors.KeyFileError, "se-server", "enrol", "--replace", "alice", KEY)
    succeed("se-server", "enrol", "--replace", "alice", KEY, "--sessions", "1")
    assert may(store) == {"sessions": "1"}


def test_who_is_enrolled_gets_other_permissions_by_permit_alone(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", KEY, "--allow", "log")
    sentence = refused(errors.KeyExistsError, "se-server", "enrol", "alice", KEY, "--sessions", "1")
    assert "se-server permit alice" in sentence
    assert may(store) == {"actions": "log"}


def test_who_is_revoked_is_not_listed_any_more(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", KEY)
    assert "alice" in succeed("se-server", "clients").stdout
    assert "within a second" in succeed("se-server", "revoke", "alice").stdout
    assert "Nobody is enrolled" in succeed("se-server", "clients").stdout
    assert refused(errors.KeyNotFoundError, "se-server", "revoke", "alice").endswith("Run: se-server clients")


@pytest.mark.parametrize("verb", ["permit", "revoke"])
@pytest.mark.parametrize("name", ["nobody", "../server", "-x", ""])
def test_a_name_of_nobody_is_refused(verb: str, name: str) -> None:
    options = ["--sessions", "1"] if verb == "permit" else []
    result = run("se-server", verb, *options, "--", name)
    assert result.exit_code in (errors.KeyNotFoundError.exit_code, errors.EntryNameError.exit_code)


def test_clients_are_listed_for_people_and_for_programs(store: KeyStore) -> None:
    succeed("se-server", "enrol", "alice", KEY, "--allow", "log", "--until", "2040-01-01T00:00:00Z")
    put(store.clients_folder / "bob.key", format_key_file(SERVER.public, metadata={"action": "log"}))
    result = run("se-server", "clients")
    head, row = result.stdout.splitlines()
    assert head.split() == ["NAME", "FINGERPRINT", "ENROLLED", "EXPIRES", "LAST", "SEEN", "FROM", "SESSIONS", "MAY"]
    assert row.split()[:2] == ["alice", CLIENT.public.fingerprint]
    assert row.split()[3:] == ["2040-01-01T00:00:00Z", "-", "-", "-", "log"]
    assert "bob does not count" in result.stderr and "action: this is no option" in result.stderr
    found = json.loads(succeed("se-server", "clients", "--json").stdout)
    (alice,) = found["clients"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", alice.pop("enrolled"))
    assert alice == {
        "name": "alice",
        "fingerprint": CLIENT.public.fingerprint,
        "next_fingerprint": None,
        "expires": "2040-01-01T00:00:00Z",
        "permissions": {"actions": "log", "until": "2040-01-01T00:00:00Z"},
        "summary": "log",
        "last_seen": None,
        "address": None,
        "sessions": None,
    }
    assert [entry["name"] for entry in found["refused"]] == ["bob"]


@pytest.fixture
def live() -> Iterator[None]:
    def view(_store: KeyStore) -> dict[str, dict[str, object]]:
        return {"alice": {"last_seen": "2030-01-01T00:00:00Z", "address": "192.0.2.7", "sessions": 2}}

    enrolment.live_views.append(view)
    yield
    enrolment.live_views.remove(view)


@pytest.mark.usefixtures("live")
def test_what_a_running_server_knows_is_shown_with_it(store: KeyStore) -> None:
    store.enrol("alice", CLIENT.public, permissions=Permissions(sessions=2))
    store.enrol("bob", SERVER.public)
    alice, bob = succeed("se-server", "clients").stdout.splitlines()[1:]
    assert alice.split()[4:7] == ["2030-01-01T00:00:00Z", "192.0.2.7", "2"]
    assert bob.split()[4:7] == ["-", "-", "-"]
