# SPDX-License-Identifier: Apache-2.0
"""How often the log hears of bad input: once, and then once in a while with a count. No clock."""

from __future__ import annotations

EVERY_S = 1.0  # fast enough for somebody who watches the log, slow enough that a flood of junk is a line a second
_KNOWN_COUNT = 1000  # peers that are remembered; they are admitted ones, so there are hardly more


class Complaints:
    """Who has been complained about, and what has not been said since."""

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}
        self._unsaid_count: dict[str, int] = {}

    def hear(self, identity: str, now_s: float) -> int | None:
        """One more complaint about *identity*.

        Returns:
            How many were kept quiet since the last that was said, if this one is to be said; None if it is kept quiet.
        """
        last_s = self._said_s.get(identity)
        if last_s is not None and now_s - last_s < EVERY_S:
            self._unsaid_count[identity] = self._unsaid_count.get(identity, 0) + 1
            return None
        if len(self._said_s) >= _KNOWN_COUNT:
            self._said_s.clear()
            self._unsaid_count.clear()
        self._said_s[identity] = now_s
        return self._unsaid_count.pop(identity, 0)
