# SPDX-License-Identifier: Apache-2.0
"""Puts what the client offers of its folders into those that stand for them: contents that are here, or are sent."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from scenario_execution_remote.files.ledger import SoleWriter
from scenario_execution_remote.files.names import NameRefusedError
from scenario_execution_remote.files.pace import report_after
from scenario_execution_remote.files.quota import Quota, QuotaExceededError
from scenario_execution_remote.files.receiving import BrokenTransferError, Receiver
from scenario_execution_remote.files.sending import cost_of
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.contents import Contents
from scenario_execution_server.worker.places import Places
from scenario_execution_server.worker.room import words_for_disk_error

_ALIVE_EVERY_S = 0.5  # below any sensible setup_timeout, while contents that are here already are looked through

_TOLD_COUNT = 20  # problems of one folder


class StagingError(Exception):
    """What an action needs could not be put in its place."""


@dataclass
class _Offer:
    """One offer on its way: what of it is still to come, by the number of the entry whose content was asked for."""

    mount: int
    is_complete: bool = False
    missing: dict[int, list[messages.Entry]] = field(default_factory=dict)  # several of one content
    asked: dict[bytes, int] = field(default_factory=dict)  # digest -> entry
    problems: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        return self.is_complete and not self.missing


class Staging:
    """What arrives from one client, in the main thread, a message at a time.

    Args:
        say: Sends messages to the client.
        places: Which folder stands for a mount.
        contents: The contents that are here.
        quota: What may be sent.
        pause: Lets so many seconds pass.
        may_replace: Whether nothing would be lost if something of this mount and name took the place of what is there.
        note: Told of the mount, the name and the digest of what is in its place now; or is not there any more.
    """

    def __init__(
        self,
        say: Callable[[Any], None],
        places: Places,
        contents: Contents,
        quota: Quota,
        pause: Callable[[float], object],
        may_replace: Callable[[int, str], bool] = lambda _mount, _name: True,
        note: Callable[[int, str, bytes], None] = lambda _mount, _name, _digest: None,
    ) -> None:
        self._say = say
        self._may_replace = may_replace
        self._note = note
        self._places = places
        self._contents = contents
        self._quota = quota
        self._pause = pause
        self._receivers: dict[int, Receiver] = {}
        self._offers: dict[int, _Offer] = {}
        self._awaited: set[int] = set()
        self._size_bytes = 0  # of the content that is coming in
        self._owed = 0
        self._said_alive_s = 0.0
        self.failure: StagingError | None = None  # why set-ups fail

    def await_offer(self, mount: int) -> None:
        """Ask the client to offer what lies behind this mount."""
        self._awaited.add(mount)
        self._say(messages.Awaited(mount=mount))

    @property
    def is_awaiting(self) -> bool:
        """Whether something was asked for, or offered, that is not in its place yet."""
        return bool(self._awaited or self._offers)

    def take(self, message: messages.Offer | messages.Piece, *, is_more_there: bool = False) -> None:
        """Deal with what the client says about files.

        Args:
            message: What it says.
            is_more_there: Whether another piece is the next that will be taken, without a wait.
        """
        if isinstance(message, messages.Offer):
            self._consider(message)
        else:
            self._receive(message)
            pause_s = self._quota.pause_s(cost_of(message), time.monotonic())
            if pause_s > 0.0:
                self._pause(pause_s)
            self._owed += cost_of(message)
            if self._owed >= report_after(is_more_there) or not any(offer.missing for offer in self._offers.values()):
                self._say(messages.Taken(cost=self._owed))
                self._owed = 0

    def close(self) -> None:
        """Drop what is not complete."""
        self._contents.close()
        for receiver in self._receivers.values():
            receiver.close()

    # -- offers ------------------------------------------------------------------------------------

    def _consider(self, message: messages.Offer) -> None:
        # Who may run nothing has no mounts, and shall leave nothing here either.
        if self._places.of(message.mount) is None:
            self._say(messages.Staged(offer=message.offer, problems=["nothing was taken to the server: nobody asked"]))
            return
        offer = self._offers.setdefault(message.offer, _Offer(message.mount))
        wanted = []
        for entry in message.entries:
            if entry.kind != "file":
                self._attempt(offer, entry, lambda entry=entry: self._make(offer, entry))  # type: ignore[misc]
            elif entry.digest in offer.asked:
                offer.missing[offer.asked[entry.digest]].append(entry)
            elif not self._place(offer, entry) and self._is_within_quota(offer, entry):
                offer.asked[entry.digest] = entry.number
                offer.missing[entry.number] = [entry]
                wanted.append(entry.number)
        if wanted:
            self._say(messages.Wanted(offer=message.offer, numbers=wanted))
        offer.is_complete = message.is_last
        self._conclude(message.offer)

    def _make(self, offer: _Offer, entry: messages.Entry) -> str | None:
        return self._receiver(offer.mount).begin(_artifact(entry, offer.mount))

    def _place(self, offer: _Offer, entry: messages.Entry) -> bool:
        """Put a file in its place if its content is here. Returns whether it is."""
        fd = self._contents.open(entry.digest, self._go_on)
        if fd is None:
            return False
        try:
            artifact = _artifact(entry, offer.mount)
            self._attempt(offer, entry, lambda: self._receiver(offer.mount).copy(artifact, fd, entry.digest))
        finally:
            os.close(fd)
        return True

    def _conclude(self, number: int) -> None:
        offer = self._offers[number]
        if offer.is_done:
            del self._offers[number]
            self._awaited.discard(offer.mount)
            if not self._offers:
                self._contents.forget_private()
            self._say(messages.Staged(offer=number, problems=_told(offer.problems)))

    def _is_within_quota(self, offer: _Offer, entry: messages.Entry) -> bool:
        try:
            self._quota.add(entry.name, entry.size_bytes)
        except QuotaExceededError as error:
            offer.problems.append(f"not taken to the server: {error}")
            self._blame(offer, f"not taken to the server: {error}")
            self._say(messages.Declined(number=entry.number))
            return False
        return True

    # -- contents ----------------------------------------------------------------------------------

    def _receive(self, piece: messages.Piece) -> None:
        found = [(number, offer) for number, offer in self._offers.items() if piece.number in offer.missing]
        if not found:
            return  # nobody has asked for it
        number, offer = found[0]
        entry = offer.missing[piece.number][0]
        try:
            if isinstance(piece, messages.Artifact):
                if piece.kind != "file":
                    raise BrokenTransferError("it could not be read")
                self._quota.grow(entry.name, piece.size_bytes - max(0, entry.size_bytes))
                self._size_bytes = piece.size_bytes
                self._contents.begin(piece)
                return
            if isinstance(piece, messages.Chunk):
                self._contents.add(piece)
                return
            digest = self._contents.finish(piece)
            entries = offer.missing[piece.number]
        except (OSError, NameRefusedError, BrokenTransferError, QuotaExceededError) as error:
            self._contents.drop()
            for waiting in offer.missing[piece.number]:
                self._fail(offer, waiting, error)
            digest, entries = b"", []
        del offer.missing[piece.number]
        for waiting in entries:
            if digest != waiting.digest:  # the file has changed since it was offered; what arrived is what it is now
                waiting = replace(waiting, digest=digest, size_bytes=self._size_bytes)
            if not self._place(offer, waiting):
                offer.problems.append(f"not taken to the server: {ascii(waiting.name)}: its content was lost there")
        self._conclude(number)

    # -- helpers -----------------------------------------------------------------------------------

    def _receiver(self, mount: int) -> Receiver:
        receiver = self._receivers.get(mount)
        if receiver is None:
            place = self._places.of(mount)
            if place is None:
                raise BrokenTransferError("it belongs to a folder that nothing stands for")
            receiver = self._receivers[mount] = Receiver(place, "client", SoleWriter())
        return receiver

    def _attempt(self, offer: _Offer, entry: messages.Entry, deed: Callable[[], str | None]) -> None:
        try:
            if not self._may_replace(offer.mount, entry.name):
                raise BrokenTransferError("it was changed on both sides; the server keeps its own")
            remark = deed()
            self._note(offer.mount, entry.name, entry.digest)
        except (OSError, NameRefusedError, BrokenTransferError) as error:
            self._fail(offer, entry, error)
        else:
            if remark:
                offer.problems.append(remark)

    def _fail(self, offer: _Offer, entry: messages.Entry, error: Exception) -> None:
        name = entry.name
        self._say(messages.Declined(number=entry.number))
        why = words_for_disk_error(error) if isinstance(error, OSError) else str(error)
        text = why if isinstance(error, NameRefusedError) else f"{ascii(name)}: {why}"
        offer.problems.append(f"not taken to the server: {text}")
        if isinstance(error, OSError):  # this side's disk; whatever the action reads may be missing
            self._blame(offer, f"{ascii(name)} could not be put down on the server: {why}")
        elif isinstance(error, QuotaExceededError):
            self._blame(offer, f"not taken to the server: {error}")

    def _blame(self, offer: _Offer, why: str) -> None:
        """Set-ups fail for what they wait for; of what else comes in, the client is told."""
        if offer.mount in self._awaited:
            self.failure = self.failure or StagingError(why)

    def _go_on(self) -> None:
        """Tell the client that this takes its time, and not that nothing moves."""
        now_s = time.monotonic()
        if now_s - self._said_alive_s >= _ALIVE_EVERY_S:
            self._said_alive_s = now_s
            self._say(messages.Alive())


def _told(problems: list[str]) -> list[str]:
    """As much of it as somebody reads: of a full disk, each of ten thousand files could be one."""
    more = len(problems) - _TOLD_COUNT
    return problems if more <= 0 else [*problems[:_TOLD_COUNT], f"{more} more were not taken to the server"]


def _artifact(entry: messages.Entry, mount: int) -> messages.Artifact:
    return messages.Artifact(
        number=entry.number, mount=mount, name=entry.name, kind=entry.kind, size_bytes=entry.size_bytes,
        mode=entry.mode, mtime_ns=entry.mtime_ns, target=entry.target,
    )  # fmt: skip
