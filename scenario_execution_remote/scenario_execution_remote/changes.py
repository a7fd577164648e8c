# SPDX-License-Identifier: Apache-2.0
"""What has changed on this side in folders that a server has a copy of, since it was told or brought it home itself."""

from __future__ import annotations

from collections.abc import Iterable

from .files.folder import Folder, Look
from .files.ledger import Ledger
from .files.sending import is_settled


class Changes:
    """Of one session. In the tree's thread, but for ``had``.

    Args:
        ledger: Who has brought what here.
        owner: What the session's server is in the ledger.
    """

    def __init__(self, ledger: Ledger, owner: object) -> None:
        self._ledger = ledger
        self._owner = owner
        self._known: dict[int, dict[str, Look]] = {}  # of each folder: what the server was told, or need not know

    def begin(self, mount: int, entries: Iterable[tuple[str, Look]]) -> None:
        """From now on, changes in this folder count."""
        self._known[mount] = dict(entries)

    def count(self, mount: int) -> int | None:
        """How much lay in this folder when it was last looked at; None if it has not begun."""
        return len(self._known[mount]) if mount in self._known else None

    def found(
        self, mount: int, folder: Folder, entries: Iterable[tuple[str, Look]]
    ) -> tuple[list[tuple[str, Look]], list[str]]:
        """What is new or another than it was, and what has gone, deepest first; from now on it counts as told.

        What somebody still writes to waits until it is complete.
        """
        known, seen = self._known[mount], set()
        changed = []
        for name, look in entries:
            seen.add(name)
            if known.get(name) == look:
                continue
            if not self._ledger.is_from(f"{folder.path}/{name}", self._owner, None if look.is_folder else look):
                if not is_settled(folder, name, look):
                    continue
                changed.append((name, look))
            known[name] = look
        gone = sorted((name for name in known if name not in seen), reverse=True)
        for name in gone:
            del known[name]
            self._ledger.forget(f"{folder.path}/{name}")
        return changed, gone

    def had(self, folder: Folder, name: str, look: Look) -> None:
        """The server has what looks like this: whatever it makes of it takes its place here."""
        self._ledger.share(f"{folder.path}/{name}", self._owner, None if look.is_folder else look)
