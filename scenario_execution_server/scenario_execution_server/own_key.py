# SPDX-License-Identifier: Apache-2.0
"""The key pair of a running server and the one that comes after it: what clients are told, and when it is time."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.pairs import NextPair
from scenario_execution_keys.permissions import show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession
from scenario_execution_remote.protocol.messages import NextKey
from scenario_execution_server.journal import event
from scenario_execution_server.watch import Watch


class OwnKey:
    """The server's key. The files say what is announced; when it counts, says the clock.

    Args:
        store: The server's key store.
        pair: The pair that the doors have.
        log: The server's log.
        watch: Is told of changes.

    Attributes:
        pair: The pair that the doors have, or shall have.
        announcement: What clients are told; after the switch the same as before, until there is something else to say.
            That there is none could reach a client just before its connection is cut, and it would not come back.
    """

    def __init__(self, store: KeyStore, pair: KeyPair, log: logging.Logger, watch: Watch) -> None:
        self.pair = pair
        self.announcement: NextKey | None = None
        self._succession = ServerSuccession(store)
        self._log = log
        self._watch = watch
        self._plan: NextPair | None = None
        self._complained = ""

    def look(self) -> None:
        """Take over what the files announce now. What cannot be read changes nothing."""
        if self._is_due():
            return  # it counts, whatever the files say by now: clients have been told so
        try:
            plan = self._succession.follows(self._plan)
        except KeysError as error:
            self._complain("the next server key cannot be read", error)
            return
        if plan == self._plan or (plan is not None and plan.pair == self.pair):
            return
        self._plan, self.announcement = plan, None
        if plan is None or plan.counts_from is None:
            event(self._log, logging.INFO, "no next server key is announced any more")
            self._watch.next_key(None, None)
            return
        self.announcement = NextKey(key=plan.pair.public.z85, from_utc_s=plan.counts_from.timestamp())
        fingerprint, moment = plan.pair.public.fingerprint, show_instant(plan.counts_from)
        event(self._log, logging.INFO, "the next server key is announced", fingerprint=fingerprint, counts_from=moment)
        self._watch.next_key(fingerprint, moment)

    def switch(self) -> bool:
        """Make the next pair the server's if it counts by now; whether the doors have to be bound anew."""
        if not self._is_due():
            return False
        assert self._plan is not None
        before, self.pair = self.pair, self._plan.pair
        self._plan = None
        try:
            self._succession.settle()
        except KeysError as error:  # it counts all the same, for whoever reads the files
            self._complain("the next server key counts, and cannot be put in its place", error)
        event(
            self._log, logging.INFO, "the server has its next key", fingerprint=self.pair.public.fingerprint,
            before=before.public.fingerprint,
        )  # fmt: skip
        self._watch.server_key_changed(self.pair.public.fingerprint)
        self.look()  # somebody may have announced the next but one already
        return True

    def settle(self) -> None:
        """Put a next key that counts already in its place, as when the server was not running at that moment."""
        try:
            self._succession.settle()
        except KeysError as error:
            self._complain("the server's key counts, and cannot be put in its place", error)

    def _is_due(self) -> bool:
        return self._plan is not None and self._plan.counts(datetime.now(timezone.utc))

    def _complain(self, sentence: str, error: KeysError) -> None:
        if self._complained != str(error):
            self._complained = str(error)
            event(self._log, logging.ERROR, sentence, why=error.what, next=error.mend)
