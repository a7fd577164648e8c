# SPDX-License-Identifier: Apache-2.0
"""Which of the results that nobody has fetched may stay, and until when. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The results of one session that were not home when it was over.

    Attributes:
        path: Where they lie.
        client: Whose they are: the name it was enrolled under, or the best there is.
        session: The beginning of the session's name, as in the log.
        since_s: When the session was over, in seconds since 1970.
        size_bytes: How much they take.
    """

    path: Path
    client: str
    session: str
    since_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long, and how much.

    Attributes:
        keep_s: So many seconds after its session.
        limit_bytes: Of all together.
    """

    keep_s: float
    limit_bytes: int

    def until_s(self, kept: Kept, now_s: float) -> float:
        """When it goes, in seconds since 1970; who says that it is from the future is from now."""
        return min(kept.since_s, now_s) + self.keep_s

    def to_remove(self, found: Iterable[Kept], now_s: float) -> list[tuple[Kept, str]]:
        """What has to go, and why: what is too old, and then the oldest until the rest is within the limit."""
        removed: list[tuple[Kept, str]] = []
        left: list[Kept] = []
        for kept in sorted(found, key=lambda one: (one.since_s, one.path)):
            if self.until_s(kept, now_s) <= now_s:
                removed.append((kept, "expired"))
            else:
                left.append(kept)
        total = sum(kept.size_bytes for kept in left)
        for kept in left:
            if total <= self.limit_bytes:
                break
            total -= kept.size_bytes
            removed.append((kept, "limit"))
        return removed
