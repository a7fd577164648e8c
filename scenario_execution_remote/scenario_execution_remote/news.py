# SPDX-License-Identifier: Apache-2.0
"""Takes to the server what has changed here since it was told, before an action begins that may read it."""

from __future__ import annotations

from contextlib import suppress

from .changes import Changes
from .files.selection import COUNT_LIMIT
from .mounts import INPUT, OUTPUT, Mounts
from .offers import Offers, Over

_WATCHED_COUNT = 2000  # entries in a directory that are looked at whenever an action begins: 30 ms of a tick
_OWN = "have results in a directory of their own, with -o"


class News:
    """Of one session, in the tree's thread.

    Args:
        mounts: The session's.
        offers: The session's.
        changes: What the server need not be told.
    """

    def __init__(self, mounts: Mounts, offers: Offers, changes: Changes) -> None:
        self._mounts = mounts
        self._offers = offers
        self._changes = changes

    def watch(self, mount: int) -> None:
        """From now on, what changes in this output directory is taken there as well, and what has changed since the run
        began; but not what lay in it before."""
        path = self._mounts.path_of(mount, OUTPUT)
        if path is not None:
            with suppress(OSError):  # it is made later, if at all
                folder = self._offers.open(mount, path)
                there = self._offers.selection(mount, OUTPUT).meant([])
                if len(there) < COUNT_LIMIT:
                    self._changes.begin_before_the_run(mount, folder, there)
                else:  # what is seen for the first time later may be old nevertheless
                    self._tell_left(mount, f"in it are {COUNT_LIMIT} files and folders or more")

    def catch_up(self, *, everywhere: bool = False) -> None:
        """Take along what has changed here: by local actions, or by what came from other servers. The server carries
        out what is said behind this when it is in its place.

        Args:
            everywhere: Also where much lies beside the scenario, so that looking takes longer than a tick may.
        """
        followed = [mount for mount in self._mounts.copied(OUTPUT) if self._changes.count(mount) is not None]
        around = [self._mounts.path_of(mount, OUTPUT) for mount in followed]
        with suppress(Over):
            for mount in self._mounts.copied(INPUT):
                path, count = self._mounts.path_of(mount, INPUT), self._changes.count(mount)
                is_seen = count is not None and (everywhere or count <= _WATCHED_COUNT)
                if is_seen and path is not None and not any(one in (path, *path.parents) for one in around):
                    self._offer_changes(mount, INPUT)
            for mount in followed:
                if everywhere or (self._changes.count(mount) or 0) <= _WATCHED_COUNT:
                    self._offer_changes(mount, OUTPUT)
                else:
                    why = f"in it are more than {_WATCHED_COUNT} files and folders, so that it is looked at only when a"
                    self._tell_left(mount, f"{why} scenario is set up")

    def _offer_changes(self, mount: int, role: str) -> None:
        folder = self._offers.folder(mount)
        left: list[str] = []
        selection = self._offers.selection(mount, role)
        try:
            there = selection.chosen(left) if role == INPUT else selection.meant(left)
            changed, gone = self._changes.found(mount, folder, there, is_whole=selection.is_whole)
            if role == OUTPUT:
                changed = selection.fitting(changed, left, "at once, more has changed in it")
            self._changes.told(mount, folder, changed, gone)
        except OSError as error:
            left.append(str(error))
            changed, gone = [], []
        if changed or gone:
            self._offers.offer_changes(mount, changed, gone, left, both_ways=role == OUTPUT)
        self._offers.tell_left(mount, role, left)

    def _tell_left(self, mount: int, why: str) -> None:
        self._offers.tell_left(mount, OUTPUT, [f"{why}; {_OWN}"])
