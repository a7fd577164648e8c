# SPDX-License-Identifier: Apache-2.0
"""Takes to the server what a scenario can refer to before its set-up, and what has changed before an action begins."""

from __future__ import annotations

import itertools
import os
import queue
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from scenario_execution_keys.paths import where_keys_are

from .changes import Changes
from .files.folder import Folder, Look
from .files.ledger import Ledger
from .files.names import NameRefusedError
from .files.outlet import Outlet
from .files.pace import CHUNK_BYTES, COST_OF_ONE_BYTES
from .files.reporting import Reporter
from .files.selection import COUNT_LIMIT, Selection
from .files.sending import DIGEST_BYTES, Piece, entry_of
from .mounts import INPUT, OUTPUT, Line, Mounts, Tell
from .protocol import messages, wire

CLOSE_S = 30.0  # for a piece to be read: a disk that hangs keeps no run from ending
_LOOK_EVERY_S = 0.2  # whether the link is over, which nobody says here

_WATCHED_COUNT = 2000  # entries in a directory that are looked at whenever an action begins: 30 ms of a tick
_OWN = "have results in a directory of their own, with -o"


class _Over(Exception):
    """The session is over, and nobody waits for the rest."""


class Inputs:
    """The files of one session on their way to the server.

    ``prepare``, ``watch`` and ``catch_up`` belong to the tree's thread, ``take`` to the link's; files are read by a
    thread of its own. That one looks at an input folder first, and from then on the tree's does.

    Args:
        link: The session's link.
        origin: What the server is called in messages.
        mounts: The session's.
        tell: Writes to the run's log.
        limit_bytes: How much of a directory is taken along unasked.
        changes: What the server need not be told.

    Attributes:
        moved_s: When something was last read, sent or put down, as a value of ``time.monotonic()``.
    """

    def __init__(
        self, link: Line, origin: str, mounts: Mounts, tell: Tell, limit_bytes: int, changes: Changes | None = None
    ) -> None:
        self._link = link
        self._origin = origin
        self._mounts = mounts
        self._tell = tell
        self._limit_bytes = limit_bytes
        self._changes = changes or Changes(Ledger(), self)
        self._told: set[str] = set()  # what stays here and was named
        self._offered: dict[int, list[tuple[Folder, int, str, Look]]] = {}  # of results here, until they are there
        self._apart: list[str] = []  # what lies in a directory and does not travel with it
        self._numbers = itertools.count(1)
        self._offers = itertools.count(1)
        self._folders: dict[int, Folder] = {}
        self._selections: dict[int, Selection] = {}
        self._names: dict[int, tuple[int, str, int]] = {}  # entry -> mount, name and size
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._taken = threading.Condition()
        self._is_closed = False
        self._outlet = Outlet(self._send, self._wait_for)
        self._reporter = Reporter(f"remote({origin}): inputs", tell)
        self.moved_s = 0.0
        self.file_count = 0
        self.byte_count = 0

    # -- the tree's thread -------------------------------------------------------------------------

    def prepare(
        self,
        *directories: str | None,
        outputs: Sequence[str | None] = (),
        uploads: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Have folders stand for these directories, and take what lies in them to the server.

        Args:
            directories: The directories; '' is the current one.
            outputs: What of them lies in one of these stays here.
            uploads: What else is taken along: for each folder, the names in it.
        """
        self._selections.clear()  # something else may lie apart, or be ignored
        self._apart += [os.path.abspath(output) for output in outputs if output]
        self._apart += [os.path.join(folder, name) for folder, names in uploads.items() for name in names]
        for directory in directories:
            if directory is not None:
                self._mounts.mount(directory, INPUT)
        for folder, names in uploads.items():
            self._mounts.mount(folder, INPUT, names)

    def watch(self, mount: int) -> None:
        """From now on, what changes in this output directory is taken there as well, and what has changed since the run
        began; but not what lay in it before."""
        path = self._mounts.path_of(mount, OUTPUT)
        if path is not None:
            with suppress(OSError):  # it is made later, if at all
                folder = self._folders[mount] = Folder(path)
                there = self._selection(mount, OUTPUT).meant([])
                if len(there) < COUNT_LIMIT:
                    self._changes.begin_before_the_run(mount, folder, there)
                else:  # what is seen for the first time later may be old nevertheless
                    self._tell_left(mount, OUTPUT, [f"in it are {COUNT_LIMIT} files and folders or more; {_OWN}"])

    def catch_up(self, *, everywhere: bool = False) -> None:
        """Take along what has changed here, before an action is called that may read it: by local actions, or by what
        came from other servers. The server carries out what is said behind this when it is in its place.

        Args:
            everywhere: Also where much lies beside the scenario, so that looking takes longer than a tick may.
        """
        followed = [mount for mount in self._mounts.copied(OUTPUT) if self._changes.count(mount) is not None]
        around = [self._mounts.path_of(mount, OUTPUT) for mount in followed]
        with suppress(_Over):
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
                    self._tell_left(mount, OUTPUT, [f"{why} scenario is set up; {_OWN}"])

    def _offer_changes(self, mount: int, role: str) -> None:
        folder = self._folders[mount]
        left: list[str] = []
        selection = self._selection(mount, role)
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
            offer = next(self._offers)
            entries = [self._entry_of_gone(name) for name in gone]
            # A digest of its own for each: to know what it is would take reading it, in the tree's thread.
            entries += self._entries(mount, folder, changed, left, fresh=True)
            if role == OUTPUT:
                looks = dict(changed)
                self._offered[offer] = [(folder, e.number, e.name, looks[e.name]) for e in entries if e.name in looks]
            self._post_offer(offer, mount, entries)
        self._tell_left(mount, role, left)

    def close(self) -> None:
        """The session is over."""
        self._is_closed = True
        with self._taken:
            self._taken.notify_all()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_S)
        self._reporter.end()
        if self._thread is None or not self._thread.is_alive():
            for folder in self._folders.values():
                folder.close()

    # -- the link's thread -------------------------------------------------------------------------

    def take(self, message: Any) -> None:
        """Take what the worker says about files on their way to it."""
        self.moved_s = time.monotonic()
        if isinstance(message, messages.Taken):
            with self._taken:
                self._outlet.taken(message)
                self._taken.notify_all()
        elif isinstance(message, messages.Declined):
            self._outlet.declined(message)
        else:
            self._queue.put(message)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"files to {self._origin}", daemon=True)
                self._thread.start()

    # -- the sending thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                if isinstance(message, messages.Awaited):
                    self._offer(message.mount)
                elif isinstance(message, messages.Wanted):
                    self._send_contents(message.numbers)
                elif isinstance(message, messages.Staged):
                    for folder, number, name, look in self._offered.pop(message.offer, ()):
                        if not self._outlet.is_declined(number):
                            self._changes.had(folder, name, look)
                    for problem in message.problems:
                        self._tell("warning", f"remote({self._origin}): {problem}")
        except _Over:
            pass

    def _offer(self, mount: int) -> None:
        """Offer what lies in this mount: all of it or, if it cannot be read, nothing."""
        offer = next(self._offers)
        left: list[str] = []
        entries: Iterable[messages.Entry] = ()
        path = self._mounts.path_of(mount, INPUT)
        try:
            if path is not None and mount not in self._folders:
                folder = self._folders[mount] = Folder(path)
                chosen = self._selection(mount, INPUT).chosen(left)
                self._changes.begin(mount, chosen)
                entries = self._entries(mount, folder, chosen, left)
        except OSError as error:
            left.append(str(error))
        self._post_offer(offer, mount, entries)
        self._tell_left(mount, INPUT, left)

    def _entries(
        self, mount: int, folder: Folder, chosen: Iterable[tuple[str, Look]], left: list[str], *, fresh: bool = False
    ) -> Iterator[messages.Entry]:
        """What is offered of these; what cannot be is added to *left*."""
        for name, look in chosen:
            number = next(self._numbers)
            try:
                digest = secrets.token_bytes(DIGEST_BYTES) if fresh else b""
                entry = entry_of(folder, number, name, look, self._go_on, digest)
            except (OSError, NameRefusedError) as error:
                left.append(str(error))
                continue
            self._names[number] = (mount, name, look.size_bytes)
            yield entry

    def _entry_of_gone(self, name: str) -> messages.Entry:
        return messages.Entry(
            number=next(self._numbers), name=name, kind="gone", size_bytes=0, mode=0, mtime_ns=0, digest=b"", target=""
        )

    def _post_offer(self, offer: int, mount: int, entries: Iterable[messages.Entry]) -> None:
        batch: list[messages.Entry] = []
        for entry in entries:
            batch.append(entry)
            if len(batch) * COST_OF_ONE_BYTES >= CHUNK_BYTES:
                self._post(messages.Offer(offer=offer, mount=mount, entries=batch, is_last=False))
                batch = []
        self._post(messages.Offer(offer=offer, mount=mount, entries=batch, is_last=True))

    def _tell_left(self, mount: int, role: str, left: list[str]) -> None:
        anew = [text for text in left if text not in self._told]
        self._told.update(anew)
        if anew:
            path = self._mounts.path_of(mount, role)
            self._tell("warning", f"remote({self._origin}): not all of {path} was taken along: {'; '.join(anew)}")

    def _selection(self, mount: int, role: str) -> Selection:
        """What of a folder travels; compiled once for a scenario."""
        selection = self._selections.get(mount)
        if selection is None:
            names = self._mounts.names_in(mount)
            apart = self._apart if role == INPUT and not names else ()
            selection = self._selections[mount] = Selection(
                self._folders[mount], secret=where_keys_are(), excluded=apart, only=names, limit_bytes=self._limit_bytes
            )
        return selection

    def _send_contents(self, numbers: list[int]) -> None:
        numbers = [number for number in numbers if number in self._names]  # a server may ask for anything
        self._reporter.expect(sum(self._names[number][2] for number in numbers))
        for number in numbers:
            mount, name, _ = self._names[number]
            self._reporter.begin(name)
            try:
                self._outlet.put_all_of(self._folders[mount], number, mount, name)
                self.file_count += 1
                self._reporter.finish()
            except (OSError, NameRefusedError):
                pass  # the other side has been told, and says in the end what is missing there
        self._outlet.flush()
        self._reporter.end()

    def _post(self, message: Any) -> None:
        self._go_on()
        self._link.post(wire.encode(message))

    def _send(self, pieces: list[Piece]) -> None:
        self._go_on()
        size_bytes = sum(len(piece.data) for piece in pieces if isinstance(piece, messages.Chunk))
        self.byte_count += size_bytes
        self._link.post(wire.encode_all(pieces))
        self._reporter.advance(size_bytes)

    def _wait_for(self, condition: Any) -> None:
        with self._taken:
            while not self._taken.wait_for(lambda: condition() or self._is_closed, _LOOK_EVERY_S):
                if self._link.is_over:
                    raise _Over
        self._go_on()

    def _go_on(self) -> None:
        """Something is moving."""
        if self._is_closed or self._link.is_over:
            raise _Over
        self.moved_s = time.monotonic()
