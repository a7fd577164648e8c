# SPDX-License-Identifier: Apache-2.0
"""Reads what a folder holds as messages, piece by piece, so that no file is ever in memory as a whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import signal
import stat
from collections.abc import Callable, Iterator

from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.names import NameRefusedError, checked_link
from scenario_execution_remote.files.pace import BLOCK_BYTES, COST_OF_ONE_BYTES
from scenario_execution_remote.protocol import messages

DIGEST_BYTES = 32  # as many as keep two files from ever having the same one by design
Piece = messages.Piece
_ZEROS = bytes(BLOCK_BYTES)


class Digest:
    """Covers a file's chunks with their places, and its size: holes need not be read to be covered."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()  # processors of the last years have instructions for it: half of BLAKE2b's time

    def add(self, offset: int, data: bytes | memoryview) -> None:
        """The next bytes, of as many blocks as they are; counted from the first one, however many came at once."""
        view = memoryview(data)
        for begin in range(0, len(view), BLOCK_BYTES):
            block = view[begin : begin + BLOCK_BYTES]
            self._hash.update((offset + begin).to_bytes(8, "big") + len(block).to_bytes(8, "big"))
            self._hash.update(block)

    def end(self, size_bytes: int) -> bytes:
        """The digest of all of it."""
        self._hash.update(size_bytes.to_bytes(8, "big"))
        return self._hash.digest()


def cost_of(piece: Piece) -> int:
    """What a piece costs, as both sides count it."""
    return COST_OF_ONE_BYTES + (len(piece.data) if isinstance(piece, messages.Chunk) else 0)


def is_end(piece: Piece) -> bool:
    """Whether nothing more of the same artifact follows."""
    return isinstance(piece, messages.ArtifactEnd) or (isinstance(piece, messages.Artifact) and piece.kind != "file")


def nothing(number: int, mount: int, name: str, kind: str = "nothing") -> messages.Artifact:
    """An artifact that consists of its kind alone: ``nothing`` or ``gone``."""
    return messages.Artifact(
        number=number, mount=mount, name=name, kind=kind, size_bytes=0, mode=0, mtime_ns=0, target=""
    )


def one_block() -> int:
    """The shortest run of a file's bytes."""
    return BLOCK_BYTES


def pieces(
    folder: Folder, number: int, mount: int, name: str, run_bytes: Callable[[], int] = one_block
) -> Iterator[Piece]:
    """What *name* is now, as messages. The last one is an ArtifactEnd if it is a file.

    Args:
        folder: Where it lies.
        number: For the messages.
        mount: For the messages.
        name: Its name there.
        run_bytes: How many bytes the next chunk may have, in whole blocks.

    Raises:
        NameRefusedError: it is nothing that may travel.
        OSError: it cannot be read; nothing was yielded yet.
    """
    look = folder.look(name)
    if look is None:
        yield nothing(number, mount, name)
        return
    if look.is_file:
        yield from _file(folder, number, mount, name, run_bytes)
        return
    if not (look.is_folder or look.is_link):
        raise NameRefusedError(name, "it is a device, a pipe or a socket")
    yield messages.Artifact(
        number=number, mount=mount, name=name, kind="folder" if look.is_folder else "link", size_bytes=0,
        mode=stat.S_IMODE(look.mode), mtime_ns=look.mtime_ns,
        target=checked_link(name, folder.target_of(name)) if look.is_link else "",
    )  # fmt: skip


def _file(folder: Folder, number: int, mount: int, name: str, run_bytes: Callable[[], int]) -> Iterator[Piece]:
    fd = folder.open(name)
    try:
        found = os.fstat(fd)
        yield messages.Artifact(
            number=number, mount=mount, name=name, kind="file", size_bytes=found.st_size,
            mode=stat.S_IMODE(found.st_mode), mtime_ns=found.st_mtime_ns, target="",
        )  # fmt: skip
        digest, text = Digest(), ""
        try:
            for offset, data in _runs(fd, found.st_size, run_bytes):
                digest.add(offset, data)
                yield messages.Chunk(number=number, offset=offset, data=data)
        except OSError as error:
            text = str(error)
        yield messages.ArtifactEnd(number=number, digest=b"" if text else digest.end(found.st_size), text=text)
    finally:
        os.close(fd)


def digest_of(folder: Folder, name: str, keep_on: Callable[[], None] = lambda: None) -> bytes:
    """The digest that sending the file *name* now would end with.

    Args:
        folder: Where it lies.
        name: Its name there.
        keep_on: Called for each chunk, as a large file takes its time.

    Raises:
        OSError: it cannot be read.
    """
    fd = folder.open(name)
    try:
        return digest_of_open(fd, keep_on)
    finally:
        os.close(fd)


def digest_of_open(fd: int, keep_on: Callable[[], None] = lambda: None) -> bytes:
    """The same, of an open file."""
    digest, size_bytes = Digest(), os.fstat(fd).st_size
    for offset, data in _runs(fd, size_bytes, one_block):
        digest.add(offset, data)
        keep_on()
    return digest.end(size_bytes)


def entry_of(
    folder: Folder, number: int, name: str, look: Look, keep_on: Callable[[], None] = lambda: None, digest: bytes = b""
) -> messages.Entry:
    """*name* as it is offered; with this *digest*, or its own if there is none.

    Raises:
        NameRefusedError: it is a link that leads out of the folder.
        OSError: it cannot be read.
    """
    kind = "file" if look.is_file else "folder" if look.is_folder else "link"
    return messages.Entry(
        number=number, name=name, kind=kind, size_bytes=look.size_bytes, mode=stat.S_IMODE(look.mode),
        mtime_ns=look.mtime_ns, digest=(digest or digest_of(folder, name, keep_on)) if look.is_file else b"",
        target=checked_link(name, folder.target_of(name)) if look.is_link else "",
    )  # fmt: skip


def _runs(fd: int, size_bytes: int, run_bytes: Callable[[], int]) -> Iterator[tuple[int, bytes | memoryview]]:
    """The blocks that are not zero, so many at once: what lies in a hole on one disk is zeros on another, and the
    digest must not tell the difference."""
    offset = 0
    for begin, end in extents(fd, size_bytes):
        offset = max(offset, begin - begin % BLOCK_BYTES)
        while offset < end:
            up_to = min(size_bytes, end + -end % BLOCK_BYTES, offset + run_bytes())
            data = os.pread(fd, up_to - offset, offset)
            if not data:  # it has become shorter meanwhile; its next look is another one, and it is sent again
                return
            for run_begin, run_end in _not_zero(data):
                whole = run_end - run_begin == len(data)
                yield offset + run_begin, data if whole else memoryview(data)[run_begin:run_end]
            offset += len(data) + -len(data) % BLOCK_BYTES


def _not_zero(data: bytes) -> Iterator[tuple[int, int]]:
    """Beginning and end of each run of blocks that are not all zeros."""
    begin: int | None = None
    for at in range(0, len(data), BLOCK_BYTES):
        if data[at] or not _is_zeros(data[at : at + BLOCK_BYTES]):  # mostly the first byte says it
            if begin is None:
                begin = at
        elif begin is not None:
            yield begin, at
            begin = None
    if begin is not None:
        yield begin, len(data)


def _is_zeros(block: bytes) -> bool:
    return block == _ZEROS[: len(block)]


def extents(fd: int, size_bytes: int) -> Iterator[tuple[int, int]]:
    """Beginning and end of each part of a file that is not a hole."""
    end = 0
    while end < size_bytes:
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
            end = min(os.lseek(fd, begin, os.SEEK_HOLE), size_bytes)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            if error.errno != errno.EINVAL:
                raise
            begin, end = end, size_bytes  # a file system that knows no holes
        yield begin, end


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
