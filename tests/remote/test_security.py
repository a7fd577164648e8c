# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import OwnKeyError
from scenario_execution_remote.security import Security, security_for
from tests.support.keys import SERVER


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


def choose(store: KeyStore, endpoint: str, server_key: str = "") -> Security:
    settings = RemoteSettings.from_arguments({"endpoint": endpoint, "server_key": server_key})
    return security_for(Endpoint.parse(endpoint), settings, store)


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "localhost:9", "::1", "/run/se.sock"])
def test_this_machine_is_spoken_to_plainly_and_without_a_warning_if_it_is_not_pinned(
    store: KeyStore, endpoint: str
) -> None:
    assert choose(store, endpoint) == Security(own=None, server_key=None, warning=None)


@pytest.mark.parametrize("endpoint", ["robot", "192.0.2.1:9", "fe80::1%eth0"])
def test_another_machine_that_is_not_pinned_is_spoken_to_with_a_warning_that_ends_with_the_command(
    store: KeyStore, endpoint: str
) -> None:
    security = choose(store, endpoint)
    assert security.server_key is None and security.own is None
    assert security.warning is not None
    assert security.warning.endswith(f"se-remote trust {Endpoint.parse(endpoint)} sepub-...")


def test_a_known_server_is_spoken_to_with_curve(store: KeyStore) -> None:
    own = store.create_client_pair()
    store.trust("robot:7613", SERVER.public)
    assert choose(store, "robot") == Security(own=own, server_key=SERVER.public, warning=None)
    assert choose(store, "robot:7614").server_key is None


def test_one_entry_for_loopback_covers_every_way_to_write_it(store: KeyStore) -> None:
    store.create_client_pair()
    store.trust("loopback", SERVER.public)
    for endpoint in ("127.0.0.1", "127.0.0.2:9", "localhost", "[::1]:9", "::ffff:127.0.0.1"):
        assert choose(store, endpoint).server_key == SERVER.public


def test_the_key_in_the_scenario_comes_before_the_known_servers(store: KeyStore) -> None:
    store.create_client_pair()
    other = KeyPair.generate().public
    store.trust("robot", SERVER.public)
    assert choose(store, "robot", other.text).server_key == other
    assert choose(store, "robot", other.z85).server_key == other


def test_a_unix_socket_can_be_pinned_in_the_scenario(store: KeyStore) -> None:
    store.create_client_pair()
    assert choose(store, "/run/se.sock", SERVER.public.text).server_key == SERVER.public


def test_a_pinned_server_without_a_key_pair_of_our_own_is_an_error_and_no_downgrade(store: KeyStore) -> None:
    store.trust("127.0.0.1", SERVER.public)
    with pytest.raises(OwnKeyError) as caught:
        choose(store, "127.0.0.1")
    assert "se-remote" in str(caught.value) and str(caught.value).endswith("keygen")
    assert SERVER.public.fingerprint in str(caught.value)


def test_an_exposed_secret_key_is_not_used(store: KeyStore) -> None:
    store.create_client_pair()
    (store.directory / "client.key_secret").chmod(0o644)
    with pytest.raises(OwnKeyError, match="chmod"):
        choose(store, "robot", SERVER.public.text)


def test_a_known_server_that_cannot_be_read_is_an_error_and_not_taken_for_unpinned(store: KeyStore) -> None:
    store.create_client_pair()
    store.trust("robot", SERVER.public)
    (entry,) = store.servers_folder.iterdir()
    entry.write_text("broken")
    with pytest.raises(KeysError) as caught:
        choose(store, "robot")
    assert str(entry) in str(caught.value)


def test_whom_an_entry_is_for_is_not_decided_by_what_the_network_says(store: KeyStore) -> None:
    store.create_client_pair()
    store.trust("robot", SERVER.public)
    assert choose(store, "ROBOT:7613").server_key == SERVER.public
    assert isinstance(choose(store, "ROBOT:7613").server_key, PublicKey)
