# SPDX-License-Identifier: Apache-2.0
"""Brings what remote actions write into their output folder home into the client's, one session's worth."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .files.ledger import Ledger
from .files.names import NameRefusedError
from .files.pace import REPORT_AT_MOST_BYTES
from .files.receiving import BrokenTransferError, Receiver
from .files.reporting import Reporter
from .files.sending import Piece, cost_of, is_end
from .mounts import OUTPUT, Line, Mounts, Tell
from .protocol import messages, wire

LEDGER = Ledger()  # of this process: all servers of a run write into one output directory
CLOSE_S = 30.0  # for what has arrived to be written, two megabytes at most: a disk that hangs keeps no run from ending
_MORE_WITHIN_S = 0.001  # else what is owed is said: a slow link's window may be one chunk
_LOOK_EVERY_S = 0.2  # whether the link is over, which nobody says here


class Homecoming:
    """The files of one session on their way home.

    ``prepare`` and the waiting belong to the tree's thread, ``take`` to the link's; what arrives is written by a thread
    of its own, so that a slow disk holds up neither ticks nor heartbeats.

    Args:
        link: The session's link.
        origin: What the server is called in names of files.
        mounts: The session's.
        tell: Writes to the run's log.
    """

    def __init__(self, link: Line, origin: str, mounts: Mounts, tell: Tell) -> None:
        self._link = link
        self._origin = origin
        self._mounts = mounts
        self._tell = tell
        self._receivers: dict[int, Receiver] = {}
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._progress = threading.Condition()
        self._expected = 0  # all up to this number belong to what has ended
        self._finished = 0
        self._name = ""  # what is being received
        self._end = 0  # of what has arrived of it
        self._is_dropped = False  # because it cannot be
        self._is_missing_some = False
        self._is_closed = False
        self._reporter = Reporter(f"remote({origin}): results", tell)
        self.file_count = 0
        self.byte_count = 0

    # -- the tree's thread -------------------------------------------------------------------------

    def prepare(self, *directories: str | None) -> list[int]:
        """Have folders of the session stand for these output directories, before anything is said that names them.

        Returns the numbers of the mounts that are new."""
        found = [self._mounts.mount(directory, OUTPUT) for directory in directories if directory]
        new = [mount for mount in found if mount is not None]
        for mount in new:
            # Now, as it tells by the time what lay here before the run: what the run writes is not overwritten.
            with suppress(OSError, BrokenTransferError):
                self._receiver(mount)
        return new

    @property
    def is_copying(self) -> bool:
        """Whether anything may have to come home."""
        return self._mounts.is_copying(OUTPUT)

    def are_home(self, patience_s: float | None) -> bool:
        """Whether everything is home that belongs to what has ended; waits up to *patience_s* seconds for it."""
        if self._finished >= self._expected:  # the usual case, without a lock
            return True
        deadline_s = None if patience_s is None else time.monotonic() + patience_s
        with self._progress:
            while self._finished < self._expected and not self._link.is_over:
                left_s = _LOOK_EVERY_S if deadline_s is None else min(_LOOK_EVERY_S, deadline_s - time.monotonic())
                if left_s <= 0:
                    return False
                self._progress.wait(left_s)
            return self._finished >= self._expected

    @property
    def progress(self) -> tuple[int, int]:
        """Something that changes whenever anything has arrived."""
        return self._finished, self.byte_count

    def close(self, *, is_complete: bool, shut_out: str = "") -> None:
        """The session is over: deal with what has arrived, drop what is not complete, and say what is missing.

        Args:
            is_complete: Whether all that the actions have left was announced, as they were shut down before, or the
                server says so; else there may be results of which nothing is known here.
            shut_out: Why the server lets this client in no more, and what can be done about that; empty if it does.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_S)
        if self._thread is None or not self._thread.is_alive():
            for receiver in self._receivers.values():
                receiver.close()
        self._reporter.end()
        is_copying = self.is_copying
        next_step = self._next_step(shut_out)
        self._mounts.close()
        if self._finished < self._expected:
            at = f", {ascii(self._name)} among them" if self._name else ""
            count = self._expected - self._finished
            why = f"{count} files did not come home{at}: the session is over"
            self._tell("error", f"remote({self._origin}): {why}. {next_step}")
        elif self._is_missing_some:
            self._tell("error", f"remote({self._origin}): not everything could be put down here. {next_step}")
        elif is_copying and not is_complete:
            why = "the session was over before its results were known to be home, and some may be left there"
            self._tell("warning", f"remote({self._origin}): {why}. {next_step}")
        elif self.file_count:
            self._tell(
                "debug", f"remote({self._origin}): {self.file_count} files came home, {self.byte_count} bytes in all"
            )

    def _next_step(self, shut_out: str) -> str:
        keeps, get = "A server keeps such results for a while", "`se-remote get` fetches them"
        run = f"run: se-remote ls {self._origin}"
        if shut_out:  # neither command works before somebody has done something on the server
            return f"{keeps}, but this one lets the client in no more: {shut_out}. Once it does again, {get}; {run}"
        return f"{keeps}, and {get}; {run}"

    # -- the link's thread -------------------------------------------------------------------------

    def take(self, message: Any) -> None:
        """Take what the worker says about files."""
        if isinstance(message, messages.Collected):
            self._expected = max(self._expected, message.number)
            self._reporter.expect(message.size_bytes)
            return
        self._put(message)

    def behind(self, work: Callable[[], None]) -> None:
        """Do *work*, behind what has arrived before and before what arrives later is put down; it must not raise."""
        self._put(work)

    def _put(self, item: Any) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._receive, name=f"files from {self._origin}", daemon=True)
            self._thread.start()
        self._queue.put(item)

    # -- the receiving thread ----------------------------------------------------------------------

    def _receive(self) -> None:
        owed = 0
        while True:
            try:
                piece = self._queue.get(timeout=_MORE_WITHIN_S if owed else None)
            except queue.Empty:
                owed = self._report(owed)
                continue
            if piece is None:
                break
            if callable(piece):
                piece()
                continue
            self._deal_with(piece)
            owed += cost_of(piece)
            if owed >= REPORT_AT_MOST_BYTES or (is_end(piece) and piece.number >= self._expected):
                owed = self._report(owed)
            self._note(piece)  # now, as who waits for the last one says good-bye, and the server shall know before

    def _report(self, owed: int) -> int:
        """Say what has been dealt with. Returns what is still owed: nothing."""
        self._link.post(wire.encode(messages.Taken(cost=owed)))
        return 0

    def _deal_with(self, piece: Piece) -> None:
        if isinstance(piece, messages.Artifact):
            self._name, self._is_dropped = piece.name, False
            self._end = 0
            self._reporter.begin(piece.name)
        name, remark = self._name, None
        try:
            if isinstance(piece, messages.Artifact):
                remark = self._receiver(piece.mount).begin(piece)
            elif isinstance(piece, messages.Chunk):
                for receiver in self._receivers.values():
                    receiver.add(piece)
                self.byte_count += len(piece.data)
                if piece.offset > self._end:
                    self._reporter.expect(self._end - piece.offset)  # holes were expected, and do not come
                self._end = piece.offset + len(piece.data)
                self._reporter.advance(len(piece.data))
            else:
                for receiver in self._receivers.values():
                    remark = receiver.finish(piece) or remark
        except (OSError, NameRefusedError, BrokenTransferError) as error:
            self._is_dropped = self._is_missing_some = True
            for receiver in self._receivers.values():
                receiver.drop()
            self._link.post(wire.encode(messages.Declined(number=piece.number)))
            self._tell("error", f"remote({self._origin}): {ascii(name)} could not be brought home: {error}")
        if remark:
            self._tell("warning", f"remote({self._origin}): {remark}")

    def _note(self, piece: Piece) -> None:
        is_last = is_end(piece)
        is_file = isinstance(piece, messages.ArtifactEnd) and not self._is_dropped
        if is_file:
            self._reporter.finish()
        if is_last and piece.number >= self._expected:
            self._reporter.end()  # before the run goes on, and writes where the bar is
        with self._progress:
            if is_last:
                self._finished, self._name = piece.number, ""
                self.file_count += is_file
                self._progress.notify_all()

    def _receiver(self, mount: int) -> Receiver:
        receiver = self._receivers.get(mount)
        if receiver is None:
            path = self._mounts.path_of(mount, OUTPUT)
            if path is None:
                raise BrokenTransferError("it belongs to a folder that nobody has asked for")
            receiver = self._receivers[mount] = Receiver(path, self._origin, LEDGER, self)
        return receiver
