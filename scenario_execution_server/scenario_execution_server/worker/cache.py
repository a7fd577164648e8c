# SPDX-License-Identifier: Apache-2.0
"""What clients have sent, kept for their next sessions: each client's apart, and all within what there is room for."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from scenario_execution_remote.files.names import OWN_PREFIX
from scenario_execution_remote.protocol import messages
from scenario_execution_server.retention import Kept, to_remove
from scenario_execution_server.worker.keeping import make_private
from scenario_execution_server.worker.stock import held_bytes

_CONTENTS = "contents"  # in the folder of a client
_UNFINISHED_AGE_S = 3600.0  # a content that comes in changes all the time; one that does not has been given up
_ROOM = 0.8  # of the limit is filled when room is made, so that it need not be made for every content


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
        self._stored_bytes = terms.stored_bytes
        self._limits_bytes = (terms.cache_limit_bytes, terms.cache_limit_bytes)  # of this client, and of all together
        self._filled_bytes: tuple[int, int] | None = None  # as far as we know: other sessions add and remove as well
        self._is_made = False
        self.path = clients / owner / _CONTENTS

    def has_room_for(self, size_bytes: int) -> bool:
        """Make room for a content of this size, and the folder for it. Returns whether it may be put there."""
        filled = self._filled_bytes
        if filled is None:
            if self._stored_bytes is not None:  # what the client has put there, or lost, has the first claim
                own_bytes = max(0, self._stored_bytes - held_bytes(self.path.parent))
                self._limits_bytes = (own_bytes, self._limits_bytes[1])
            filled = self._filled_bytes = self._tidy(0)
        if not 0 <= size_bytes <= min(self._limits_bytes) * _ROOM:
            return False
        if any(map(lambda full, limit: full + size_bytes > limit, filled, self._limits_bytes)):
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
            for kept, _ in to_remove(found, now_s, self._allowed_s, limit_bytes * _ROOM - size_bytes):
                kept.path.unlink(missing_ok=True)
                left.remove(kept)
        own = sum(kept.size_bytes for kept in left if kept.path.parent == self.path)
        return own, sum(kept.size_bytes for kept in left)

    def _allowed_s(self, kept: Kept) -> float:
        is_unfinished = kept.path.name.startswith(OWN_PREFIX)
        return min(self._age_s, _UNFINISHED_AGE_S) if is_unfinished else self._age_s

    def _found(self) -> Iterator[Kept]:
        for folder in self._clients.glob(f"*/{_CONTENTS}"):
            with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat(follow_symlinks=False)
                        yield Kept(path=Path(entry.path), since_s=found.st_mtime, size_bytes=found.st_blocks * 512)
