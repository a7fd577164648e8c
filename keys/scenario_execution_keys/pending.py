# SPDX-License-Identifier: Apache-2.0
"""Keys that were refused and wait for somebody's word: one small file each, bounded, and worth nothing alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import EntryNameError, KeyNotFoundError, KeysError
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.keypair import FINGERPRINT_PREFIX, PublicKey
from scenario_execution_keys.one_use import OneUseKeys
from scenario_execution_keys.pairs import read_public, timestamp
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import client_name_for

PENDING_LIMIT = 100  # what an operator can still look through, about 40 kB
_SHORTEST_BEGINNING = (
    len(FINGERPRINT_PREFIX) + 6
)  # of a fingerprint: 30 bits, no two of a hundred begin alike by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingKey:
    """A key that was refused.

    Attributes:
        key: The key.
        address: Where it came from first.
        first_seen: When, in UTC.
        last_seen: When it was noted last; about once a minute while its client tries.
        is_denied: Whether the operator has said no.
    """

    key: PublicKey
    address: str
    first_seen: str
    last_seen: str
    is_denied: bool = False

    @property
    def proposal(self) -> str:
        """A name to enrol it under if nobody says a better one."""
        return client_name_for(f"from-{self.address}")


class PendingKeys:
    """The refused keys of one store.

    Args:
        store: The store.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.folder = store.directory / paths.PENDING_FOLDER

    def all(self) -> list[PendingKey]:
        """Every key that waits and is not enrolled meanwhile, the latest first. What cannot be read is left out.

        So is the key of an invitation: whoever has the line has it, so that nobody's word can make it a client's.
        """
        enrolled = self._store.authorised_clients().by_key
        invited = OneUseKeys(self._store.directory).all()
        entries = self._entries()
        return [entry for entry in entries if entry.key not in enrolled and entry.key.fingerprint not in invited]

    def remember(self, key: PublicKey, address: str) -> None:
        """Note that *key* was refused. If there are too many, the oldest of the address with most of them is forgotten.

        So somebody who knocks with ever new keys displaces only their own.

        Raises:
            KeysError: If the folder cannot be written, as on a read-only mount.
        """
        files.make_folder(self._store.directory)
        files.make_folder(self.folder)
        known = {entry.key: entry for entry in self._entries()}
        before = known.get(key)
        now = timestamp()
        if before is None:
            while len(known) >= PENDING_LIMIT:
                victim = _most_dispensable(list(known.values()))
                del known[victim.key]
                self._forget(victim.key)
        self._write(
            PendingKey(
                key=key,
                address=address if before is None else before.address,
                first_seen=now if before is None else before.first_seen,
                last_seen=now,
                is_denied=before is not None and before.is_denied,
            )
        )

    def find(self, who: str) -> PendingKey:
        """The key that a person means: by fingerprint or the beginning of one, by the key itself, or by `proposal`.

        Raises:
            KeyNotFoundError: If no such key waits, or too little of a fingerprint is given to be sure of it.
            EntryNameError: If several do.
        """
        who = who.strip()
        entries = self.all()
        exact = [entry for entry in entries if who in (entry.key.fingerprint, entry.key.text, entry.key.z85)]
        begun = [
            entry
            for entry in entries
            if len(who) >= _SHORTEST_BEGINNING and entry.key.fingerprint.startswith(who.lower())
        ]
        named = [entry for entry in entries if entry.proposal == who and not entry.is_denied]
        found = exact or begun or named
        mend = f"Run: {self._store.command('se-server pending')}"
        if not found and who.lower().startswith(FINGERPRINT_PREFIX) and len(who) < _SHORTEST_BEGINNING:
            least = f"at least {_SHORTEST_BEGINNING - len(FINGERPRINT_PREFIX)} characters after {FINGERPRINT_PREFIX}"
            raise KeyNotFoundError(f"{who!r} says too little of a fingerprint; give {least}", mend, path=self.folder)
        if not found:
            raise KeyNotFoundError(f"no refused key is known as {who!r}", mend, path=self.folder)
        if len(found) > 1:
            raise EntryNameError(
                f"{who!r} fits {len(found)} refused keys; say which by its fingerprint", mend, text=who
            )
        return found[0]

    def deny(self, entry: PendingKey) -> None:
        """Keep the key in mind as one that the operator does not want."""
        self._write(
            PendingKey(
                key=entry.key,
                address=entry.address,
                first_seen=entry.first_seen,
                last_seen=entry.last_seen,
                is_denied=True,
            )
        )

    def _forget(self, key: PublicKey) -> None:
        files.remove_owned(self._path(key))

    def forget(self, entry: PendingKey) -> None:
        """Remove the key from those that wait."""
        self._forget(entry.key)

    def _path(self, key: PublicKey) -> Path:
        return self.folder / (key.fingerprint + paths.PUBLIC_SUFFIX)

    def _write(self, entry: PendingKey) -> None:
        metadata = {
            "address": entry.address,
            "first-seen": entry.first_seen,
            "last-seen": entry.last_seen,
            **({"denied": "yes"} if entry.is_denied else {}),
        }
        # Not synced to the disk: the server writes this at a stranger's will and must not be held up by it.
        files.replace_owned(self._path(entry.key), format_key_file(entry.key, metadata=metadata), lasting=False)

    def _entries(self) -> list[PendingKey]:
        if not (files.check_folder(self._store.directory) and files.check_folder(self.folder)):
            return []
        found = []
        for name in files.list_folder(self.folder):
            if name.startswith(".") or not name.endswith(paths.PUBLIC_SUFFIX):
                continue
            try:
                read = read_public(self.folder / name, "")
            except KeysError:
                continue  # a note that cannot be read is worth nothing; the client will knock again
            say = read.metadata.get
            entry = PendingKey(
                key=read.public,
                address=say("address", ""),
                first_seen=say("first-seen", ""),
                last_seen=say("last-seen", ""),
                is_denied=say("denied") == "yes",
            )
            if self._path(entry.key).name == name:
                found.append(entry)
        return sorted(found, key=lambda entry: entry.last_seen, reverse=True)


def _most_dispensable(entries: list[PendingKey]) -> PendingKey:
    counts = Counter(entry.address for entry in entries)
    most = max(counts.values())
    return min((entry for entry in entries if counts[entry.address] == most), key=lambda entry: entry.last_seen)
