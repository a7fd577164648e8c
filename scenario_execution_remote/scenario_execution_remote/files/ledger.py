# SPDX-License-Identifier: Apache-2.0
"""Which server's file lies where in this process, and what lay there before: so that none overwrites another's."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenario_execution_remote.files.folder import Look


class Ledger:
    """Remembers who has put down what. From any thread.

    Attributes:
        placing: Held from the choice of a free name until what is there is noted: two might choose the same.
    """

    def __init__(self) -> None:
        self.placing = threading.Lock()
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[set[object], Look | None]] = {}
        self._moved: dict[object, list[str]] = {}
        self._before: dict[str, dict[str, Look]] = {}

    def note(self, path: str, owner: object, look: Look | None) -> None:
        """*owner* has put down *path*, which looks like this now."""
        with self._lock:
            self._entries[path] = ({owner}, look)
            self._moved.setdefault(owner, []).append(path)

    def take_away(self, path: str, owner: object) -> None:
        """*owner* has taken away *path*."""
        with self._lock:
            self._entries.pop(path, None)
            self._moved.setdefault(owner, []).append(path)

    def moved(self, owner: object, since: int) -> tuple[int, dict[str, Look | None], list[str]]:
        """How often *owner* has put down something or taken it away; and from number *since* on, what of that lies
        there as it has put it down, and what does not lie there any more."""
        with self._lock:
            moved = self._moved.get(owner, [])
            paths = dict.fromkeys(moved[since:])
            there = {path: self._entries[path][1] for path in paths if owner in self._entries.get(path, ((), None))[0]}
            return len(moved), there, [path for path in paths if path not in self._entries]

    def share(self, path: str, owner: object, look: Look | None) -> None:
        """*owner* has got *path* as it looks now, whoever has put it down."""
        with self._lock:
            owners, known = self._entries.get(path, (set(), look))
            self._entries[path] = ({owner, *owners} if known == look else {owner}, look)

    def before(self, path: str, seen: Iterable[tuple[str, Look]]) -> dict[str, Look]:
        """What lay in the directory *path* when that was first asked: what is *seen* there, if that is now."""
        with self._lock:
            if path not in self._before:
                self._before[path] = dict(seen)
            return dict(self._before[path])

    def forget(self, path: str) -> None:
        """*path* is gone."""
        with self._lock:
            self._entries.pop(path, None)

    def is_known(self, path: str) -> bool:
        """Whether anybody has put down *path*."""
        with self._lock:
            return path in self._entries

    def is_from(self, path: str, owner: object, look: Look | None) -> bool:
        """Whether *owner* has put down *path*, or got it, and it still looks like this: nobody has changed it since."""
        with self._lock:
            owners, known = self._entries.get(path, ((), look))
            return owner in owners and known == look


class SoleWriter(Ledger):
    """Where one peer alone brings files: whatever it brings overwrites what is there."""

    def note(self, path: str, owner: object, look: Look | None) -> None:
        """Nobody will ask."""

    def take_away(self, path: str, owner: object) -> None:
        """Nobody will ask."""

    def is_from(self, path: str, owner: object, look: Look | None) -> bool:
        """Whatever is there is the peer's, or was meant to be overwritten by it."""
        return True
