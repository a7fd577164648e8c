# SPDX-License-Identifier: Apache-2.0
"""Exchanging a server's key: the server makes its next pair and says from when it counts, clients pin both until then.

Nobody is locked out by a step that is cut short: each is one file, the next key counts by the clock and not by a step
that somebody has to take, and a client lets go of the key before only when the server has proved the next one.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone

from scenario_execution_keys import paths
from scenario_execution_keys.errors import KeyExistsError, KeyNotFoundError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.pairs import NextPair
from scenario_execution_keys.permissions import show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import KnownServer

# ------------------------------------------------------------------ on the server


class ServerSuccession:
    """The server's pair and the one that comes after it.

    Args:
        store: The server's key store.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._files = store.pair_files(paths.SERVER)

    def plan(self) -> NextPair | None:
        """The pair that is announced and does not count yet; None if there is none.

        Raises:
            KeysError: If it cannot be read.
        """
        following = self._files.load_next()
        return None if following is None or following.counts(_now()) else following

    def follows(self, before: NextPair | None) -> NextPair | None:
        """The pair that was announced, whether it counts by now or not, for whoever has announced *before* until now.

        Raises:
            KeysError: If it cannot be read.
        """
        if before is not None and self._files.load() == before.pair:
            return NextPair(pair=before.pair, counts_from=_now())  # somebody else has put it in its place
        return self._files.load_next()

    def announce(self, counts_from: datetime) -> NextPair:
        """Make the next pair, or let the one that is announced already count from another moment.

        Raises:
            KeyExistsError: If the key is mounted from elsewhere.
            KeysError: If there is no server key, or the next one cannot be written.
        """
        if self._files.given is not None:
            path, variable = self._files.given
            what = f"the key of the server comes from {path}, as {variable} says, and is exchanged where that is made"
            raise KeyExistsError(what, f"To exchange the one in the key store, first run: unset {variable}", path=path)
        self.settle()
        current = self._store.server_pair().public
        following = self.plan()
        if following is None:
            following = NextPair(pair=KeyPair.generate(), counts_from=counts_from)
            mend = f"Somebody else has just announced one. Run: {self._store.command('se-server rotate')}"
            self._files.make_next(following.pair, counts_from=counts_from, mend=mend)
        else:
            following = NextPair(pair=following.pair, counts_from=counts_from)
            self._files.move_next(following, counts_from)
        learn_next(self._store, current, following.pair.public, counts_from)  # who scenarios on this machine trust
        return following

    def cancel(self) -> NextPair:
        """Keep the key there is, and forget the one that was announced.

        Raises:
            KeyNotFoundError: If none is announced, or it counts already.
            KeysError: If it cannot be read or removed.
        """
        following = self.plan()
        if following is None:
            mend = f"Run: {self._store.command('se-server key')}"
            raise KeyNotFoundError("no next server key is announced", mend, path=self._files.next_path)
        self._files.drop_next()
        learn_next(self._store, self._store.server_pair().public, None, None)
        return following

    def settle(self) -> bool:
        """Put the next pair in the place of the one before, if it counts by now; whether it does.

        Raises:
            KeysError: If a file cannot be read or written. What counts does not depend on that.
        """
        if self._files.given is not None:
            return False
        has_file = os.path.lexists(self._files.next_path)
        following = self._files.load_next()
        if following is None and has_file:  # cut short after it was put in its place
            self._files.put_in_place(self._files.load())
        if following is None or not following.counts(_now()):
            return False
        before = self._files.load().public
        self._files.put_in_place(following.pair)
        learn_next(self._store, before, following.pair.public, following.counts_from)
        follow(self._store, before, following.pair.public)
        return True


# ------------------------------------------------------------------ on the client


def learn_next(
    store: KeyStore, current: PublicKey, following: PublicKey | None, counts_from: datetime | None
) -> tuple[KnownServer, ...]:
    """Put down beside every pin of *current* which key comes after it; None for no other. The caller knows it from
    whoever has proved to have *current*.

    Returns:
        The pins that were changed.

    Raises:
        KeysError: If the known servers cannot be read or written, or it is a key of the client's own.
    """
    changed = []
    for pin in store.known_servers():
        if pin.key == current and (pin.next_key, pin.next_from) != (following, counts_from):
            changed.append(store.repin(pin, current, following, counts_from))
    return tuple(changed)


def follow(store: KeyStore, current: PublicKey, following: PublicKey) -> tuple[KnownServer, ...]:
    """The server has proved to have the key that was announced: wherever both are pinned, that alone is from now on.

    Returns:
        The pins that were changed.

    Raises:
        KeysError: If the known servers cannot be read or written.
    """
    pins = [pin for pin in store.known_servers() if pin.key == current and pin.next_key == following]
    return tuple(store.repin(pin, following, None, None) for pin in pins)


def announced(following: NextPair) -> str:
    """The announcement, as a clause."""
    when = f" from {show_instant(following.counts_from)}" if following.counts_from is not None else ""
    return f"{following.pair.public.fingerprint}{when}"


def _now() -> datetime:
    return datetime.now(timezone.utc)
