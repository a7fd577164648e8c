# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq.auth

from scenario_execution_keys import files
from scenario_execution_keys.errors import (
    EntryNameError,
    KeyAccessError,
    KeyExistsError,
    KeyExposedError,
    KeyFileError,
    KeyNotFoundError,
    KeysError,
    KeyTextError,
)
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from tests.support.keys import CLIENT, GOOD_PUBLIC, GOOD_SECRET, SERVER, STRANGER_UID, Hostile, hostile_files, put

ROLES = ["server", "client"]
HOSTILE_PUBLIC = hostile_files(GOOD_PUBLIC)
HOSTILE_SECRET = hostile_files(GOOD_SECRET)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "config" / "keys")


@pytest.fixture
def folder(store: KeyStore) -> Path:
    files.make_folder(store.directory)
    return store.directory


def create(store: KeyStore, role: str) -> KeyPair:
    return store.create_server_pair() if role == "server" else store.create_client_pair()


def load(store: KeyStore, role: str) -> KeyPair:
    return store.server_pair() if role == "server" else store.client_pair()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------------- pairs


@pytest.mark.parametrize("role", ROLES)
def test_a_pair_that_was_made_is_found_again(store: KeyStore, role: str) -> None:
    assert load_after_create(store, role) == create_twice_refused(store, role)


def load_after_create(store: KeyStore, role: str) -> KeyPair:
    made = create(store, role)
    assert load(store, role) == made
    return made


def create_twice_refused(store: KeyStore, role: str) -> KeyPair:
    with pytest.raises(KeyExistsError):
        create(store, role)
    return load(store, role)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_files_and_folders_are_for_their_owner_alone_whatever_the_umask(store: KeyStore, umask: int) -> None:
    before = os.umask(umask)
    try:
        store.create_server_pair()
        store.enrol("alice", CLIENT.public)
        store.trust("robot", SERVER.public)
    finally:
        os.umask(before)
    made = [store.directory.parent, store.directory, *store.directory.rglob("*")]
    assert {mode_of(path) for path in made if path.is_dir()} == {0o700}
    assert {mode_of(path) for path in made if path.is_file()} == {0o600}


def test_pyzmq_reads_what_we_write(store: KeyStore) -> None:
    pair = store.create_server_pair()
    store.enrol("alice", CLIENT.public)
    place = store.pair_files("server")
    public, secret = pair.public.z85.encode(), pair.secret.reveal_z85().encode()
    assert zmq.auth.load_certificate(place.secret_path) == (public, secret)
    assert zmq.auth.load_certificate(place.public_path) == (public, None)
    assert zmq.auth.load_certificates(store.clients_folder) == {CLIENT.public.z85.encode(): True}


@pytest.mark.parametrize("role", ROLES)
def test_a_pair_made_by_pyzmq_is_read_once_it_is_no_longer_exposed(store: KeyStore, folder: Path, role: str) -> None:
    before = os.umask(0o022)
    try:
        zmq.auth.create_certificates(folder, role, {"email": "a@b c"})
    finally:
        os.umask(before)
    with pytest.raises(KeyExposedError) as caught:
        load(store, role)
    assert str(caught.value).endswith(f"Run: chmod 600 {folder / role}.key_secret")
    (folder / f"{role}.key_secret").chmod(0o600)
    public, secret = zmq.auth.load_certificate(folder / f"{role}.key_secret")
    assert secret is not None
    assert (load(store, role).public.z85, load(store, role).secret.reveal_z85()) == (public.decode(), secret.decode())


@pytest.mark.parametrize(("role", "program"), [("server", "se-server"), ("client", "se-remote")])
def test_a_missing_pair_is_named_with_the_command_that_makes_it(store: KeyStore, role: str, program: str) -> None:
    with pytest.raises(KeyNotFoundError) as caught:
        load(store, role)
    assert str(caught.value).endswith(f"Run: {program} keygen")
    assert caught.value.path == store.directory / f"{role}.key_secret"
    files.make_folder(store.directory)
    with pytest.raises(KeyNotFoundError, match=f"Run: {program} keygen"):
        load(store, role)


def test_a_command_in_a_sentence_finds_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_EXECUTION_KEYS_DIR", str(tmp_path / "env"))
    with pytest.raises(KeyNotFoundError) as caught:
        KeyStore.open(tmp_path / "a b").server_pair()
    assert str(caught.value).endswith(f"Run: se-server keygen --keys-dir '{tmp_path}/a b'")
    with pytest.raises(KeyNotFoundError) as caught:
        KeyStore.open().server_pair()
    assert str(caught.value).endswith("Run: se-server keygen")


@pytest.mark.parametrize("hostile", HOSTILE_SECRET, ids=str)
def test_a_bad_secret_file_is_refused_with_the_mending_command(store: KeyStore, folder: Path, hostile: Hostile) -> None:
    path = folder / "client.key_secret"
    hostile.place(path)
    with pytest.raises(hostile.error, match=hostile.says) as caught:
        store.client_pair()
    assert_mends(caught.value, path, "se-remote keygen")
    assert CLIENT.secret.reveal_z85() not in str(caught.value)


def assert_mends(error: KeysError, path: Path, command: str) -> None:
    """An exposed file is mended by chmod or chown, any other is set aside and made anew."""
    if isinstance(error, KeyExposedError):
        own = os.geteuid()
        assert error.mend in (f"Run: chmod 600 {path}", f"Run: chown {own} {path}")
    else:
        assert f"Run: mv -i {path} {path}.refused; " in error.mend
        assert command in error.mend


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o601, 0o644, 0o777])
def test_a_secret_file_with_any_right_for_others_is_refused(store: KeyStore, mode: int) -> None:
    store.create_server_pair()
    path = store.pair_files("server").secret_path
    path.chmod(mode)
    with pytest.raises(KeyExposedError, match=f"mode {mode:04o}") as caught:
        store.server_pair()
    assert caught.value.mode == mode
    assert str(caught.value).endswith(f"Run: chmod 600 {path}")
    path.chmod(0o600)
    assert store.server_pair()


def test_a_secret_file_that_may_only_be_read_is_good_enough(store: KeyStore) -> None:
    made = store.create_server_pair()
    store.pair_files("server").secret_path.chmod(0o400)
    assert store.server_pair() == made


def test_a_public_key_alone_is_no_pair(store: KeyStore, folder: Path) -> None:
    put(folder / "client.key_secret", GOOD_PUBLIC)
    with pytest.raises(KeyFileError, match="secret-key is missing"):
        store.client_pair()


def test_keys_that_do_not_belong_together_are_refused(store: KeyStore, folder: Path) -> None:
    put(folder / "client.key_secret", GOOD_SECRET.replace(CLIENT.public.z85.encode(), SERVER.public.z85.encode()))
    with pytest.raises(KeyFileError, match="does not belong"):
        store.client_pair()


def test_a_public_file_that_misleads_is_refused_and_a_missing_one_is_not_missed(store: KeyStore) -> None:
    made = store.create_client_pair()
    path = store.pair_files("client").public_path
    put(path, format_key_file(SERVER.public, metadata={}))
    with pytest.raises(KeyFileError, match=SERVER.public.fingerprint) as caught:
        store.client_pair()
    assert made.public.fingerprint in str(caught.value)
    assert str(caught.value).endswith(f"Run: mv -i {path} {path}.refused")
    path.unlink()
    assert store.client_pair() == made


def test_half_a_pair_leads_to_the_commands_that_make_a_whole_one(store: KeyStore) -> None:
    store.create_client_pair()
    place = store.pair_files("client")
    place.secret_path.unlink()
    with pytest.raises(KeyNotFoundError, match=f"rm {place.public_path}; se-remote keygen"):
        store.client_pair()
    with pytest.raises(KeyExistsError, match="mv -i .*; se-remote keygen"):
        store.create_client_pair()
    place.public_path.unlink()
    assert store.create_client_pair()


# ---------------------------------------------------------------------- writing


def test_nothing_is_overwritten(store: KeyStore) -> None:
    store.create_server_pair()
    before = contents(store.directory)
    with pytest.raises(KeyExistsError, match="left as it is. To see it, run: se-server key"):
        store.create_server_pair()
    assert contents(store.directory) == before


@pytest.mark.parametrize("name", ["server.key", "server.key_secret"])
@pytest.mark.parametrize("kind", ["empty", "dangling", "folder"])
def test_whatever_is_in_the_place_of_a_new_pair_stays(store: KeyStore, folder: Path, name: str, kind: str) -> None:
    place: dict[str, Callable[[Path], None]] = {
        "empty": lambda path: path.touch(mode=0o600),
        "dangling": lambda path: path.symlink_to(path.parent / "nowhere"),
        "folder": lambda path: path.mkdir(),
    }
    place[kind](folder / name)
    with pytest.raises(KeyExistsError):
        store.create_server_pair()
    assert [path.name for path in folder.iterdir()] == [name]
    assert not (folder / "nowhere").exists()


def test_of_many_that_make_a_pair_at_once_exactly_one_succeeds(store: KeyStore) -> None:
    count = 8
    barrier = threading.Barrier(count, timeout=30)

    def attempt(_: int) -> KeyPair | None:
        barrier.wait()
        try:
            return store.create_server_pair()
        except KeyExistsError:
            return None

    with ThreadPoolExecutor(count) as pool:
        made = [pair for pair in pool.map(attempt, range(count)) if pair is not None]
    assert made == [store.server_pair()]
    assert sorted(path.name for path in store.directory.iterdir()) == ["server.key", "server.key_secret"]


@pytest.mark.parametrize("call", ["fsync", "link", "write"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_no_part_of_a_key(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    files.make_folder(store.directory)

    def fail(*_args: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        if call == "write":  # a file system that is full when the second file is made
            real, count = os.fchmod, iter(range(9))
            broken.setattr(os, "fchmod", lambda *args: real(*args) if next(count) < 1 else fail())
        else:
            broken.setattr(os, call, fail)
        with pytest.raises(KeyAccessError, match=os.strerror(code)) as caught:
            store.create_server_pair()
    assert "Run: ls -ld" in str(caught.value)
    left = sorted(path.name for path in store.directory.iterdir())
    assert left == (["server.key_secret"] if call == "write" else [])
    if left:
        assert store.server_pair()


def test_a_failed_exchange_leaves_the_old_pin(store: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.trust("robot", SERVER.public)
    with monkeypatch.context() as broken:
        broken.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
        with pytest.raises(KeyAccessError):
            store.trust("robot", CLIENT.public, replace=True)
    assert store.known_server("robot", 1) == SERVER.public
    assert [path.name for path in store.servers_folder.iterdir()] == ["robot.key"]


def test_the_file_and_its_folder_are_synced_before_a_pair_counts(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.make_folder(store.directory)
    happened: list[str] = []
    real_sync, real_link = os.fsync, os.link

    def sync(descriptor: int) -> None:
        happened.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real_sync(descriptor)

    def link(source: Path, target: Path, *, follow_symlinks: bool) -> None:
        happened.append(target.name)
        real_link(source, target, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    store.create_server_pair()
    assert happened == ["file", "server.key_secret", "folder", "file", "server.key", "folder"]


# ---------------------------------------------------------------------- folders

CALLS: dict[str, Callable[[KeyStore], object]] = {
    "server_pair": lambda store: store.server_pair(),
    "client_pair": lambda store: store.client_pair(),
    "create_server_pair": lambda store: store.create_server_pair(),
    "authorised_clients": lambda store: store.authorised_clients(),
    "enrol": lambda store: store.enrol("alice", CLIENT.public),
    "revoke": lambda store: store.revoke("alice"),
    "known_server": lambda store: store.known_server("robot", 7613),
    "trust": lambda store: store.trust("robot", SERVER.public),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o770])
def test_a_folder_open_to_others_is_refused_before_anything_is_read_or_written(
    store: KeyStore, folder: Path, call: str, mode: int
) -> None:
    folder.chmod(mode)
    with pytest.raises(KeyExposedError, match=f"mode {mode:04o}") as caught:
        CALLS[call](store)
    assert str(caught.value).endswith(f"Run: chmod 700 {folder}")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("call", CALLS)
def test_a_folder_of_another_user_is_refused(
    store: KeyStore, folder: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.geteuid()
    if own == 0:
        os.chown(folder, STRANGER_UID, STRANGER_UID)
    else:  # an ordinary user cannot give a folder away, but can pretend to be somebody else
        own = STRANGER_UID
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER_UID)
    with pytest.raises(KeyExposedError, match="belongs to another user") as caught:
        CALLS[call](store)
    assert str(caught.value).endswith(f"Run: chown {own} {folder}")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", ["symlink", "file", "fifo"])
def test_what_is_no_folder_is_refused(store: KeyStore, tmp_path: Path, call: str, kind: str) -> None:
    place = store.directory
    place.parent.mkdir()
    real = tmp_path / "real"
    if kind == "symlink":
        real.mkdir(mode=0o700)
        place.symlink_to(real)
    elif kind == "file":
        place.touch(mode=0o600)
    else:
        os.mkfifo(place, 0o600)
    with pytest.raises(KeyFileError) as caught:
        CALLS[call](store)
    mend = f"Run: rm {place} && mv {real} {place}" if kind == "symlink" else f"Run: mv -i {place} {place}.refused"
    assert str(caught.value).endswith(mend)


@pytest.mark.parametrize("call", CALLS)
def test_a_folder_that_cannot_be_looked_at_is_an_error_of_ours(store: KeyStore, tmp_path: Path, call: str) -> None:
    (tmp_path / "config").touch()  # a file where the folder above should be
    with pytest.raises(KeyAccessError, match="Run: ls -ld"):
        CALLS[call](store)


@pytest.mark.parametrize(
    ("name", "calls"),
    [("authorized_clients", ["authorised_clients", "enrol", "revoke"]), ("known_servers", ["known_server", "trust"])],
)
@pytest.mark.parametrize("kind", ["open", "symlink"])
def test_the_folders_within_are_guarded_likewise(
    store: KeyStore, folder: Path, name: str, calls: list[str], kind: str
) -> None:
    place = folder / name
    if kind == "open":
        place.mkdir(mode=0o700)
        place.chmod(0o775)
    else:
        (folder / "real").mkdir(mode=0o700)
        place.symlink_to(folder / "real")
    for call in calls:
        with pytest.raises(KeyExposedError if kind == "open" else KeyFileError, match="Run: ") as caught:
            CALLS[call](store)
        assert str(place) in str(caught.value)


# ---------------------------------------------------------------------- authorised clients


def test_without_a_folder_nobody_is_admitted(store: KeyStore) -> None:
    clients = store.authorised_clients()
    assert not clients.by_key and not clients.refused


def test_who_is_enrolled_is_admitted_until_revoked(store: KeyStore) -> None:
    store.enrol("alice", CLIENT.public)
    client = store.authorised_clients().by_key[CLIENT.public]
    assert client.name == "alice"
    assert client.metadata["name"] == "alice"
    store.revoke("alice")
    assert not store.authorised_clients().by_key
    with pytest.raises(KeyNotFoundError, match="nobody is enrolled as alice"):
        store.revoke("alice")


@pytest.mark.parametrize("hostile", HOSTILE_PUBLIC, ids=str)
def test_a_malformed_entry_is_refused_by_itself_and_the_others_count(store: KeyStore, hostile: Hostile) -> None:
    store.enrol("alice", SERVER.public)
    store.enrol("zoe", PublicKey.from_bytes(b"z" * 32))
    path = store.clients_folder / "mallory.key"
    hostile.place(path)
    clients = store.authorised_clients()
    assert sorted(client.name for client in clients.by_key.values()) == ["alice", "zoe"]
    [refused] = clients.refused
    assert refused.name == "mallory"
    assert isinstance(refused.error, hostile.error)
    assert hostile.says in str(refused)
    assert_mends(refused.error, path, "se-server enrol mallory KEY")


def test_a_secret_key_file_is_no_entry(store: KeyStore) -> None:
    store.enrol("alice", SERVER.public)
    put(store.clients_folder / "mallory.key", GOOD_SECRET)
    [refused] = store.authorised_clients().refused
    assert "holds a secret key" in str(refused)


def test_an_entry_with_a_name_that_cannot_be_one_is_refused(store: KeyStore) -> None:
    store.enrol("alice", SERVER.public)
    put(store.clients_folder / "-rf $HOME.key", GOOD_PUBLIC)
    [refused] = store.authorised_clients().refused
    assert isinstance(refused.error, EntryNameError)


def test_other_files_in_the_folder_are_nobodys_entry(store: KeyStore) -> None:
    store.enrol("alice", SERVER.public)
    for name in ("README", "bob.key~", "bob.key_secret", ".bob.key", ".new-0123"):
        put(store.clients_folder / name, GOOD_PUBLIC)
    clients = store.authorised_clients()
    assert [client.name for client in clients.by_key.values()] == ["alice"]
    assert not clients.refused


def test_to_enrol_the_same_once_more_changes_nothing(store: KeyStore) -> None:
    store.enrol("alice", CLIENT.public)
    before = store.clients_signature()
    store.enrol("alice", CLIENT.public)
    assert store.clients_signature() == before


def test_a_name_with_another_key_is_exchanged_only_when_told(store: KeyStore) -> None:
    store.enrol("alice", CLIENT.public)
    with pytest.raises(KeyExistsError, match="Run: se-server enrol --replace alice KEY") as caught:
        store.enrol("alice", SERVER.public)
    assert CLIENT.public.fingerprint in str(caught.value) and SERVER.public.fingerprint in str(caught.value)
    assert list(store.authorised_clients().by_key) == [CLIENT.public]
    store.enrol("alice", SERVER.public, replace=True)
    assert list(store.authorised_clients().by_key) == [SERVER.public]


def test_a_damaged_entry_is_exchanged_only_when_told(store: KeyStore) -> None:
    store.enrol("alice", CLIENT.public)
    put(store.clients_folder / "alice.key", b"rubbish")
    with pytest.raises(KeyExistsError, match="no good key file"):
        store.enrol("alice", CLIENT.public)
    store.enrol("alice", CLIENT.public, replace=True)
    assert not store.authorised_clients().refused


def test_one_key_is_not_enrolled_under_two_names(store: KeyStore) -> None:
    store.enrol("alice", CLIENT.public)
    with pytest.raises(KeyExistsError, match="enrolled as alice already") as caught:
        store.enrol("bob", CLIENT.public)
    assert str(caught.value).endswith(f"rm {store.clients_folder / 'alice.key'}")


def test_keys_of_our_own_are_not_enrolled_or_trusted_by_mistake(store: KeyStore) -> None:
    server, client = store.create_server_pair(), store.create_client_pair()
    for secret in (server.secret, client.secret):  # in Z85 a secret key looks like a public one
        mistaken = PublicKey(secret.reveal_z85())
        with pytest.raises(KeyTextError, match="secret key"):
            store.enrol("alice", mistaken)
        with pytest.raises(KeyTextError, match="secret key"):
            store.trust("robot", mistaken)
    with pytest.raises(KeyTextError, match="Run: se-remote key, on the client"):
        store.enrol("alice", server.public)
    with pytest.raises(KeyTextError, match="Run: se-server key, on the server"):
        store.trust("robot", client.public)
    assert not store.clients_folder.exists() and not store.servers_folder.exists()


# ---------------------------------------------------------------------- the signature of the folder


def test_the_signature_changes_with_everything_that_could_change_the_clients(store: KeyStore) -> None:
    seen = [store.clients_signature()]

    def changed(by: Callable[[], object]) -> bool:
        by()
        seen.append(store.clients_signature())
        return seen[-1] != seen[-2]

    path = store.clients_folder / "alice.key"
    assert changed(lambda: files.make_folder(store.directory))
    assert changed(lambda: store.enrol("alice", CLIENT.public))
    assert changed(lambda: store.enrol("alice", SERVER.public, replace=True))
    assert changed(lambda: path.chmod(0o666))
    assert changed(lambda: path.chmod(0o600))
    assert changed(lambda: os.utime(path, ns=(0, 0)))
    assert changed(lambda: path.rename(path.with_name("bob.key")))
    assert changed(lambda: store.clients_folder.chmod(0o755))
    assert changed(lambda: store.clients_folder.chmod(0o700))
    assert changed(lambda: store.revoke("bob"))
    assert not changed(store.authorised_clients)
    assert hash(seen[-1]) is not None


def test_the_signature_is_there_even_where_nothing_can_be_read(store: KeyStore, tmp_path: Path) -> None:
    assert store.clients_signature() == store.clients_signature()
    (tmp_path / "config").touch()
    assert store.clients_signature() is not None


# ---------------------------------------------------------------------- known servers


def test_a_server_is_known_where_it_was_trusted(store: KeyStore) -> None:
    assert store.known_server("robot", 7613) is None
    store.trust("robot:7613", SERVER.public)
    assert store.known_server("robot", 7613) == SERVER.public
    assert store.known_server("robot", 7614) is None
    store.trust("tcp://robot", CLIENT.public)
    assert store.known_server("robot", 7613) == SERVER.public
    assert store.known_server("robot", 7614) == CLIENT.public
    store.trust("loopback", SERVER.public)
    assert store.known_server("127.0.0.1", 1) == store.known_server("::1", 2) == SERVER.public


def test_a_pin_is_never_exchanged_silently(store: KeyStore) -> None:
    store.trust("robot", SERVER.public)
    with pytest.raises(KeyExistsError) as caught:
        store.trust("robot", CLIENT.public)
    message = str(caught.value)
    assert SERVER.public.fingerprint in message and CLIENT.public.fingerprint in message
    assert message.endswith(f"se-remote trust --replace robot {CLIENT.public.text}")
    assert store.known_server("robot", 1) == SERVER.public
    assert store.trust("robot", SERVER.public).key == SERVER.public
    store.trust("robot", CLIENT.public, replace=True)
    assert store.known_server("robot", 1) == CLIENT.public


@pytest.mark.parametrize("hostile", HOSTILE_PUBLIC, ids=str)
def test_a_pin_that_cannot_be_read_is_an_error_and_not_a_missing_pin(store: KeyStore, hostile: Hostile) -> None:
    """Otherwise whoever damages the file has us speak without encryption."""
    store.trust("other:1", SERVER.public)
    path = store.servers_folder / "robot.key"
    hostile.place(path)
    with pytest.raises(hostile.error, match=hostile.says) as caught:
        store.known_server("robot", 7613)
    assert_mends(caught.value, path, "se-remote trust ENDPOINT KEY")
    assert store.known_server("other", 1) == SERVER.public  # this very endpoint is pinned, whatever the other file says


def test_a_file_without_an_endpoint_is_no_pin_and_no_missing_pin(store: KeyStore) -> None:
    store.trust("other", SERVER.public)
    put(store.servers_folder / "robot.key", format_key_file(SERVER.public, metadata={}))
    with pytest.raises(KeyFileError, match="endpoint is missing"):
        store.known_server("robot", 7613)


@pytest.mark.parametrize("endpoint", ["robot", "robot:7613"])
def test_two_files_that_pin_one_server_to_two_keys_are_refused(store: KeyStore, endpoint: str) -> None:
    store.trust(endpoint, SERVER.public)
    put(store.servers_folder / "another.key", format_key_file(CLIENT.public, metadata={"endpoint": endpoint.upper()}))
    for host in ("robot", "elsewhere"):
        with pytest.raises(KeyFileError, match=f"another key for {endpoint}") as caught:
            store.known_server(host, 7613)
        assert "another.key" in str(caught.value) and "robot" in str(caught.value)


def test_a_pin_somebody_put_there_by_hand_can_be_exchanged(store: KeyStore) -> None:
    store.trust("other", SERVER.public)
    put(store.servers_folder / "my robot.key", format_key_file(CLIENT.public, metadata={"endpoint": "robot"}))
    assert store.known_server("robot", 7613) == CLIENT.public
    with pytest.raises(KeyExistsError):
        store.trust("robot", SERVER.public)
    store.trust("robot", SERVER.public, replace=True)
    assert store.known_server("robot", 7613) == SERVER.public
    assert sorted(path.name for path in store.servers_folder.iterdir()) == ["other.key", "robot.key"]


def test_an_odd_spelling_of_an_address_does_not_miss_its_pin(store: KeyStore) -> None:
    store.trust("10.0.0.1", SERVER.public)
    for spelling in ("10.1", "0x0a.0.0.1", "167772161", "::ffff:10.0.0.1"):
        assert store.known_server(spelling, 7613) == SERVER.public
