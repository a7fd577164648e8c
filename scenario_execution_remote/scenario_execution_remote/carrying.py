# SPDX-License-Identifier: Apache-2.0
"""Carries files by hand, between this machine and what a server keeps for this client, in a visit of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .cargo import Cargo
from .errors import CarryingError, RemoteProtocolError
from .files.folder import Folder
from .files.ledger import SoleWriter
from .files.names import NameRefusedError
from .files.outlet import Outlet
from .files.pace import REPORT_AFTER_BYTES
from .files.receiving import BrokenTransferError, Receiver
from .files.reporting import Reporter
from .files.sending import Piece, cost_of, is_end
from .protocol import messages, wire
from .visit import Visit

_ASK_AGAIN_S = 0.5  # whether it is our turn: a person waits, and a question costs the server nothing
STALLED_S = 30.0  # without a word, also if a rate slows the worker down: a disk on one of the sides has given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Something that lies on the server for this client.

    Attributes:
        name: From ``results/`` or ``files/`` on; of a folder with a slash at its end.
        kind: ``result``, ``folder``, ``file`` or ``link``.
        size_bytes: Of a result, of all files in it.
        time_s: When it was changed, of a result when its session was over; in seconds since 1970.
        until_s: When it is removed; None if never.
    """

    name: str
    kind: str
    size_bytes: int
    time_s: float
    until_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What has become of files.

    Attributes:
        file_count: How many, and links.
        byte_count: How much that is.
        problems: What went wrong, in a sentence each.
    """

    file_count: int
    byte_count: int
    problems: tuple[str, ...] = ()


def stored_at(visit: Visit, path: str, within_s: float) -> list[Stored]:
    """What lies on the server below *path*, everything if that is empty.

    Raises:
        CarryingError: there is no such thing.
        RemoteError: the session is over.
    """
    answer = visit.call(lambda number: messages.ListFiles(call=number, path=path), within_s)
    if isinstance(answer, messages.Listing):
        return [_read(entry) for entry in answer.entries]
    raise _failure(answer)


def remove(visit: Visit, path: str, within_s: float) -> Moved:
    """Remove *path* there. Returns what is gone.

    Raises:
        CarryingError: it cannot be removed.
        RemoteError: the session is over.
    """
    told = _value(visit.call(lambda number: messages.RemoveFiles(call=number, path=path), within_s))
    if not isinstance(told, list) or len(told) != 2 or not all(isinstance(one, int) for one in told):
        raise RemoteProtocolError("the server says of what it has removed something else than how much that was")
    return Moved(file_count=told[0], byte_count=told[1])


def fetch(visit: Visit, path: str, target: Path, reporter: Reporter) -> Moved:
    """Bring *path* from the server into the folder *target*, under the last part of its name.

    Raises:
        CarryingError: there is no such thing.
        RemoteError: the session is over.
        OSError: *target* cannot be written to.
    """
    arrival = _Arrival(visit, path, target, reporter)
    try:
        answer = visit.carry(lambda number: messages.Fetch(call=number, path=path), arrival.take, STALLED_S)
    finally:
        arrival.close()
    failed = _value(answer)
    problems = arrival.problems + [record.text for record in visit.log if record.level == "error"]
    if failed and not problems:
        problems.append(f"{failed} files could not be read on the server")
    return Moved(file_count=arrival.file_count, byte_count=arrival.byte_count, problems=tuple(problems))


class _Arrival:
    """What comes in during one fetch."""

    def __init__(self, visit: Visit, path: str, target: Path, reporter: Reporter) -> None:
        self._visit = visit
        self._path = path.strip("/")
        self._above = len(self._path.rpartition("/")[0])
        self._above += self._above > 0  # the slash
        self._receiver = Receiver(target, "server", SoleWriter())
        self._reporter = reporter
        self._last = 0
        self._name = ""
        self._owed = 0
        self._coming: messages.Artifact | None = None  # None if it is not going to be here
        self.file_count = 0
        self.byte_count = 0
        self.problems: list[str] = []

    def take(self, message: Any) -> None:
        if isinstance(message, messages.Collected):
            self._last = message.number
            self._reporter.expect(message.size_bytes)
        elif isinstance(message, Piece):
            self._deal_with(message)
            self._owed += cost_of(message)
            if self._owed >= REPORT_AFTER_BYTES or message.number == self._last:
                self._visit.post(wire.encode(messages.Taken(cost=self._owed)))
                self._owed = 0

    def close(self) -> None:
        self._receiver.close()
        self._reporter.end()

    def _deal_with(self, piece: Piece) -> None:
        remark = None
        try:
            if isinstance(piece, messages.Artifact):
                self._name, self._coming = piece.name, piece
                if not f"{piece.name}/".startswith(f"{self._path}/"):
                    raise NameRefusedError(piece.name, f"{ascii(self._path)} was asked for")
                self._reporter.begin(piece.name)
                remark = self._receiver.begin(replace(piece, name=piece.name[self._above :]))
            elif isinstance(piece, messages.Chunk):
                self._receiver.add(piece)
                self._reporter.advance(len(piece.data))
            else:
                remark = self._receiver.finish(piece)
                self._reporter.finish()
            if remark is not None:
                self.problems.append(remark)
            if is_end(piece) and self._coming is not None and self._coming.kind in ("file", "link"):
                self.file_count += 1
                self.byte_count += self._coming.size_bytes
        except (OSError, NameRefusedError, BrokenTransferError) as error:
            self._receiver.drop()
            self._coming = None
            self.problems.append(f"{ascii(self._name)} could not be put down: {error}")
            self._visit.post(wire.encode(messages.Declined(number=piece.number)))


def store(
    visit: Visit,
    cargo: Iterable[Cargo],
    reporter: Reporter,
    within_s: float,
    turn_s: float,
    tell: Callable[[str], None],
) -> tuple[list[str], list[str]]:
    """Put files and folders into this client's folder on the server.

    Args:
        visit: The session.
        cargo: The files and folders.
        reporter: Shows how far they are.
        within_s: How long an answer may take, in seconds.
        turn_s: How long to wait, in seconds, while another session of this client puts files there.
        tell: Takes a sentence before such a wait.

    Returns:
        Where on the server each of *cargo* lies that has been put there, and what went wrong, in a sentence each.

    Raises:
        CarryingError: this client may not, or not now.
        RemoteError: the session is over.
        OSError: a folder cannot be read.
    """
    place = str(_value(_opened(visit, within_s, turn_s, tell)))
    names: dict[int, str] = {}  # on the server
    outlet = Outlet(
        lambda pieces: _send(visit, pieces, names, reporter), lambda is_done: visit.wait_for(is_done, STALLED_S)
    )
    visit.take = lambda message: _heed(outlet, message)
    problems: list[str] = []
    begun: list[tuple[Cargo, int]] = []  # with the number of what it is itself, before what is in it
    failed: set[int] = set()
    for one in cargo:
        begun.append((one, len(names) + 1))
        folder = Folder(one.folder)
        reporter.expect(sum(size_bytes for _, size_bytes in one.entries))
        try:
            for name, _ in one.entries:
                number = len(names) + 1
                names[number] = one.there(name)
                reporter.begin(names[number])
                try:
                    outlet.put_all_of(folder, number, 0, name)
                    reporter.finish()
                except (OSError, NameRefusedError) as error:
                    failed.add(number)
                    problems.append(f"{ascii(names[number])}: {error}")
        finally:
            folder.close()
    outlet.flush()
    visit.wait_for(lambda: outlet.is_all_taken, STALLED_S)
    reporter.end()
    theirs = _value(visit.call(lambda call: messages.CloseStore(call=call), within_s))
    there = [one for one, number in begun if number not in failed and not outlet.is_declined(number)]
    return [f"{place}/{one.name}" for one in there], problems + [str(problem) for problem in theirs]


def _opened(visit: Visit, within_s: float, turn_s: float, tell: Callable[[str], None]) -> Any:
    """The answer to the question for the store, asked again while another session has it.

    One whose `put` was killed is ended by the server after a while of silence; so long, it is in the way of the next.
    """
    begun_s = time.monotonic()
    is_told = False
    while True:
        answer = visit.call(lambda number: messages.OpenStore(call=number), within_s)
        if not _is_busy(answer) or time.monotonic() - begun_s >= turn_s:
            return answer
        if not is_told:
            is_told = True
            tell(
                f"another `put` of this key is not done; waiting for up to {math.ceil(turn_s)} s, within which the "
                "server ends it if it was killed"
            )
        visit.rest(_ASK_AGAIN_S)


def _is_busy(answer: Any) -> bool:
    fault = answer.fault if isinstance(answer, messages.Result) else None
    return fault is not None and fault.type_name == messages.STORE_BUSY


def _send(visit: Visit, pieces: list[Piece], names: dict[int, str], reporter: Reporter) -> None:
    called = [replace(one, name=names[one.number]) if isinstance(one, messages.Artifact) else one for one in pieces]
    visit.post(wire.encode_pieces(called))
    reporter.advance(sum(len(piece.data) for piece in pieces if isinstance(piece, messages.Chunk)))


def _heed(outlet: Outlet, message: Any) -> None:
    if isinstance(message, messages.Taken):
        outlet.taken(message)
    elif isinstance(message, messages.Declined):
        outlet.declined(message)


def _value(answer: Any) -> Any:
    if not isinstance(answer, messages.Result) or answer.fault is not None:
        raise _failure(answer)
    return answer.value


def _failure(answer: Any) -> Exception:
    if isinstance(answer, messages.Result) and answer.fault is not None:
        return CarryingError(answer.fault.text)
    return RemoteProtocolError(f"the server answered a question about files with {type(answer).__name__}")


def _read(entry: Any) -> Stored:
    kinds = (str, str, int, float)
    if not isinstance(entry, list) or len(entry) != 5 or not all(map(isinstance, entry, kinds)):
        raise RemoteProtocolError("the server describes a file with other words than this client knows")
    name, kind, size_bytes, time_s, until_s = entry
    return Stored(name=name, kind=kind, size_bytes=size_bytes, time_s=time_s, until_s=until_s)
