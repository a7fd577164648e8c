# SPDX-License-Identifier: Apache-2.0
"""Exchanging a client's key: the client has two pairs for a while, and the server two keys in one entry.

What the client does, in this order, so that it gets in whenever it is cut short: the next pair is made beside the
current one; servers take it on beside the current key; only then it becomes the current one, and the old one stays for
servers that were not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import (
    EntryNameError,
    KeyExistsError,
    KeyNotFoundError,
    KeysError,
)
from scenario_execution_keys.keyfile import KeyFile, format_key_file, parse_key_file
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.pairs import quoted, read_public, timestamp
from scenario_execution_keys.permissions import FIRST_KEY, NEXT_KEY, ROTATED
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import ServerScope

_WAITING = "waiting"
_WAITING_LIMIT = 4096  # characters, half of what a key file may hold; without the list, all known servers are tried

# ------------------------------------------------------------------ on the client


class ClientRotation:
    """The client's pair with the one that comes after it and the one that was before it. Each step is one file.

    Args:
        store: The client's key store.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._files = store.pair_files(paths.CLIENT)
        self.next_path = self._files.next_path
        self.old_path = self.next_path.with_suffix(paths.OLD_SUFFIX)

    def check_own(self) -> KeyPair:
        """The current pair, if it is one that can be exchanged here.

        Raises:
            KeyExistsError: If it is mounted from elsewhere.
            KeysError: If there is none, or it cannot be used.
        """
        if self._files.given is not None:
            path, variable = self._files.given
            what = f"the key of the client comes from {path}, as {variable} says, and is exchanged where that is made"
            raise KeyExistsError(what, f"To exchange the one in the key store, first run: unset {variable}", path=path)
        return self._files.load()

    def next_pair(self) -> KeyPair | None:
        """The pair that a rotation has made and not yet put in its place; None if none is under way.

        Raises:
            KeysError: If it cannot be read.
        """
        following = self._files.load_next()
        if following is None:
            files.remove_owned(self.next_path)  # cut short in the very last step, if it is there
            return None
        return following.pair

    def make_next(self) -> KeyPair:
        """Make the next pair.

        Raises:
            KeyExistsError: If somebody else has just made one.
            KeysError: If it cannot be written.
        """
        pair = KeyPair.generate()
        mend = f"Another rotation is under way. Run: {self._store.command('se-remote keygen --rotate')}"
        self._files.make_next(pair, counts_from=None, mend=mend)
        return pair

    def old_pair(self) -> KeyPair | None:
        """The pair from before, for servers that were not told yet; None if there are none.

        Raises:
            KeysError: If it cannot be read.
        """
        if self._files.given is not None:
            return None
        found = self._read(self.old_path)
        if found is None or found.secret is None or found.public == self._files.load().public:
            return None
        return KeyPair(found.public, found.secret)

    def waiting(self) -> tuple[ServerScope, ...] | None:
        """The servers that know only the old key; None if that is not written down.

        Raises:
            KeysError: If the old pair cannot be read.
        """
        found = self._read(self.old_path)
        if found is None or _WAITING not in found.metadata:
            return None
        try:
            return tuple(ServerScope.parse(text) for text in found.metadata[_WAITING].split())
        except EntryNameError:
            return None

    def switch(self, pair: KeyPair, waiting: Iterable[ServerScope]) -> None:
        """Put the next *pair* in the place of the current one, and keep that one for the servers that are *waiting*.

        Raises:
            KeysError: If a file cannot be written. Either pair is complete in its place then.
        """
        left = tuple(waiting)
        if left:
            self.keep_old(self._files.load(), left)
        self._files.put_in_place(pair)
        if not left:
            files.remove_owned(self.old_path)

    def keep_old(self, pair: KeyPair, waiting: Iterable[ServerScope]) -> None:
        """Keep the old *pair* for the servers that are *waiting*; without any, be rid of it."""
        left = " ".join(scope.text for scope in waiting)
        if not left:
            files.remove_owned(self.old_path)
            return
        more = {_WAITING: left} if len(left) <= _WAITING_LIMIT else {}
        files.replace_owned(self.old_path, self._files.secret_file(pair, more))

    def mend_public(self, pair: KeyPair) -> None:
        """Write the public file if it is missing."""
        self._files.mend_public(pair)

    def _read(self, file: Path) -> KeyFile | None:
        mend = f"Run: mv -i {quoted(file)} {quoted(file)}.refused"
        try:
            return parse_key_file(files.read_owned(file, secret=True, mend=mend), path=file, mend=mend)
        except KeyNotFoundError:
            return None


def spare_pair(store: KeyStore) -> KeyPair | None:
    """The pair to try where the current one is refused; None without an unfinished rotation, or if it cannot be read.

    Nothing is decided by it but whether a server that was not told yet can be used meanwhile.
    """
    try:
        return ClientRotation(store).old_pair()
    except KeysError:
        return None


# ------------------------------------------------------------------ on the server


def announce_key(store: KeyStore, name: str, current: PublicKey, following: PublicKey) -> bool:
    """Admit the client *name* with the key *following* as well, until it has come in with that.

    Args:
        store: The server's key store.
        name: The client.
        current: Its key, with which it has proved who it is.
        following: What it wants to come in with from now on.

    Returns:
        Whether anything changed.

    Raises:
        KeyNotFoundError: If *name* does not have the key *current* (any more).
        KeyExistsError: If *following* is somebody's already.
        KeyTextError: If it is a key of the server's own.
        KeysError: If the entry cannot be read or written.
    """
    found = _entry(store, name, current)
    store.check_free(following, name)
    if found.metadata.get(NEXT_KEY) == following.text:
        return False
    _write(store, name, current, {**found.metadata, NEXT_KEY: following.text})
    return True


def confirm_key(store: KeyStore, name: str, following: PublicKey) -> PublicKey:
    """The client *name* has come in with its next key: that is its key from now on, and the one before is no more.

    Returns:
        The key before.

    Raises:
        KeyNotFoundError: If it has no such next key (any more).
        KeysError: If the entry cannot be read or written.
    """
    found = _entry(store, name, None)
    if found.metadata.get(NEXT_KEY) != following.text:
        raise _changed(store, name)
    kept = {option: value for option, value in found.metadata.items() if option != NEXT_KEY}
    # As the text says it, and not as the name does: who is enrolled anew under that is somebody else.
    first = kept.get(FIRST_KEY, found.public.text)
    _write(store, name, following, {**kept, ROTATED: timestamp(), FIRST_KEY: first})
    return found.public


def _entry(store: KeyStore, name: str, current: PublicKey | None) -> KeyFile:
    path = store.clients_folder / (name + paths.PUBLIC_SUFFIX)
    found = read_public(path, f"Run: {store.command('se-server clients')}")
    if current is not None and found.public != current:
        raise _changed(store, name)
    return found


def _changed(store: KeyStore, name: str) -> KeyNotFoundError:
    path = store.clients_folder / (name + paths.PUBLIC_SUFFIX)
    mend = f"Run: {store.command('se-server clients')}"
    return KeyNotFoundError(f"the key of {name} was changed meanwhile", mend, path=path)


def _write(store: KeyStore, name: str, key: PublicKey, metadata: Mapping[str, str]) -> None:
    path = store.clients_folder / (name + paths.PUBLIC_SUFFIX)
    kept = {option: value.replace("\t", " ") for option, value in metadata.items()}
    files.replace_owned(path, format_key_file(key, metadata=kept))
