# SPDX-License-Identifier: Apache-2.0
"""How files travel between a client and its worker: which folders stand for which, and what lies in them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Have a folder of the session stand for the client's folder ``path``, from now on and in every path below it.

    Answered by ``shared`` if the server has the same folder, so that nothing needs to stand for it, else by ``copy``.

    Attributes:
        call: Number of the call.
        mount: Its number, from 1.
        path: Absolute path on the client.
        names: If there are any, nothing but these in the folder is meant, with all that is below them.
        role: ``input``: what lies there is offered before anything else is done; ``output``: what changes there comes
            home.
        mode: ``auto`` to find out, ``shared`` or ``copy`` if the user knows.
        marker: Name of a file that the client has put there for the server to find; empty if it could not.
        content: Random bytes in that file.
        working_folder: The client's current directory: what relative names mean.
    """

    call: int
    mount: int
    path: str
    names: list[str]
    role: str
    mode: str
    marker: str
    content: bytes
    working_folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that lies in a folder which is offered.

    Attributes:
        number: Its number; those of a session rise.
        name: Checked by ``files.names``.
        kind: ``file``, ``folder``, ``link``, or ``gone`` if it is not there any more.
        size_bytes: Of a file.
        mode: Its permission bits.
        mtime_ns: When it was changed, in nanoseconds since 1970.
        digest: Of a file's content, as in :class:`ArtifactEnd`.
        target: Of a link.
    """

    number: int
    name: str
    kind: str
    size_bytes: int
    mode: int
    mtime_ns: int
    digest: bytes
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Put these into the folder that stands for a mount. Answered by :class:`Wanted`; the contents that it names follow
    as an :class:`Artifact` with the number of the entry, its chunks and its end, and :class:`Staged` is the last word.

    Attributes:
        offer: Number of the offer; one is made in as many messages as it takes.
        mount: The mount.
        entries: Folders before what lies in them.
        is_last: Whether the offer is complete with these.
    """

    offer: int
    mount: int
    entries: list[Entry]
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Before anything else is done here, what lies behind this mount is to be offered."""

    mount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The contents of these entries are not here and are to be sent; each content is asked for once."""

    offer: int
    numbers: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """All of an offer is in its place, except what ``problems`` says, in a sentence each."""

    offer: int
    problems: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Something has changed in the folder behind a mount; the artifacts of a session are numbered from 1, in order.
    From the client: the content of a file that was offered, under the number of its entry.

    Attributes:
        number: Its number.
        mount: The mount.
        name: Checked by ``files.names``.
        kind: ``file``, which chunks and an end follow; ``folder``; ``link``; ``gone``; or ``nothing``: it was
            announced, but is as it was.
        size_bytes: Of a file.
        mode: Its permission bits.
        mtime_ns: When it was changed, in nanoseconds since 1970.
        target: Of a link.
    """

    number: int
    mount: int
    name: str
    kind: str
    size_bytes: int
    mode: int
    mtime_ns: int
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Bytes of the file that is being sent, of one block or several; what no chunk covers is a hole, and reads as
    zeros."""

    number: int
    offset: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactEnd:
    """The file is complete. ``digest`` covers its chunks and size; it is empty if the file could not be read to its
    end, and ``text`` says why."""

    number: int
    digest: bytes
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """So much of what was sent of files has been dealt with, in the costs of ``files.pace``; more may follow. Said by
    whoever receives."""

    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The rest of this artifact is of no use here and need not be sent."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """All artifacts up to this number belong to what was said so far; said before the result of what has ended.
    ``size_bytes``: what those amount to that were not collected before."""

    number: int
    size_bytes: int


Piece = Artifact | Chunk | ArtifactEnd
OfFiles = Offer | Piece | Taken | Declined
FromFiles = Collected | Awaited | Wanted | Staged | Piece | Taken | Declined
