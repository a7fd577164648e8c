# SPDX-License-Identifier: Apache-2.0
"""Which of what lies on the server for clients may stay, and until when. No I/O, no clock."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Something that lies in a folder of a client's folder.

    Attributes:
        path: Where it lies, as ``OWNER/FOLDER/NAME``.
        since_s: Since when nobody has used it, in seconds since 1970.
        size_bytes: How much it takes.
    """

    path: Path
    since_s: float
    size_bytes: int

    @property
    def owner(self) -> str:
        """Whose it is: the name of the client's folder."""
        return self.path.parent.parent.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Results(Kept):
    """The results of one session that were not home when it was over, which is since when they are kept.

    Attributes:
        client: Whose they are: the name it was enrolled under, or the best there is.
        session: The beginning of the session's name, as in the log.
    """

    client: str
    session: str


AnyKept = TypeVar("AnyKept", bound=Kept)


def to_remove(
    found: Iterable[AnyKept], now_s: float, age_s: Callable[[AnyKept], float], limit_bytes: float
) -> list[tuple[AnyKept, str]]:
    """What has to go, and why: what is too old, and then the oldest of the owner with most, until the rest is within
    the limit. So nobody's goes because somebody else leaves so much.

    Args:
        found: What there is.
        now_s: Now, in seconds since 1970.
        age_s: How old something may become, in seconds.
        limit_bytes: Of all together.
    """
    removed: list[tuple[AnyKept, str]] = []
    left: defaultdict[str, deque[AnyKept]] = defaultdict(deque)
    sizes: defaultdict[str, int] = defaultdict(int)
    for kept in sorted(found, key=lambda one: (one.since_s, one.path)):
        if now_s - kept.since_s >= age_s(kept):
            removed.append((kept, "expired"))
        else:
            left[kept.owner].append(kept)
            sizes[kept.owner] += kept.size_bytes
    total = sum(sizes.values())
    while left and total > limit_bytes:
        owner = max(left, key=lambda one: (sizes[one], -left[one][0].since_s))
        kept = left[owner].popleft()
        removed.append((kept, "limit"))
        total -= kept.size_bytes
        sizes[owner] -= kept.size_bytes
        if not left[owner]:
            del left[owner]
    return removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long results are kept, and how much of them.

    Attributes:
        keep_s: So many seconds after its session.
        limit_bytes: Of all together.
    """

    keep_s: float
    limit_bytes: int

    def until_s(self, kept: Kept, now_s: float) -> float:
        """When it goes, in seconds since 1970; who says that it is from the future is from now."""
        return min(kept.since_s, now_s) + self.keep_s

    def to_remove(
        self, found: Iterable[Results], now_s: float, stored_bytes: Mapping[str, int]
    ) -> list[tuple[Results, str]]:
        """What has to go, and why: see :func:`to_remove`, for each client by itself first, and then for all.

        Args:
            found: What there is.
            now_s: Now, in seconds since 1970.
            stored_bytes: How much may lie on the server for an owner, of those for whom that is known and limited.
        """
        mine: defaultdict[str, list[Results]] = defaultdict(list)
        for kept in found:
            mine[kept.owner].append(kept)
        removed: list[tuple[Results, str]] = []
        for owner, several in mine.items():
            limit_bytes = stored_bytes.get(owner)
            if limit_bytes is not None:
                own = to_remove(several, now_s, self._age_s, limit_bytes)
                removed += [(kept, "stored" if why == "limit" else why) for kept, why in own]
        gone = {kept.path for kept, _ in removed}
        rest = [kept for several in mine.values() for kept in several if kept.path not in gone]
        return removed + to_remove(rest, now_s, self._age_s, self.limit_bytes)

    def _age_s(self, _kept: Kept) -> float:
        return self.keep_s
