# SPDX-License-Identifier: Apache-2.0
"""Lets pieces of files out to the other side, in messages of a chunk or a few and no faster than they are taken."""

from __future__ import annotations

import time
from collections.abc import Callable

from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.names import NameRefusedError
from scenario_execution_remote.files.pace import BLOCK_BYTES, Pace
from scenario_execution_remote.files.quota import Quota, QuotaExceededError
from scenario_execution_remote.files.sending import Piece, cost_of, nothing, pieces
from scenario_execution_remote.freed_memory import keep_freed_memory
from scenario_execution_remote.protocol import messages


class Outlet:
    """One side's files on their way to the other. ``taken`` and ``declined`` are for who listens, the rest to send.

    Args:
        send: Sends several pieces in one message.
        wait_for: Waits until a condition is true, which ``taken`` makes it.
        quota: What may be sent; None for everything.
        pause: Lets so many seconds pass.

    Attributes:
        total: What everything cost that was put here; see ``has_taken``.
    """

    def __init__(
        self,
        send: Callable[[list[Piece]], None],
        wait_for: Callable[[Callable[[], bool]], object],
        quota: Quota | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        keep_freed_memory()
        self._send = send
        self._wait_for = wait_for
        self._quota = quota or Quota()
        self._pause = pause
        self._pace = Pace()
        self._declined: set[int] = set()
        self._batch: list[Piece] = []
        self._batch_cost = 0
        self.total = 0

    def taken(self, message: messages.Taken) -> None:
        """The other side has dealt with so much."""
        try:
            self._pace.taken(message.cost, time.monotonic())
        except ValueError:  # a peer that cannot count gets nothing more
            pass

    def declined(self, message: messages.Declined) -> None:
        """The other side has no use for the rest of this one."""
        self._declined.add(message.number)

    def is_declined(self, number: int) -> bool:
        """Whether the other side has no use for this one, or could not put it down."""
        return number in self._declined

    def put(self, piece: Piece) -> None:
        """Send a piece together with others."""
        self._batch.append(piece)
        self._batch_cost += cost_of(piece)
        self.total += cost_of(piece)
        if self._batch_cost >= self._pace.message_bytes:
            self.flush()

    def flush(self) -> None:
        """Send what was put."""
        if not self._batch:
            return
        pause_s = self._quota.pause_s(self._batch_cost, time.monotonic())
        if pause_s > 0.0:
            self._pause(pause_s)
        self._wait_for(self._pace.may_send)
        batch, cost = self._batch, self._batch_cost
        self._batch, self._batch_cost = [], 0
        self._pace.sent(cost, time.monotonic())
        self._send(batch)

    def _run_bytes(self) -> int:
        """How much of a file still goes into the message that is being filled, in whole blocks."""
        left_bytes = self._pace.message_bytes - self._batch_cost
        return max(BLOCK_BYTES, left_bytes - left_bytes % BLOCK_BYTES)

    @property
    def is_all_taken(self) -> bool:
        """Whether nothing is on its way."""
        return self._pace.is_all_taken

    def has_taken(self, total: int) -> bool:
        """Whether the other side has dealt with everything that was put here when this was the total."""
        return self._pace.has_taken(total)

    @property
    def has_been_declined(self) -> bool:
        """Whether the other side had no use for something."""
        return bool(self._declined)

    def put_all_of(self, folder: Folder, number: int, mount: int, name: str) -> bytes | None:
        """Send all of *name*, or that it is nothing.

        Returns:
            The digest of what was sent, empty if the file could not be read to its end; None if it is no file.

        Raises:
            NameRefusedError: it may not travel; the other side has been told.
            OSError: it cannot be read to its end; the other side has been told.
            QuotaExceededError: it is more than may be sent; the other side has been told.
        """
        is_open, digest = False, None
        try:
            for piece in pieces(folder, number, mount, name, self._run_bytes):
                if isinstance(piece, messages.Chunk) and number in self._declined:
                    continue
                if isinstance(piece, messages.Artifact) and piece.kind == "file":
                    self._quota.add(name, piece.size_bytes)
                self.put(piece)
                is_open = not isinstance(piece, messages.ArtifactEnd)
                if isinstance(piece, messages.ArtifactEnd):
                    digest = piece.digest
        except (OSError, NameRefusedError, QuotaExceededError) as error:
            text = str(error)
            self.put(
                messages.ArtifactEnd(number=number, digest=b"", text=text) if is_open else nothing(number, mount, name)
            )
            raise
        return digest
