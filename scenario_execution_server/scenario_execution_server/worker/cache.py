# SPDX-License-Identifier: Apache-2.0
"""What clients have sent, kept for their next sessions: each client's apart, and all within what there is room for."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_remote.files.names import OWN_PREFIX
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.keeping import make_private

_CONTENTS = "contents"  # in the folder of a client
_UNFINISHED_AGE_S = 3600.0  # a content that comes in changes all the time; one that does not has been given up
_ROOM = 0.8  # of the limit is filled when room is made, so that it need not be made for every content


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One content: where it lies, when it was used last (in seconds since 1970), and what it takes on the disk."""

    path: Path
    used_s: float
    size_bytes: int


def to_remove(found: Iterable[Kept], now_s: float, age_s: float, limit_bytes: float) -> list[Kept]:
    """What nobody has used for so long, and then what was not used for the longest, until the limit is kept."""
    removed: list[Kept] = []
    left: list[Kept] = []
    for kept in sorted(found, key=lambda one: (one.used_s, one.path)):
        is_unfinished = kept.path.name.startswith(OWN_PREFIX)
        allowed_s = min(age_s, _UNFINISHED_AGE_S) if is_unfinished else age_s
        (removed if now_s - kept.used_s > allowed_s else left).append(kept)
    total = sum(kept.size_bytes for kept in left)
    for kept in left:
        if total <= limit_bytes:
            break
        total -= kept.size_bytes
        removed.append(kept)
    return removed


class Cache:
    """The contents that one client may use and add to.

    Args:
        clients: The folder with all clients' folders.
        owner: The name of this client's.
        terms: The limits.

    Attributes:
        path: Where this client's contents lie; it need not exist.
    """

    def __init__(self, clients: Path, owner: str, terms: messages.FileTerms) -> None:
        self._clients = clients
        self._age_s = terms.cache_age_s
        own_bytes = terms.cache_limit_bytes if terms.stored_bytes is None else terms.stored_bytes
        self._limits_bytes = (own_bytes, terms.cache_limit_bytes)  # of this client, and of all together
        self._filled_bytes: tuple[int, int] | None = None  # as far as we know: other sessions add and remove as well
        self._is_made = False
        self.path = clients / owner / _CONTENTS

    def has_room_for(self, size_bytes: int) -> bool:
        """Make room for a content of this size, and the folder for it. Returns whether it may be put there."""
        if not 0 <= size_bytes <= min(self._limits_bytes) * _ROOM:
            return False
        filled = self._filled_bytes
        if filled is None or any(map(lambda full, limit: full + size_bytes > limit, filled, self._limits_bytes)):
            filled = self._tidy(size_bytes)
        self._filled_bytes = (filled[0] + size_bytes, filled[1] + size_bytes)
        try:
            if not self._is_made:
                make_private(self.path)
                self._is_made = True
        except OSError:
            return False
        return True

    def used(self, fd: int) -> None:
        """The content behind this descriptor was used."""
        with contextlib.suppress(OSError):
            os.utime(fd)

    def _tidy(self, size_bytes: int) -> tuple[int, int]:
        """Make room for so much more. Returns what this client has now, and all together."""
        now_s = time.time()
        left = list(self._found())
        for is_own, limit_bytes in zip((True, False), self._limits_bytes, strict=True):
            found = [kept for kept in left if kept.path.parent == self.path or not is_own]
            for kept in to_remove(found, now_s, self._age_s, limit_bytes * _ROOM - size_bytes):
                kept.path.unlink(missing_ok=True)
                left.remove(kept)
        own = sum(kept.size_bytes for kept in left if kept.path.parent == self.path)
        return own, sum(kept.size_bytes for kept in left)

    def _found(self) -> Iterator[Kept]:
        for folder in self._clients.glob(f"*/{_CONTENTS}"):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        yield Kept(path=Path(entry.path), used_s=found.st_mtime, size_bytes=found.st_blocks * 512)
