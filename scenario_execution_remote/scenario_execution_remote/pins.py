# SPDX-License-Identifier: Apache-2.0
"""The keys that one server may prove, and what it says of its next one put down beside its pin."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from scenario_execution_keys.errors import KeysError, KeyTextError
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.permissions import show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import follow, learn_next

from .protocol.messages import NextKey

_SAYINGS = 16  # per session; an operator changes it once or twice, and each is a write to our disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something that people should know, with the level of a log record."""

    level: str
    text: str


class Pins:
    """One server's keys in one session. Everything that is told here comes over a connection on which it proved one.

    Args:
        store: Where it is pinned.
        endpoint: The server, for remarks.
        key: The key that it has to prove.
        next_key: The key that it may prove instead, as it has said earlier.
        is_in_scenario: Whether *key* stands in the scenario, where nobody but its author can change it.

    Attributes:
        key: See there.
        next_key: Likewise.
        is_in_scenario: Likewise.
    """

    def __init__(
        self,
        store: KeyStore,
        endpoint: str,
        key: PublicKey,
        next_key: PublicKey | None = None,
        *,
        is_in_scenario: bool = False,
    ) -> None:
        self.key = key
        self.next_key = next_key
        self._store = store
        self._endpoint = endpoint
        self.is_in_scenario = is_in_scenario
        self._sayings_left = _SAYINGS

    def proved(self, key: PublicKey | None) -> Remark | None:
        """The server has proved to have *key*. If it is the next one, it alone counts from now on."""
        if key is None or key != self.next_key:
            return None
        before, self.key, self.next_key = self.key, key, None
        try:
            changed = follow(self._store, before, key)
        except KeysError as error:
            return self._cannot(key, f"has exchanged its key for {key.fingerprint}, as it had announced", error)
        if not changed:
            return None
        return Remark(
            level="info",
            text=f"the server at {self._endpoint} has exchanged its key, as it had announced: {key.fingerprint} is "
            "pinned now",
        )

    def told(self, said: NextKey | None) -> Remark | None:
        """What the server says of its next key; None if it announces none."""
        if self._sayings_left == 0 or (said is None and self.next_key is None):
            return None
        self._sayings_left -= 1
        following, counts_from = None, None
        if said is not None:
            try:
                following = PublicKey(said.key)
                counts_from = datetime.fromtimestamp(int(said.from_utc_s), timezone.utc)
            except (KeyTextError, ValueError, OverflowError, OSError):
                return Remark(level="warning", text=f"the server at {self._endpoint} announces a key that is none")
        if following == self.key:
            following, counts_from = None, None
        self.next_key = following
        will = "" if counts_from is None or following is None else (
            f"will have the key {following.fingerprint} from {show_instant(counts_from)} on"
        )  # fmt: skip
        try:
            changed = learn_next(self._store, self.key, following, counts_from)
        except KeyTextError as error:
            self.next_key = None
            return Remark(level="warning", text=f"the server at {self._endpoint} announces a key that is none: {error}")
        except KeysError as error:
            return self._cannot(following, will, error) if following is not None else None
        if following is not None and self.is_in_scenario:
            text = f"the server at {self._endpoint} {will}; then the scenario has to say: server_key: {following.text}"
            return Remark(level="warning", text=text)
        if not changed:
            return None
        if following is None:
            return Remark(level="info", text=f"the server at {self._endpoint} keeps its key {self.key.fingerprint}")
        return Remark(level="info", text=f"the server at {self._endpoint} {will}; it is pinned beside the present one")

    def _cannot(self, key: PublicKey, does: str, error: KeysError) -> Remark:
        trust = self._store.command(f"se-remote trust --replace {self._endpoint} {key.text}")
        why = f"that cannot be put down here ({error.what}); then run: {trust}"
        return Remark(level="warning", text=f"the server at {self._endpoint} {does}, and {why}")
