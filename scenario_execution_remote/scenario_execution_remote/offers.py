# SPDX-License-Identifier: Apache-2.0
"""Offers a server what lies in folders here and may travel, and sends it of that what it has not got."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scenario_execution_keys.paths import where_keys_are

from .changes import Changes
from .files.folder import Folder, Look
from .files.names import NameRefusedError
from .files.outcomes import VERDICT, Outcomes
from .files.outlet import Outlet
from .files.pace import BLOCK_BYTES, COST_OF_ONE_BYTES
from .files.reporting import Reporter
from .files.selection import IGNORE_FILE, Selection
from .files.sending import DIGEST_BYTES, Piece, entry_of
from .mounts import INPUT, Line, Mounts, Tell
from .protocol import messages, wire

_LOOK_EVERY_S = 0.2  # whether the link is over, which nobody says here


class Over(Exception):
    """The session is over, and nobody waits for the rest."""


class Offers:
    """Of one session. A folder belongs to one thread at a time, ``taken`` and ``declined`` to the link's, and
    ``send_contents`` and ``staged`` to the one that sends.

    Args:
        link: The session's link.
        origin: What the server is called in messages.
        mounts: The session's.
        tell: Writes to the run's log.
        limit_bytes: How much of a directory is taken along unasked.
        changes: Is told what has reached the server.

    Attributes:
        moved_s: When something was last read, sent or put down, as a value of ``time.monotonic()``.
    """

    def __init__(
        self, link: Line, origin: str, mounts: Mounts, tell: Tell, limit_bytes: int, changes: Changes
    ) -> None:
        self._link = link
        self._origin = origin
        self._mounts = mounts
        self._tell = tell
        self._limit_bytes = limit_bytes
        self._changes = changes
        self._told: set[str] = set()  # what stays here and was named
        self._apart: list[str] = []  # what lies in a directory and does not travel with it
        self._folders: dict[int, Folder] = {}
        self._selections: dict[int, Selection] = {}
        self._numbers = itertools.count(1)
        self._offers = itertools.count(1)
        self._outcomes: dict[int, Outcomes] = {}
        self._names: dict[int, tuple[int, str, int]] = {}  # entry -> mount, name and size
        self._changed: dict[int, list[tuple[Folder, int, str, Look]]] = {}  # of each offer, until that is there
        self._taken = threading.Condition()
        self._is_closed = False
        self._outlet = Outlet(self._send, self._wait_for)
        self._reporter = Reporter(f"remote({origin}): inputs", tell)
        self.moved_s = 0.0

    # -- what may travel ---------------------------------------------------------------------------

    def begin_scenario(self, outputs: Sequence[str | None], uploads: Mapping[str, Sequence[str]]) -> None:
        """See ``Inputs.prepare``. Other things may lie apart from now on, or be ignored."""
        self._selections.clear()
        self._apart += [os.path.abspath(output) for output in outputs if output]
        self._apart += [os.path.join(folder, name) for folder, names in uploads.items() for name in names]

    def is_open(self, mount: int) -> bool:
        """Whether the folder of this mount was opened before."""
        return mount in self._folders

    def open(self, mount: int, path: Path) -> Folder:
        """The folder of a mount, from now on.

        Raises:
            OSError: it cannot be opened.
        """
        folder = self._folders[mount] = Folder(path)
        return folder

    def folder(self, mount: int) -> Folder:
        """The folder of a mount that was opened."""
        return self._folders[mount]

    def selection(self, mount: int, role: str) -> Selection:
        """What of a folder travels; compiled once for a scenario."""
        selection = self._selections.get(mount)
        if selection is None:
            names = self._mounts.names_in(mount)
            apart = self._apart if role == INPUT and not names else ()
            selection = self._selections[mount] = Selection(
                self._folders[mount], secret=where_keys_are(), excluded=apart, only=names, limit_bytes=self._limit_bytes
            )
        return selection

    def tell_left(self, mount: int, role: str, left: list[str]) -> None:
        """Say once what of a folder stays here, and why."""
        anew = [text for text in left if text not in self._told]
        self._told.update(anew)
        if anew:
            path = self._mounts.path_of(mount, role)
            self._tell("warning", f"remote({self._origin}): not all of {path} was taken along: {'; '.join(anew)}")

    # -- offers ------------------------------------------------------------------------------------

    def offer(self, mount: int, chosen: Iterable[tuple[str, Look]], left: list[str]) -> None:
        """Offer what lies in a folder, which is read for it. What cannot be is added to *left*."""
        found = list(chosen)
        if found and not self._mounts.names_in(mount):  # else somebody has asked for just these
            self._outcomes[mount] = Outcomes({name: look.size_bytes for name, look in found if look.is_file})
        self._post_offer(next(self._offers), mount, self._entries(mount, found, left))

    def offer_changes(
        self, mount: int, changed: Iterable[tuple[str, Look]], gone: Iterable[str], left: list[str], *, both_ways: bool
    ) -> None:
        """Offer what is new or another in a folder, and say what has gone.

        Args:
            mount: The folder's.
            changed: Not read now: to know what it is would take that, in the tree's thread. So it is sent in any case.
            gone: Comes first.
            left: What cannot be offered is added.
            both_ways: Whether what the server makes of it comes home in its place.
        """
        offer, looks = next(self._offers), dict(changed)
        entries = [self._entry_of_gone(name) for name in gone]
        new = list(self._entries(mount, looks.items(), left, fresh=True))
        if both_ways:
            self._changed[offer] = [(self._folders[mount], one.number, one.name, looks[one.name]) for one in new]
        self._post_offer(offer, mount, entries + new)

    def _entries(
        self, mount: int, chosen: Iterable[tuple[str, Look]], left: list[str], *, fresh: bool = False
    ) -> Iterator[messages.Entry]:
        """What is offered of these; what cannot be is added to *left*."""
        for name, look in chosen:
            number = next(self._numbers)
            try:
                digest = secrets.token_bytes(DIGEST_BYTES) if fresh else b""
                entry = entry_of(self._folders[mount], number, name, look, self._go_on, digest)
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
            if len(batch) * COST_OF_ONE_BYTES >= BLOCK_BYTES:
                self._post(messages.Offer(offer=offer, mount=mount, entries=batch, is_last=False))
                batch = []
        self._post(messages.Offer(offer=offer, mount=mount, entries=batch, is_last=True))

    # -- contents ----------------------------------------------------------------------------------

    def send_contents(self, numbers: list[int]) -> None:
        """Send what the server wants of what it was offered."""
        numbers = [number for number in numbers if number in self._names]  # a server may ask for anything
        self._reporter.expect(sum(self._names[number][2] for number in numbers))
        self._tell_outcomes(numbers)
        for number in numbers:
            mount, name, _ = self._names[number]
            self._reporter.begin(name)
            try:
                self._outlet.put_all_of(self._folders[mount], number, mount, name)
                self._reporter.finish()
            except (OSError, NameRefusedError):
                pass  # the other side has been told, and says in the end what is missing there
        self._outlet.flush()
        self._reporter.end()

    def _tell_outcomes(self, numbers: list[int]) -> None:
        """Say once, if it is much, that earlier runs travel along."""
        for number in numbers:
            mount, name, size_bytes = self._names[number]
            if mount in self._outcomes:
                self._outcomes[mount].sends(name, size_bytes)
        for mount, outcomes in self._outcomes.items():
            remark = outcomes.remark()
            if remark:
                path = self._mounts.path_of(mount, INPUT)
                self._tell(
                    "info",
                    f"remote({self._origin}): taken along from {path} is what earlier runs seem to have left, as there "
                    f"is a {VERDICT}: {remark}; what of it no action reads can be listed in {path}/{IGNORE_FILE}",
                )

    def taken(self, message: messages.Taken) -> None:
        """The server has dealt with so much."""
        with self._taken:
            self._outlet.taken(message)
            self._taken.notify_all()

    def declined(self, message: messages.Declined) -> None:
        """The server has no use for the rest of this one."""
        self._outlet.declined(message)

    def staged(self, message: messages.Staged) -> None:
        """An offer is in its place there."""
        for folder, number, name, look in self._changed.pop(message.offer, ()):
            if not self._outlet.is_declined(number):
                self._changes.had(folder, name, look)
        for problem in message.problems:
            self._tell("warning", f"remote({self._origin}): {problem}")

    def stop(self) -> None:
        """The session is over: whoever sends notices it, by :class:`Over`."""
        self._is_closed = True
        with self._taken:
            self._taken.notify_all()

    def end_bar(self) -> None:
        """Take the bar away."""
        self._reporter.end()

    def close(self) -> None:
        """Close the folders, in which nobody reads any more."""
        for folder in self._folders.values():
            folder.close()

    def _post(self, message: Any) -> None:
        self._go_on()
        self._link.post(wire.encode(message))

    def _send(self, pieces: list[Piece]) -> None:
        self._go_on()
        self._link.post(wire.encode_pieces(pieces))
        self._reporter.advance(sum(len(piece.data) for piece in pieces if isinstance(piece, messages.Chunk)))

    def _wait_for(self, condition: Any) -> None:
        with self._taken:
            while not self._taken.wait_for(lambda: condition() or self._is_closed, _LOOK_EVERY_S):
                if self._link.is_over:
                    raise Over
        self._go_on()

    def _go_on(self) -> None:
        """Something is moving."""
        if self._is_closed or self._link.is_over:
            raise Over
        self.moved_s = time.monotonic()
