# SPDX-License-Identifier: Apache-2.0
"""Takes what a scenario can refer to, its directory above all, to the server before the actions are set up."""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from scenario_execution_keys.paths import where_keys_are

from .files.folder import Folder
from .files.names import NameRefusedError
from .files.outlet import Outlet
from .files.pace import CHUNK_BYTES, COST_OF_ONE_BYTES
from .files.reporting import Reporter
from .files.selection import Selection
from .files.sending import Piece, entry_of
from .mounts import INPUT, Line, Mounts, Tell
from .protocol import messages, wire

_LOOK_EVERY_S = 0.2  # whether the link is over, which nobody says here


class _Over(Exception):
    """The session is over, and nobody waits for the rest."""


class Inputs:
    """The files of one session on their way to the server.

    ``prepare`` belongs to the tree's thread, ``take`` to the link's; files are read by a thread of its own.

    Args:
        link: The session's link.
        origin: What the server is called in messages.
        mounts: The session's.
        tell: Writes to the run's log.
        limit_bytes: How much of a directory is taken along unasked.

    Attributes:
        moved_s: When something was last read, sent or put down, as a value of ``time.monotonic()``.
    """

    def __init__(self, link: Line, origin: str, mounts: Mounts, tell: Tell, limit_bytes: int) -> None:
        self._link = link
        self._origin = origin
        self._mounts = mounts
        self._tell = tell
        self._limit_bytes = limit_bytes
        self._apart: list[str] = []  # what lies in a directory and does not travel with it
        self._numbers = itertools.count(1)
        self._offers = itertools.count(1)
        self._folders: dict[int, Folder] = {}
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
        self._apart += [os.path.abspath(output) for output in outputs if output]
        self._apart += [os.path.join(folder, name) for folder, names in uploads.items() for name in names]
        for directory in directories:
            if directory is not None:
                self._mounts.mount(directory, INPUT)
        for folder, names in uploads.items():
            self._mounts.mount(folder, INPUT, names)

    def close(self) -> None:
        """The session is over."""
        self._is_closed = True
        with self._taken:
            self._taken.notify_all()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        self._reporter.end()
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
                    for problem in message.problems:
                        self._tell("warning", f"remote({self._origin}): {problem}")
        except _Over:
            pass

    def _offer(self, mount: int) -> None:
        """Offer what lies in this mount: all of it or, if it cannot be read, nothing."""
        offer = next(self._offers)
        batch: list[messages.Entry] = []
        left: list[str] = []
        cost = 0
        path = self._mounts.path_of(mount, INPUT)
        try:
            if path is not None:
                folder = self._folders[mount] = Folder(path)
                for name, look in self._selection(folder, self._mounts.names_in(mount)).chosen(left):
                    number = next(self._numbers)
                    try:
                        batch.append(entry_of(folder, number, name, look, self._go_on))
                    except (OSError, NameRefusedError) as error:
                        left.append(str(error))
                        continue
                    self._names[number] = (mount, name, look.size_bytes)
                    cost += COST_OF_ONE_BYTES
                    if cost >= CHUNK_BYTES:
                        self._post(messages.Offer(offer=offer, mount=mount, entries=batch, is_last=False))
                        batch, cost = [], 0
        except OSError as error:
            left.append(str(error))
        self._post(messages.Offer(offer=offer, mount=mount, entries=batch, is_last=True))
        if left:
            self._tell("warning", f"remote({self._origin}): not all of {path} was taken along: {'; '.join(left)}")

    def _selection(self, folder: Folder, names: list[str]) -> Selection:
        secret = where_keys_are()
        if names:
            return Selection(folder, secret=secret, only=names)
        return Selection(folder, secret=secret, excluded=self._apart, limit_bytes=self._limit_bytes)

    def _send_contents(self, numbers: list[int]) -> None:
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
