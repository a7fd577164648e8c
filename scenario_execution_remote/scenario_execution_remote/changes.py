# SPDX-License-Identifier: Apache-2.0
"""What has changed on this side in folders that a server has a copy of, since it was told or brought it home itself."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from contextlib import suppress

from .files.folder import Folder, Look
from .files.ledger import Ledger
from .files.names import NameRefusedError
from .files.sending import is_settled

_SOME_FOLDER = Look(mode=stat.S_IFDIR, size_bytes=0, mtime_ns=0, inode=0)


class Changes:
    """Of one session. In the tree's thread, but for ``had``, which belongs to the thread that puts results down, and
    ``begin`` of what is offered when it is asked for, which belongs to the thread that sends.

    Args:
        ledger: Who has brought what here.
        owner: What the session's server is in the ledger.
    """

    def __init__(self, ledger: Ledger, owner: object) -> None:
        self._ledger = ledger
        self._owner = owner
        self._known: dict[int, dict[str, Look]] = {}  # of each folder: what the server was told, or need not know
        self._moved_count: dict[int, int] = {}  # of what the server put here and took away, how much was seen

    def begin(self, mount: int, entries: Iterable[tuple[str, Look]]) -> None:
        """From now on, changes in this folder count."""
        self._known[mount] = dict(entries)

    def begin_before_the_run(self, mount: int, folder: Folder, entries: Iterable[tuple[str, Look]]) -> None:
        """The same, but what has changed since any server of the run began here counts as well."""
        self._known[mount] = self._ledger.before(str(folder.path), entries)

    def count(self, mount: int) -> int | None:
        """How much lay in this folder when it was last looked at; None if it has not begun."""
        return len(self._known[mount]) if mount in self._known else None

    def found(
        self, mount: int, folder: Folder, entries: Iterable[tuple[str, Look]], *, is_whole: bool = True
    ) -> tuple[list[tuple[str, Look]], list[str]]:
        """What is new or another than it was, and what has gone, deepest first: to be dealt with before the former, as
        a file may have taken the place of a folder. What somebody still writes to waits until it is complete.

        Args:
            mount: The folder's number.
            folder: The folder.
            entries: What lies in it and is meant.
            is_whole: Whether these are all, as far as could be read; else what is not among them has not gone.
        """
        known, seen = self._known[mount], set()
        changed, gone = [], []
        self._see_what_was_moved(mount, f"{folder.path}/")
        for name, look in entries:
            seen.add(name)
            before = known.get(name)
            if before == look:
                continue
            if self._is_from_it(folder, name, look):
                known[name] = look
            elif is_settled(folder, name, look):
                changed.append((name, look))
                if before is not None and before.is_folder != look.is_folder:
                    gone.append(name)
        if is_whole:
            # What is not meant any more, because it has become too much for instance, is still there.
            gone += [name for name in known if name not in seen and _is_gone(folder, name)]
        return changed, sorted(gone, reverse=True)

    def told(self, mount: int, folder: Folder, changed: Iterable[tuple[str, Look]], gone: Iterable[str]) -> None:
        """The server is told of these, which were found."""
        known = self._known[mount]
        for name in gone:
            known.pop(name, None)
            with self._ledger.placing:
                if _is_gone(folder, name):
                    self._ledger.forget(f"{folder.path}/{name}")
        known.update(changed)

    def had(self, folder: Folder, name: str, look: Look) -> None:
        """The server has what looks like this: whatever it makes of it takes its place here, if nobody else has put
        something there meanwhile."""
        with self._ledger.placing, suppress(OSError, NameRefusedError):
            if folder.look(name) == look:
                self._ledger.share(f"{folder.path}/{name}", self._owner, None if look.is_folder else look)

    def _see_what_was_moved(self, mount: int, above: str) -> None:
        """Whoever changes what the server has put into this folder changes its own, and it knows what it took away."""
        known = self._known[mount]
        count, there, gone = self._ledger.moved(self._owner, self._moved_count.get(mount, 0))
        self._moved_count[mount] = count
        for path, look in there.items():
            if path.startswith(above):
                known[path[len(above) :]] = look or _SOME_FOLDER
        for path in gone:
            known.pop(path.removeprefix(above), None)

    def _is_from_it(self, folder: Folder, name: str, look: Look) -> bool:
        with self._ledger.placing:  # what lies there under its name already may be about to be noted
            return self._ledger.is_from(f"{folder.path}/{name}", self._owner, None if look.is_folder else look)


def _is_gone(folder: Folder, name: str) -> bool:
    """Whether it is certain that there is no *name* any more."""
    try:
        return folder.look(name) is None
    except NameRefusedError:  # what it lay in is no folder any more
        return True
    except OSError:
        return False
