# SPDX-License-Identifier: Apache-2.0
"""A server's key exchanged in files: what counts when, what clients pin, and what is left where a step is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_keys import files, pairs, paths, succession
from scenario_execution_keys.errors import KeyExistsError, KeyFileError, KeyNotFoundError, KeyTextError
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession, follow, learn_next
from tests.support.keys import SERVER

LATER = datetime(2040, 1, 31, 12, tzinfo=timezone.utc)
LATER_STILL = LATER + timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """A server's key store whose machine is a client of it as well."""
    store = KeyStore(tmp_path / "keys")
    store.create_client_pair()
    store.trust("loopback", store.create_server_pair().public)
    return store


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock."""

    def set_clock(now: datetime) -> None:
        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
                return now

        for module in (succession, pairs):
            monkeypatch.setattr(module, "datetime", Clock)
        monkeypatch.setattr("scenario_execution_keys.folder.datetime", Clock)

    return set_clock


def left(store: KeyStore) -> set[str]:
    return {path.name for path in store.directory.iterdir() if path.name.startswith("server.")}


def test_the_next_key_counts_from_its_moment_whoever_puts_it_in_its_place(
    store: KeyStore, at: Callable[[datetime], None]
) -> None:
    before = store.server_pair()
    following = ServerSuccession(store).announce(LATER)
    assert store.server_pair() == before and ServerSuccession(store).plan() == following
    at(LATER - timedelta(seconds=1))
    assert store.server_pair() == before and not ServerSuccession(store).settle()
    at(LATER)
    assert store.server_pair() == following.pair and ServerSuccession(store).plan() is None
    assert ServerSuccession(store).settle() and not ServerSuccession(store).settle()
    assert left(store) == {"server.key", "server.key_secret"}
    at(LATER - timedelta(days=1))  # a clock that was set back
    assert store.server_pair() == following.pair


def test_announced_twice_it_is_one_key_whose_date_has_moved(store: KeyStore) -> None:
    first = ServerSuccession(store).announce(LATER)
    second = ServerSuccession(store).announce(LATER_STILL)
    assert (second.pair, second.counts_from) == (first.pair, LATER_STILL)
    assert ServerSuccession(store).plan() == second
    pin = store.pin_for("localhost", 1)
    assert pin is not None and (pin.next_key, pin.next_from) == (first.pair.public, LATER_STILL)


def test_cancelled_nothing_of_it_is_left(store: KeyStore, at: Callable[[datetime], None]) -> None:
    before = store.server_pair()
    ServerSuccession(store).announce(LATER)
    ServerSuccession(store).cancel()
    pin = store.pin_for("localhost", 1)
    assert pin is not None and (pin.key, pin.next_key, pin.next_from) == (before.public, None, None)
    assert left(store) == {"server.key", "server.key_secret"}
    with pytest.raises(KeyNotFoundError):
        ServerSuccession(store).cancel()
    ServerSuccession(store).announce(LATER)
    at(LATER)
    with pytest.raises(KeyNotFoundError):  # too late: clients use it already
        ServerSuccession(store).cancel()
    assert store.server_pair() != before


def test_the_next_key_after_one_that_nobody_has_put_in_its_place_comes_after_it(
    store: KeyStore, at: Callable[[datetime], None]
) -> None:
    second = ServerSuccession(store).announce(LATER)
    at(LATER)
    third = ServerSuccession(store).announce(LATER_STILL)
    assert store.server_pair() == second.pair
    pin = store.pin_for("localhost", 1)
    assert pin is not None and (pin.key, pin.next_key) == (second.pair.public, third.pair.public)


def test_who_has_announced_a_key_sees_that_it_counts_however_late_it_looks(
    store: KeyStore, at: Callable[[datetime], None]
) -> None:
    server = ServerSuccession(store)
    assert server.follows(None) is None
    first = server.announce(LATER_STILL)
    assert server.follows(None) == first
    moved = server.announce(LATER)
    at(LATER)
    assert server.follows(first) == moved and moved.counts(LATER)
    server.settle()
    late = server.follows(first)
    assert late is not None and late.pair == first.pair and late.counts(LATER)
    assert server.follows(None) is None


class Cut(Exception):
    """The process ends here."""


def test_cut_short_between_any_two_steps_clients_and_server_still_agree(
    store: KeyStore, at: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The client was told at the announcement; whatever the server has as its key then, the client has pinned."""
    second = ServerSuccession(store).announce(LATER)
    at(LATER)
    begun = tmp_path / "begun"
    shutil.copytree(store.directory, begun)
    names = ("replace_owned", "remove_owned")
    real = {name: getattr(files, name) for name in names}
    budget = 0

    def limited(name: str) -> Callable[..., Any]:
        def step(*words: Any, **options: Any) -> Any:
            nonlocal budget
            if budget == 0:
                raise Cut(name)
            budget -= 1
            return real[name](*words, **options)

        return step

    for allowed in range(20):
        shutil.rmtree(store.directory)
        shutil.copytree(begun, store.directory)
        for name in names:
            monkeypatch.setattr(files, name, limited(name))
        budget = allowed
        try:
            ServerSuccession(store).settle()
            is_cut = False
        except Cut:
            is_cut = True
        for name in names:
            monkeypatch.setattr(files, name, real[name])
        pin = store.pin_for("localhost", 1)
        assert pin is not None and store.server_pair().public in (pin.key, pin.next_key), f"after {allowed} steps"
        assert store.server_pair() == second.pair, f"after {allowed} steps"
        ServerSuccession(store).settle()
        assert store.server_pair() == second.pair and left(store) <= {"server.key", "server.key_secret"}
        if not is_cut:
            break
    assert not is_cut and allowed >= 4


def test_a_mounted_key_is_exchanged_where_it_comes_from(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    shutil.copy(store.directory / "server.key_secret", given)
    monkeypatch.setenv(paths.FILE_VARIABLES["server"], str(given))
    with pytest.raises(KeyExistsError, match="exchanged where that is made"):
        ServerSuccession(store).announce(LATER)
    assert ServerSuccession(store).plan() is None


@pytest.mark.parametrize("change", ["counts-from", "secret-key"])
def test_a_damaged_next_key_is_an_error_and_not_a_missing_one(store: KeyStore, change: str) -> None:
    ServerSuccession(store).announce(LATER)
    path = store.directory / "server.key_secret.next"
    kept = [line for line in path.read_text().splitlines() if change not in line]
    path.write_text("\n".join(kept) + "\n")
    with pytest.raises(KeyFileError):
        store.server_pair()


# ------------------------------------------------------------------ on the client


@pytest.fixture
def client(tmp_path: Path) -> KeyStore:
    client = KeyStore(tmp_path / "client")
    client.create_client_pair()
    client.trust("robot.lab:7613", SERVER.public)
    client.trust("192.0.2.1", SERVER.public)
    client.trust("other.lab", KeyPair.generate().public)
    return client


def test_what_a_server_says_of_its_key_counts_wherever_that_key_is_pinned_and_nowhere_else(client: KeyStore) -> None:
    following = KeyPair.generate().public
    changed = learn_next(client, SERVER.public, following, LATER)
    assert {pin.scope.text for pin in changed} == {"robot.lab:7613", "192.0.2.1"}
    assert learn_next(client, SERVER.public, following, LATER) == ()
    by_scope = {pin.scope.text: pin for pin in client.known_servers()}
    assert by_scope["192.0.2.1"].key == SERVER.public and by_scope["192.0.2.1"].next_key == following
    assert by_scope["other.lab"].next_key is None
    assert follow(client, SERVER.public, KeyPair.generate().public) == ()  # nobody has announced that one
    assert {pin.scope.text for pin in follow(client, SERVER.public, following)} == {"robot.lab:7613", "192.0.2.1"}
    assert client.known_server("robot.lab", 7613) == following
    pin = client.pin_for("robot.lab", 7613)
    assert pin is not None and pin.next_key is None


def test_remarks_in_a_pin_stay_and_a_pin_that_was_changed_meanwhile_is_its_changers(client: KeyStore) -> None:
    pin = client.pin_for("robot.lab", 7613)
    assert pin is not None
    pin.path.write_text(pin.path.read_text().replace("metadata\n", 'metadata\n    comment = "the blue one"\n', 1))
    following, other = KeyPair.generate().public, KeyPair.generate().public
    learn_next(client, SERVER.public, following, LATER)
    follow(client, SERVER.public, following)
    assert 'comment = "the blue one"' in pin.path.read_text() and "next-key" not in pin.path.read_text()
    stale = client.pin_for("robot.lab", 7613)
    assert stale is not None
    client.trust("robot.lab:7613", other, replace=True)
    client.repin(stale, following, KeyPair.generate().public, LATER)
    assert client.known_server("robot.lab", 7613) == other


def test_the_clients_own_key_is_no_next_key_of_a_server(client: KeyStore) -> None:
    with pytest.raises(KeyTextError):
        learn_next(client, SERVER.public, client.client_pair().public, LATER)


def test_a_pin_whose_next_key_is_damaged_is_an_error_and_not_a_pin_without_one(client: KeyStore) -> None:
    (pin, *_) = learn_next(client, SERVER.public, KeyPair.generate().public, LATER)
    pin.path.write_text(pin.path.read_text().replace('next-key = "sepub-', 'next-key = "'))
    with pytest.raises(KeyFileError, match="next-key"):
        client.known_servers()


def test_an_invitation_ends_when_the_key_that_it_names_does(store: KeyStore) -> None:
    ServerSuccession(store).announce(LATER)
    assert Invitations(store).create("a", ["robot.lab:1"], LATER_STILL, Permissions()).until == LATER
