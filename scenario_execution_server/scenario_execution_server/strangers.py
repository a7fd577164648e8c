# SPDX-License-Identifier: Apache-2.0
"""What becomes of refused handshakes: word to the watch, lines in the log, and keys kept for `se-server pending`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.pending import PendingKeys
from scenario_execution_keys.store import KeyStore
from scenario_execution_server.journal import event
from scenario_execution_server.refusals import Refusal, RefusalLog
from scenario_execution_server.watch import Watch

_NOTES_AT_ONCE = 2  # files written for strangers in one look, a quarter of a second apart: no flood wears out a disk


class Strangers:
    """Those who were refused.

    Args:
        store: The server's key store, which keeps refused keys.
        log: The server's log.
        watch: Is told as well.
    """

    def __init__(self, store: KeyStore, log: logging.Logger, watch: Watch) -> None:
        self._log = log
        self._watch = watch
        self._lines = RefusalLog(store.command)
        self._pending = PendingKeys(store)
        self._cannot_note = False

    def tell(self, refusals: Iterable[Refusal], uncounted: int) -> None:
        """These were refused since the last call, and so many more of whom nothing is known."""
        refusals = list(refusals)
        for refusal in refusals:
            self._watch.handshake_refused(refusal.key, refusal.address, refusal.why)
        self._watch.refusals_uncounted(uncounted)
        notes_left = _NOTES_AT_ONCE
        for line in self._lines.lines(refusals, time.monotonic(), uncounted=uncounted):
            event(self._log, logging.WARNING, line.sentence, **line.fields)
            if line.stranger is not None and notes_left:
                notes_left -= 1
                self._note(*line.stranger)

    def _note(self, key: PublicKey, address: str) -> None:
        """Keep a refused key in mind for `se-server pending`. What cannot be written is no reason not to serve."""
        try:
            self._pending.remember(key, address)
        except KeysError as error:
            if not self._cannot_note:
                self._cannot_note = True
                event(
                    self._log, logging.INFO, "refused keys are not kept for se-server pending", why=error.what,
                    next="enrol them with the commands in this log",
                )  # fmt: skip
