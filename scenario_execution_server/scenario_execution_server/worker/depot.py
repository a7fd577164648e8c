# SPDX-License-Identifier: Apache-2.0
"""Does what `se-remote ls`, `get`, `put` and `rm` ask for in a client's folder.

::

    results/NAME/...   kept of a session, see `keeping`
    files/...          put there by the client
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from scenario_execution_remote.files.figures import amount
from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.ledger import SoleWriter
from scenario_execution_remote.files.names import NameRefusedError, checked
from scenario_execution_remote.files.outlet import Outlet
from scenario_execution_remote.files.pace import report_after
from scenario_execution_remote.files.quota import Quota, QuotaExceededError
from scenario_execution_remote.files.receiving import BrokenTransferError, Receiver
from scenario_execution_remote.files.sending import cost_of, is_end
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.allowance import mend_of
from scenario_execution_server.worker.folder import remove_folder
from scenario_execution_server.worker.keeping import ABOUT, ended_s, hold, make_private, read_about
from scenario_execution_server.worker.room import words_for_disk_error
from scenario_execution_server.worker.stock import FILES, RESULTS, held_bytes, weight, weight_of

LISTED_COUNT = 10_000  # entries of one listing: a megabyte, which is what a person may still look through


class DepotError(Exception):
    """What was asked for is not there, or not allowed; the sentence says which."""


class StoreBusyError(DepotError):
    """Another session of the client is putting files here: the client knows it by this name, and waits."""


class Depot:
    """One client's. In the worker's main thread; calls are answered when they are carried out.

    Args:
        terms: Where it is, and what it may hold.
        outlet: The way to the client.
        say: Sends messages to the client.
        quota: What may be sent.
        pause: Lets so many seconds pass.
    """

    def __init__(
        self,
        terms: messages.FileTerms,
        outlet: Outlet,
        say: Callable[[Any], None],
        quota: Quota,
        pause: Callable[[float], object],
    ) -> None:
        self._terms = terms
        self._base = Path(terms.folder)
        self._outlet = outlet
        self._say = say
        self._quota = quota
        self._pause = pause
        self._receiver: Receiver | None = None
        self._turn: int | None = None  # held while the room that is left counts
        self._last_number = 0
        self._name = ""  # of what is coming in
        self._problems: list[str] = []
        self._left_bytes: int | None = None
        self._taken_bytes = 0  # of that, by what is coming in
        self._owed = 0

    # -- from here ---------------------------------------------------------------------------------

    def entries(self, path: str) -> list[list[Any]]:
        """Name, kind, size, seconds since 1970, and until when it is kept or None, of what lies below *path*.

        Without a path: of the files, and of each kept result as one.

        Raises:
            DepotError: there is no such thing.
        """
        if path:
            return [_row(name, look) for name, look in self._below(path)][:LISTED_COUNT]
        rows: list[list[Any]] = []
        if not self._base.is_dir():
            return rows
        with _opened(self._base) as folder:
            for result in _folders_in(self._base / RESULTS):
                found = [look for _, look in folder.walk([], below=f"{RESULTS}/{result.name}")]
                since_s = ended_s(result, read_about(result))
                size_bytes = sum(look.size_bytes for look in found if look.is_file)
                until_s = since_s + self._terms.keep_s
                rows.append([f"{RESULTS}/{result.name}/", "result", size_bytes, since_s, until_s])
            if (self._base / FILES).is_dir():
                rows += [_row(name, look) for name, look in folder.walk([], below=FILES)]
        return rows[:LISTED_COUNT]

    def send(self, path: str) -> int:
        """Send *path*, a file or a folder with all that is in it. Returns how many of it could not be sent.

        Raises:
            DepotError: there is no such thing.
        """
        entries = self._below(path)
        first = self._last_number + 1  # the other side may have declined some number before
        self._last_number += len(entries)
        self._say(messages.Collected(number=self._last_number, size_bytes=sum(look.size_bytes for _, look in entries)))
        failed = 0
        with _opened(self._base) as folder:
            for number, (name, _) in enumerate(entries, first):
                try:
                    failed += self._outlet.put_all_of(folder, number, 0, name) == b""
                except (OSError, NameRefusedError, QuotaExceededError) as error:
                    failed += 1
                    self._say(messages.Log(level="error", text=f"{ascii(name)} was not sent: {error}"))
        self._outlet.flush()
        return failed

    def remove(self, path: str) -> list[int]:
        """Remove *path*, a file or a folder with all that is in it. Returns how many files that were, and their bytes.

        Raises:
            DepotError: there is no such thing, it cannot be removed, or this client may not.
        """
        self._check_may_put()
        found = [look for _, look in self._below(path) if not look.is_folder]
        place = self._base / path.strip("/")
        try:
            problem = remove_folder(place)
        except OSError as error:
            problem = str(error)
        if problem:
            raise DepotError(problem)
        return [len(found), sum(look.size_bytes for look in found)]

    # -- to here -----------------------------------------------------------------------------------

    def open(self) -> str:
        """From now on, :meth:`take` what the client sends. Returns the folder on this machine.

        Raises:
            StoreBusyError: not now.
            DepotError: this client may not put anything here.
        """
        self._check_may_put()
        self.close()
        place = self._base / FILES
        make_private(place)
        if self._terms.stored_bytes is not None:
            self._turn = hold(self._base)
            if self._turn is None:
                raise StoreBusyError(
                    f"another session of {self._terms.client} is putting files here, and how much more there is room "
                    "for is known when it has done; try again then"
                )
            self._left_bytes = self._terms.stored_bytes - held_bytes(self._base)
        self._receiver = Receiver(place, "client", SoleWriter())
        self._problems = []
        return str(place)

    @property
    def is_open(self) -> bool:
        """Whether pieces are for the depot."""
        return self._receiver is not None

    def take(self, piece: messages.Piece, *, is_more_there: bool = False) -> None:
        """Put down what the client sends.

        Args:
            piece: It.
            is_more_there: Whether another piece is the next that will be taken, without a wait.
        """
        if self._receiver is None:
            return
        try:
            if isinstance(piece, messages.Artifact):
                self._name = piece.name
                self._make_room(piece)
                self._receiver.begin(piece)
            elif isinstance(piece, messages.Chunk):
                self._receiver.add(piece)
            else:
                self._receiver.finish(piece)
                self._taken_bytes = 0
        except (OSError, NameRefusedError, BrokenTransferError, QuotaExceededError, DepotError) as error:
            self._receiver.drop()
            self._give_back()
            self._problems.append(self._complaint(error))
            self._say(messages.Declined(number=piece.number))
        pause_s = self._quota.pause_s(cost_of(piece), time.monotonic())
        if pause_s > 0.0:
            self._pause(pause_s)
        self._owed += cost_of(piece)
        if self._owed >= report_after(is_more_there) or is_end(piece):
            self._say(messages.Taken(cost=self._owed))
            self._owed = 0

    def close(self) -> list[str]:
        """Take no more. Returns what went wrong, in a sentence each."""
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None
        return self._problems

    def _complaint(self, error: Exception) -> str:
        if isinstance(error, (OSError, BrokenTransferError)):
            why = words_for_disk_error(error) if isinstance(error, OSError) else str(error)
            return f"{ascii(self._name)} could not be put down on the server: {why}"
        return str(error)  # it names the file

    def _check_may_put(self) -> None:
        if not self._terms.may_put:
            raise DepotError(f"the client {self._terms.client} may only look; {self._terms.put_mend}")

    def _make_room(self, piece: messages.Artifact) -> None:
        self._taken_bytes = 0  # of the one before, which is there
        if piece.kind == "file":
            self._quota.add(piece.name, piece.size_bytes)
        if self._left_bytes is None:
            return
        above, own = self._more_bytes(piece)
        if above + own > max(0, self._left_bytes):
            left, limit = amount(max(0, self._left_bytes)), amount(self._terms.stored_bytes or 0)
            mend = mend_of(self._terms, "stored", (self._terms.stored_bytes or 0) - self._left_bytes + above + own)
            raise DepotError(
                f"{ascii(piece.name)} has {amount(piece.size_bytes)}, and {left} are left of the {limit} that may lie "
                f"here for this client; remove something with `se-remote rm`, or {mend}"
            )
        self._taken_bytes = own
        self._left_bytes -= above + own

    def _more_bytes(self, piece: messages.Artifact) -> tuple[int, int]:
        """What counts in addition: folders above, which stay whatever becomes of the piece, and the piece itself."""
        if piece.kind not in ("file", "folder", "link"):
            return 0, 0
        there: os.stat_result | None = None
        above, above_bytes = piece.name.rpartition("/")[0], 0
        with _opened(self._base / FILES) as folder:
            while above and folder.look(above) is None:
                above, above_bytes = above.rpartition("/")[0], above_bytes + weight(0)
            with suppress(FileNotFoundError), folder.parent_of(piece.name) as (parent, last):
                there = os.stat(last, dir_fd=parent, follow_symlinks=False)
        if piece.kind == "folder":
            return above_bytes, 0 if there else weight(0)
        if there is None or stat.S_ISDIR(there.st_mode):  # which stays, and the piece is put beside it
            return above_bytes, weight(piece.size_bytes)
        return above_bytes, weight(piece.size_bytes) - weight_of(there)

    def _give_back(self) -> None:
        """What was coming in is not there."""
        if self._left_bytes is not None:
            self._left_bytes += self._taken_bytes
        self._taken_bytes = 0

    def _below(self, path: str) -> list[tuple[str, Look]]:
        """What *path* is, and what is in it; names from the client's folder on."""
        name = path.strip("/")
        try:
            parts = checked(name)
            if parts[0] not in (RESULTS, FILES) or (parts[0] == RESULTS and len(parts) > 1 and parts[1][0] == "."):
                raise DepotError(f"there is no {ascii(path)}; everything lies in {RESULTS}/ or {FILES}/")
            with _opened(self._base) as folder:
                look = folder.look(name)
                if look is None:
                    raise DepotError(f"there is no {ascii(path)}")
                return [(name, look), *(folder.walk([], below=name) if look.is_folder else ())]
        except (OSError, NameRefusedError) as error:
            raise DepotError(f"there is no {ascii(path)}: {error}") from error


class _opened:
    """A folder for the length of a block."""

    def __init__(self, path: Path) -> None:
        self._folder = Folder(path)

    def __enter__(self) -> Folder:
        return self._folder

    def __exit__(self, *_error: object) -> None:
        self._folder.close()


def _folders_in(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (one for one in sorted(path.iterdir()) if not one.name.startswith(".") and (one / ABOUT).is_file())


def _row(name: str, look: Look) -> list[Any]:
    kind = "folder" if look.is_folder else "link" if look.is_link else "file"
    return [f"{name}/" if look.is_folder else name, kind, look.size_bytes, look.mtime_ns / 1e9, None]
