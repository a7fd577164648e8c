# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from scenario_execution_keys import files
from scenario_execution_keys.errors import KeyAccessError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.pins import Pins, Remark
from scenario_execution_remote.protocol.messages import NextKey
from tests.support.keys import SERVER

LATER = datetime(2040, 1, 31, 12, tzinfo=timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    store = KeyStore(tmp_path / "keys")
    store.create_client_pair()
    store.trust("robot.lab", SERVER.public)
    return store


@pytest.fixture
def following() -> PublicKey:
    return KeyPair.generate().public


def news(key: PublicKey) -> NextKey:
    return NextKey(key=key.z85, from_utc_s=LATER.timestamp())


def pins_of(store: KeyStore, *, is_in_scenario: bool = False) -> Pins:
    pin = store.pin_for("robot.lab", 7613)
    assert pin is not None
    return Pins(store, "robot.lab:7613", pin.key, pin.next_key, is_in_scenario=is_in_scenario)


def test_what_the_server_announces_is_pinned_beside_its_key_and_said_once(
    store: KeyStore, following: PublicKey
) -> None:
    remark = pins_of(store).told(news(following))
    assert remark == Remark(
        level="info",
        text=f"the server at robot.lab:7613 will have the key {following.fingerprint} from 2040-01-31T12:00:00Z on; "
        "it is pinned beside the present one",
    )
    pin = store.pin_for("robot.lab", 7613)
    assert pin is not None and (pin.key, pin.next_key, pin.next_from) == (SERVER.public, following, LATER)
    pins = pins_of(store)
    assert pins.next_key == following and pins.told(news(following)) is None


def test_once_the_next_key_is_proved_it_alone_is_pinned(store: KeyStore, following: PublicKey) -> None:
    pins_of(store).told(news(following))
    pins = pins_of(store)
    assert pins.proved(SERVER.public) is None and pins.next_key == following
    remark = pins.proved(following)
    assert remark is not None and remark.level == "info" and "has exchanged its key" in remark.text
    assert (pins.key, pins.next_key) == (following, None)
    assert store.known_server("robot.lab", 7613) == following
    assert pins.proved(SERVER.public) is None and pins.key == following  # there is no way back


def test_a_key_that_nobody_announced_is_never_pinned(store: KeyStore, following: PublicKey) -> None:
    assert pins_of(store).proved(following) is None
    assert store.known_server("robot.lab", 7613) == SERVER.public


def test_an_announcement_that_is_taken_back_is_forgotten(store: KeyStore, following: PublicKey) -> None:
    pins_of(store).told(news(following))
    pins = pins_of(store)
    remark = pins.told(None)
    assert remark is not None and "keeps its key" in remark.text and pins.next_key is None
    pin = store.pin_for("robot.lab", 7613)
    assert pin is not None and pin.next_key is None
    assert pins.told(None) is None


@pytest.mark.parametrize(
    "said",
    [
        NextKey(key="", from_utc_s=1.0),
        NextKey(key="x" * 40, from_utc_s=1e300),
        NextKey(key=SERVER.public.z85, from_utc_s=1e300),
        NextKey(key="sepub-rubbish", from_utc_s=0.0),
    ],
)
def test_what_is_no_key_or_no_moment_is_not_taken(store: KeyStore, said: NextKey) -> None:
    pins = pins_of(store)
    remark = pins.told(said)
    assert remark is not None and remark.level == "warning" and pins.next_key is None
    pin = store.pin_for("robot.lab", 7613)
    assert pin is not None and pin.next_key is None


def test_our_own_key_is_not_taken_for_the_servers(store: KeyStore) -> None:
    pins = pins_of(store)
    remark = pins.told(news(store.client_pair().public))
    assert remark is not None and remark.level == "warning" and pins.next_key is None


def test_a_server_that_announces_its_present_key_announces_none(store: KeyStore) -> None:
    pins = pins_of(store)
    assert pins.told(news(SERVER.public)) is None and pins.next_key is None


def test_whose_key_stands_in_the_scenario_is_told_what_it_has_to_say_then(
    store: KeyStore, following: PublicKey
) -> None:
    pins = pins_of(store, is_in_scenario=True)
    remark = pins.told(news(following))
    assert remark is not None and remark.level == "warning"
    assert remark.text.endswith(f"then the scenario has to say: server_key: {following.text}")
    assert pins.next_key == following  # for what runs


def test_where_nothing_can_be_written_the_command_for_later_is_said(
    store: KeyStore, following: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, _data: bytes) -> None:
        raise KeyAccessError("cannot write the file: Read-only file system", "Look at it", path=path)

    monkeypatch.setattr(files, "replace_owned", refuse)
    pins = pins_of(store)
    remark = pins.told(news(following))
    assert remark is not None and remark.level == "warning"
    assert f"run: se-remote trust --replace robot.lab:7613 {following.text}" in remark.text
    assert pins.next_key == following  # it counts for what runs
    assert pins.proved(following) is None and pins.key == following


def test_a_server_that_announces_without_end_is_not_listened_to(store: KeyStore) -> None:
    pins = pins_of(store)
    remarks = [pins.told(news(KeyPair.generate().public)) for _ in range(100)]
    assert sum(remark is not None for remark in remarks) == 16
