# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession
from scenario_execution_server.own_key import OwnKey
from scenario_execution_server.watch import Watch

LOG = logging.getLogger("test_own_key")


def soon() -> datetime:
    return datetime.now(timezone.utc) + timedelta(hours=1)


def past() -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=1)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    store.create_server_pair()
    return store


@pytest.fixture
def own(store: KeyStore) -> OwnKey:
    return OwnKey(store, store.server_pair(), LOG, Watch())


def test_nothing_is_announced_unless_the_files_say_so(store: KeyStore, own: OwnKey) -> None:
    own.look()
    assert own.announcement is None and not own.switch()
    following = ServerSuccession(store).announce(soon())
    own.look()
    assert own.announcement is not None and own.announcement.key == following.pair.public.z85
    assert not own.switch()
    ServerSuccession(store).cancel()
    own.look()
    assert own.announcement is None


def test_at_its_moment_it_switches_and_never_says_that_nothing_is_announced(store: KeyStore, own: OwnKey) -> None:
    """A client that is told so just before its connection is cut would expect the key before, for ever."""
    following = ServerSuccession(store).announce(soon())
    own.look()
    said = own.announcement
    ServerSuccession(store).announce(past())
    own.look()
    assert own.switch() and own.pair == following.pair == store.server_pair()
    own.look()
    assert own.announcement is not None and said is not None and own.announcement.key == said.key
    assert not own.switch()


def test_it_switches_too_if_somebody_else_has_put_the_next_key_in_its_place(store: KeyStore, own: OwnKey) -> None:
    following = ServerSuccession(store).announce(soon())
    own.look()
    ServerSuccession(store).announce(past())
    assert ServerSuccession(store).settle()
    third = ServerSuccession(store).announce(soon())
    own.look()
    assert own.switch() and own.pair == following.pair == store.server_pair()
    assert own.announcement is not None and own.announcement.key == third.pair.public.z85


def test_next_keys_that_cannot_be_read_change_nothing(
    store: KeyStore, own: OwnKey, caplog: pytest.LogCaptureFixture
) -> None:
    following = ServerSuccession(store).announce(soon())
    own.look()
    path = store.directory / "server.key_secret.next"
    path.chmod(0o644)
    own.look()
    own.look()
    assert own.announcement is not None and own.announcement.key == following.pair.public.z85
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1
