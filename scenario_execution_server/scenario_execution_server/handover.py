# SPDX-License-Identifier: Apache-2.0
"""Keys that clients hand over: with an invitation, or in place of the one that they have."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.rotation import announce_key, confirm_key
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import Client
from scenario_execution_server.admission import Peer
from scenario_execution_server.errors import EnrolmentRefusedError
from scenario_execution_server.journal import event

_NEXT_KEY_EVERY_S = 1.0  # per client: each is a write to the disk, for which everybody waits


class Handover:
    """Writes what clients hand over into the key store, and knows which keys they have had since the server started.

    Args:
        store: The server's key store.
        invitations: Those in it.
        log: The server's log.
    """

    def __init__(self, store: KeyStore, invitations: Invitations, log: logging.Logger) -> None:
        self._store = store
        self._invitations = invitations
        self._log = log
        self._retired: dict[PublicKey, tuple[str, PublicKey]] = {}  # by the key before: the name, and the key now
        self._announced_s: dict[str, float] = {}

    def redeem(self, peer: Peer, key: str) -> str:
        """Enrol the key that an invited peer hands over; returns the name.

        Raises:
            EnrolmentRefusedError: If it cannot be enrolled; with words for the peer.
        """
        try:
            client = self._invitations.redeem(_key_of(peer), PublicKey(key), datetime.now(timezone.utc))
        except KeysError as error:
            raise EnrolmentRefusedError(str(error)) from error
        event(
            self._log, logging.INFO, "a client used its invitation",
            client=client.name, fingerprint=client.key.fingerprint, address=peer.address,
        )  # fmt: skip
        return client.name

    def announce(self, peer: Peer, key: str, enrolled: Client | None) -> bool:
        """Take the next key of an enrolled peer on; its own key once more says only that it has come in with it.

        Args:
            peer: Who hands it over.
            key: In Z85.
            enrolled: What is known of the client of this name.

        Returns:
            Whether anything may have changed in the store.

        Raises:
            EnrolmentRefusedError: If it cannot be taken on; with words for the peer.
        """
        current = _key_of(peer)
        if key == current.z85 and not peer.is_retired:
            return False
        if peer.is_next or peer.is_retired:
            raise EnrolmentRefusedError("this is not the key of an enrolled client. Run: se-remote keygen --rotate")
        if enrolled is not None and enrolled.next_key is not None and enrolled.next_key.z85 == key:
            return False  # said once more
        now_s = time.monotonic()
        if now_s - self._announced_s.get(peer.name, -_NEXT_KEY_EVERY_S) < _NEXT_KEY_EVERY_S:
            raise EnrolmentRefusedError("too many keys in a short time. Run: se-remote keygen --rotate")
        self._announced_s[peer.name] = now_s
        try:
            following = PublicKey(key)
            is_new = announce_key(self._store, peer.name, current, following)
        except KeysError as error:
            raise EnrolmentRefusedError(str(error)) from error
        if is_new:
            event(
                self._log, logging.INFO, "a client announced its next key", client=peer.name,
                fingerprint=current.fingerprint, next=following.fingerprint, address=peer.address,
            )  # fmt: skip
        return True

    def confirm(self, peer: Peer) -> None:
        """A client has come in with its next key: that is its key now.

        Raises:
            KeysError: If this cannot be written down.
        """
        following = _key_of(peer)
        before = confirm_key(self._store, peer.name, following)
        # A scenario that runs with the key before is no reason to keep that key, nor the key a reason to end it.
        for key, (name, now) in self._retired.items():
            if (name, now) == (peer.name, before):
                self._retired[key] = (name, following)
        self._retired[before] = (peer.name, following)
        event(
            self._log, logging.INFO, "a client came in with its next key, the one before is retired",
            client=peer.name, fingerprint=following.fingerprint, retired=before.fingerprint, address=peer.address,
        )  # fmt: skip

    def forget_unused(self, is_in_use: Callable[[str], bool]) -> bool:
        """Forget the keys before with which no session lives any more; returns whether there were any.

        Args:
            is_in_use: Whether a peer of this identity has a session.
        """
        unused = [key for key in self._retired if not is_in_use(f"key:{key.z85}")]
        for key in unused:
            del self._retired[key]
        return bool(unused)

    def retired(self, clients: Mapping[PublicKey, Client]) -> dict[PublicKey, str]:
        """The names of those among *clients* that have the key now which came after this one, by the key before."""
        return {
            key: name
            for key, (name, following) in self._retired.items()
            if following in clients and clients[following].name == name
        }


def _key_of(peer: Peer) -> PublicKey:
    assert peer.key is not None  # only keys are handed over, and by keys
    return PublicKey(peer.key)
