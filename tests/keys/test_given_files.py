# SPDX-License-Identifier: Apache-2.0
"""Secret key files that stand elsewhere: named by the environment, or handed over by systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenario_execution_keys.errors import KeyExistsError, KeyExposedError, KeyFileError, KeyNotFoundError, KeyTextError
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.paths import CREDENTIALS_VARIABLE, FILE_VARIABLES
from scenario_execution_keys.store import KeyStore
from tests.support.keys import CLIENT, GOOD_PUBLIC, SERVER, put

DATA = {"server": SERVER, "client": CLIENT}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyStore:
    for variable in (*FILE_VARIABLES.values(), CREDENTIALS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    return KeyStore(tmp_path / "no" / "such" / "folder")


def secret_file(path: Path, role: str, mode: int = 0o400) -> Path:
    pair = DATA[role]
    put(path, format_key_file(pair.public, secret=pair.secret, metadata={}), mode)
    return path


@pytest.mark.parametrize("role", ["server", "client"])
def test_a_file_named_by_the_environment_is_the_pair(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    monkeypatch.setenv(FILE_VARIABLES[role], str(secret_file(tmp_path / "mounted", role)))
    assert store.pair_files(role).load() == DATA[role]
    assert not store.directory.exists()


def test_a_link_in_a_mount_is_followed(store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(secret_file(tmp_path / "mounted", "server"))
    monkeypatch.setenv(FILE_VARIABLES["server"], str(tmp_path / "link"))
    assert store.server_pair() == SERVER


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600])
def test_a_systemd_credential_is_the_pair(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    secret_file(tmp_path / "server.key_secret", "server", mode)
    monkeypatch.setenv(CREDENTIALS_VARIABLE, str(tmp_path))
    assert store.server_pair() == SERVER
    with pytest.raises(KeyNotFoundError, match="no client key"):
        store.client_pair()


def test_the_file_that_is_named_goes_before_the_credential(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret_file(tmp_path / "server.key_secret", "client")
    monkeypatch.setenv(CREDENTIALS_VARIABLE, str(tmp_path))
    monkeypatch.setenv(FILE_VARIABLES["server"], str(secret_file(tmp_path / "named", "server")))
    assert store.server_pair() == SERVER


@pytest.mark.parametrize(
    ("mode", "credential"), [(0o440, False), (0o444, False), (0o604, True), (0o444, True), (0o420, True), (0o460, True)]
)
def test_a_file_that_others_can_read_is_refused_wherever_it_stands(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, credential: bool
) -> None:
    path = secret_file(tmp_path / "server.key_secret", "server", mode)
    variable = CREDENTIALS_VARIABLE if credential else FILE_VARIABLES["server"]
    monkeypatch.setenv(variable, str(tmp_path if credential else path))
    with pytest.raises(KeyExposedError, match=f"mode {mode:04o}"):
        store.server_pair()


@pytest.mark.parametrize("what", ["missing", "public", "folder", "rubbish"])
def test_a_named_file_that_is_no_secret_key_is_an_error_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    store = KeyStore(tmp_path / "keys")
    store.create_server_pair()
    path = tmp_path / "named"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        put(path, GOOD_PUBLIC if what == "public" else b"rubbish", 0o400)
    monkeypatch.setenv(FILE_VARIABLES["server"], str(path))
    with pytest.raises((KeyNotFoundError, KeyFileError)) as caught:
        store.server_pair()
    assert str(caught.value).endswith(f"unset {FILE_VARIABLES['server']}")


def test_no_key_is_made_beside_one_that_is_given(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FILE_VARIABLES["client"], str(secret_file(tmp_path / "named", "client")))
    with pytest.raises(KeyExistsError, match=FILE_VARIABLES["client"]):
        store.create_client_pair()
    assert not store.directory.exists()


@pytest.mark.parametrize("form", ["sesec", "z85"])
def test_a_key_in_the_variable_is_recognised_and_not_repeated(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    secret = SERVER.secret.reveal_text() if form == "sesec" else SERVER.secret.reveal_z85()
    monkeypatch.setenv(FILE_VARIABLES["server"], secret)
    with pytest.raises(KeyTextError, match="holds a key; it names a file") as caught:
        store.server_pair()
    assert secret not in str(caught.value)
