# SPDX-License-Identifier: Apache-2.0
"""Reads what a folder holds as messages, piece by piece, so that no file is ever in memory as a whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
from collections.abc import Iterator

from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.names import NameRefusedError, checked_link
from scenario_execution_remote.files.pace import CHUNK_BYTES, COST_OF_ONE_BYTES
from scenario_execution_remote.protocol import messages

DIGEST_BYTES = 32  # as many as keep two files from ever having the same one by design
Piece = messages.Artifact | messages.Chunk | messages.ArtifactEnd


class Digest:
    """Covers a file's chunks with their places, and its size: holes need not be read to be covered."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def add(self, offset: int, data: bytes) -> None:
        """The next chunk."""
        self._hash.update(offset.to_bytes(8, "big") + len(data).to_bytes(8, "big"))
        self._hash.update(data)

    def end(self, size_bytes: int) -> bytes:
        """The digest of all of it."""
        self._hash.update(size_bytes.to_bytes(8, "big"))
        return self._hash.digest()


def cost_of(piece: Piece) -> int:
    """What a piece costs, as both sides count it."""
    return COST_OF_ONE_BYTES + (len(piece.data) if isinstance(piece, messages.Chunk) else 0)


def nothing(number: int, mount: int, name: str, kind: str = "nothing") -> messages.Artifact:
    """An artifact that consists of its kind alone: ``nothing`` or ``gone``."""
    return messages.Artifact(
        number=number, mount=mount, name=name, kind=kind, size_bytes=0, mode=0, mtime_ns=0, target=""
    )


def pieces(folder: Folder, number: int, mount: int, name: str) -> Iterator[Piece]:
    """What *name* is now, as messages. The last one is an ArtifactEnd if it is a file.

    Raises:
        NameRefusedError: it is nothing that may travel.
        OSError: it cannot be read; nothing was yielded yet.
    """
    look = folder.look(name)
    if look is None:
        yield nothing(number, mount, name)
        return
    if look.is_file:
        yield from _file(folder, number, mount, name)
        return
    if not (look.is_folder or look.is_link):
        raise NameRefusedError(name, "it is a device, a pipe or a socket")
    yield messages.Artifact(
        number=number, mount=mount, name=name, kind="folder" if look.is_folder else "link", size_bytes=0,
        mode=stat.S_IMODE(look.mode), mtime_ns=look.mtime_ns,
        target=checked_link(name, folder.target_of(name)) if look.is_link else "",
    )  # fmt: skip


def _file(folder: Folder, number: int, mount: int, name: str) -> Iterator[Piece]:
    fd = folder.open(name)
    try:
        found = os.fstat(fd)
        yield messages.Artifact(
            number=number, mount=mount, name=name, kind="file", size_bytes=found.st_size,
            mode=stat.S_IMODE(found.st_mode), mtime_ns=found.st_mtime_ns, target="",
        )  # fmt: skip
        digest, text = Digest(), ""
        try:
            for offset, data in _chunks(fd, found.st_size):
                digest.add(offset, data)
                yield messages.Chunk(number=number, offset=offset, data=data)
        except OSError as error:
            text = str(error)
        yield messages.ArtifactEnd(number=number, digest=b"" if text else digest.end(found.st_size), text=text)
    finally:
        os.close(fd)


def digest_of(folder: Folder, name: str) -> bytes:
    """The digest that sending the file *name* now would end with.

    Raises:
        OSError: it cannot be read.
    """
    fd = folder.open(name)
    try:
        digest, size_bytes = Digest(), os.fstat(fd).st_size
        for offset, data in _chunks(fd, size_bytes):
            digest.add(offset, data)
        return digest.end(size_bytes)
    finally:
        os.close(fd)


def _chunks(fd: int, size_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The bytes that are there, without holes, in chunks that begin at the same places whatever the holes are."""
    offset = 0
    while offset < size_bytes:
        try:
            offset = os.lseek(fd, offset, os.SEEK_DATA)
            end = min(os.lseek(fd, offset, os.SEEK_HOLE), size_bytes)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            if error.errno != errno.EINVAL:
                raise
            end = size_bytes  # a file system that knows no holes
        while offset < end:
            data = os.pread(fd, min(CHUNK_BYTES, end - offset), offset)
            if not data:  # it has become shorter meanwhile; its next look is another one, and it is sent again
                return
            yield offset, data
            offset += len(data)


def is_settled(folder: Folder, name: str, look: Look) -> bool:
    """Whether nobody writes to *name* any more, as far as can be known."""
    if not look.is_file:
        return True
    try:
        fd = folder.open(name)
    except (OSError, NameRefusedError):
        return True  # whoever sends it will find out
    try:
        return not _is_open_for_writing(fd)
    finally:
        os.close(fd)


def _is_open_for_writing(fd: int) -> bool:
    """Whether somebody has the file open for writing: then, and only then, the kernel refuses a lease for reading."""
    if not hasattr(fcntl, "F_SETLEASE"):  # not on Linux
        return False
    # Who opens it in this very moment waits until the lease is given back, and its holder gets a signal: by default
    # SIGIO, which would end the process.
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:  # not our file, or a file system without leases
        return False
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
