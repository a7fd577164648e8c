# SPDX-License-Identifier: Apache-2.0
"""Puts down what arrives: under a name of its own until it is complete and verified, and then in its place at once."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.ledger import Ledger
from scenario_execution_remote.files.names import OWN_PREFIX, NameRefusedError, beside, checked_link
from scenario_execution_remote.files.pace import BLOCK_BYTES
from scenario_execution_remote.files.parts import clear_parts, make_part
from scenario_execution_remote.files.sending import Digest, digest_of, extents
from scenario_execution_remote.protocol import messages

_LARGEST = 2**63 - 1  # of a size in bytes and of a time in nanoseconds, for every system call that takes one
_MODE_BITS = 0o777  # not set-uid, set-gid and sticky: those are not for another machine to hand out


class BrokenTransferError(Exception):
    """What arrived is not what was sent, or not in the order in which a file is sent."""


@dataclass(slots=True)
class _Unfinished:
    artifact: messages.Artifact
    digest: Digest
    fd: int
    own_name: str
    end: int = 0  # nothing may come before it
    compared: dict[str, Look | None] = field(default_factory=dict)  # name -> the look of what has the same content


class _NotComparedError(Exception):
    """What lies under a name may have the same content."""

    def __init__(self, name: str, look: Look) -> None:
        super().__init__(name)
        self.name = name
        self.look = look


class Receiver:
    """One folder that files arrive in, from one peer.

    Args:
        path: The folder; it exists.
        origin: The peer, for names of what would overwrite something else.
        ledger: Who has written what here, in this process.
        owner: What the peer is in it; None for this receiver.
    """

    def __init__(self, path: Path, origin: str, ledger: Ledger, owner: object = None) -> None:
        self._folder = Folder(path)
        self._origin = origin
        self._ledger = ledger
        self._owner = self if owner is None else owner
        self._aliases: dict[str, str] = {}  # name there -> name here, where they differ
        self._unfinished: _Unfinished | None = None
        self._cleared: set[str] = set()  # folders in which nothing is left of killed processes
        self._clock_ns = self._own_clock_ns()

    def close(self) -> None:
        """Drop what is not complete."""
        self.drop()
        self._folder.close()

    def begin(self, artifact: messages.Artifact) -> str | None:
        """Deal with an artifact, or begin to if it is a file. Returns what the user has to know, if anything.

        Raises:
            NameRefusedError: it may not be put down.
            BrokenTransferError: another one is not finished.
            OSError: as the system says, a full disk included.
        """
        if self._unfinished is not None:
            raise BrokenTransferError("a file begins before the one before it has ended")
        if artifact.kind == "file":
            self._begin_file(artifact)
        elif artifact.kind == "folder":
            self._make_folder(artifact.name)
        elif artifact.kind == "link":
            return self._make_link(artifact)
        elif artifact.kind == "gone":
            self._remove(artifact.name)
        return None

    def add(self, chunk: messages.Chunk) -> None:
        """Write a chunk; not of a file that was dropped.

        Raises:
            BrokenTransferError: it lies outside of the file.
            OSError: as the system says; the file is to be dropped.
        """
        unfinished = self._unfinished
        if unfinished is None or unfinished.artifact.number != chunk.number:
            return
        end = chunk.offset + len(chunk.data)
        if chunk.offset < unfinished.end or end > unfinished.artifact.size_bytes:
            raise BrokenTransferError("a piece lies outside of its file")
        view = memoryview(chunk.data)
        while view:
            written = os.pwrite(unfinished.fd, view, end - len(view))
            view = view[written:]
        unfinished.end = end
        unfinished.digest.add(chunk.offset, chunk.data)

    def finish(self, last: messages.ArtifactEnd, name: str = "") -> str | None:
        """Verify a file and put it in its place. Returns what the user has to know, if anything.

        Args:
            last: Its end.
            name: The name to give it, if not its own; in the same folder.

        Raises:
            BrokenTransferError: it is not what was sent.
            OSError: as the system says.
        """
        unfinished = self._unfinished
        if unfinished is None or unfinished.artifact.number != last.number:
            return None
        artifact = unfinished.artifact
        try:
            if not last.digest:
                raise BrokenTransferError(f"it could not be read to its end: {last.text}")
            if unfinished.digest.end(artifact.size_bytes) != last.digest:
                raise BrokenTransferError("it did not arrive as it was sent")
            return self._settle(unfinished, name or artifact.name, last.digest)
        finally:
            self.drop()

    def copy(self, artifact: messages.Artifact, source: int, digest: bytes) -> str | None:
        """Put down a file whose content is here already. Returns what the user has to know, if anything.

        Args:
            artifact: The file.
            source: A descriptor of the content, for reading.
            digest: The content's.

        Raises:
            NameRefusedError: it may not be put down.
            OSError: as the system says.
        """
        self._begin_file(artifact)
        unfinished = self._unfinished
        assert unfinished is not None
        try:
            copy_content(source, unfinished.fd)
            return self._settle(unfinished, artifact.name, digest)
        finally:
            self.drop()

    def _settle(self, unfinished: _Unfinished, name: str, digest: bytes) -> str | None:
        """Give a complete file its size, mode, time and name."""
        artifact, fd = unfinished.artifact, unfinished.fd
        os.ftruncate(fd, artifact.size_bytes)  # a hole at its end
        os.fchmod(fd, artifact.mode & _MODE_BITS)
        os.utime(fd, ns=(artifact.mtime_ns, artifact.mtime_ns))
        while True:
            try:
                with self._ledger.placing:
                    place, remark = self._place_for(name, unfinished)
                    self._rename(unfinished, place)
                break
            except _NotComparedError as other:  # while nobody waits for a place: it may be as large as files are
                unfinished.compared[other.name] = None
                with contextlib.suppress(OSError):  # it is gone, or cannot be read
                    if digest_of(self._folder, other.name) == digest:
                        unfinished.compared[other.name] = other.look
        os.close(fd)
        return remark

    def _rename(self, unfinished: _Unfinished, name: str) -> None:
        """Give it its name, and note whose it is."""
        with self._folder.parent_of(name) as (parent, final):
            # Renamed, so that whoever looks finds the old file or the new one. Not fsynced: a killed process leaves
            # nothing half written, and ten thousand files would wait ten thousand times for the disk.
            os.replace(unfinished.own_name, final, src_dir_fd=parent, dst_dir_fd=parent)
            self._unfinished = None
            self._ledger.note(self._path(name), self._owner, Look.of(os.fstat(unfinished.fd)))

    def drop(self) -> None:
        """Remove what is not complete."""
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is None:
            return
        os.close(unfinished.fd)
        with contextlib.suppress(OSError, NameRefusedError), self._folder.parent_of(unfinished.artifact.name) as place:
            os.unlink(unfinished.own_name, dir_fd=place[0])

    # -- the kinds ---------------------------------------------------------------------------------

    def _begin_file(self, artifact: messages.Artifact) -> None:
        if not 0 <= artifact.size_bytes <= _LARGEST or not -_LARGEST <= artifact.mtime_ns <= _LARGEST:
            raise BrokenTransferError("a file has a size or a time that no file has")
        with self._folder.parent_of(artifact.name, make=True) as (parent, last):
            above = artifact.name[: -len(last)]
            if above not in self._cleared:
                self._cleared.add(above)
                clear_parts(parent)
            fd, own_name = make_part(parent)
        self._unfinished = _Unfinished(artifact, Digest(), fd, own_name)

    def _make_folder(self, name: str) -> None:
        with self._ledger.placing, self._folder.parent_of(name, make=True) as (parent, last):
            try:
                os.mkdir(last, dir_fd=parent)
            except FileExistsError:
                return
            self._ledger.note(self._path(name), self._owner, None)

    def _make_link(self, artifact: messages.Artifact) -> str | None:
        target = checked_link(artifact.name, artifact.target)
        own_name = f"{OWN_PREFIX}{secrets.token_hex(8)}"
        with self._ledger.placing, self._folder.parent_of(artifact.name, make=True) as (parent, _):
            os.symlink(target, own_name, dir_fd=parent)
            try:
                name, remark = self._place_for(artifact.name, None)
                final = name.rpartition("/")[2]
                os.replace(own_name, final, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                os.unlink(own_name, dir_fd=parent)
                raise
            self._ledger.note(self._path(name), self._owner, self._folder.look(name))
        return remark

    def _remove(self, name: str) -> None:
        """What we have put down and nobody has touched since goes, as it has gone on the server."""
        name = self._aliases.pop(name, name)
        path = self._path(name)
        with self._ledger.placing:  # from the look until it has gone: somebody else may be about to replace it
            look = self._folder.look(name)
            if look is None or not self._ledger.is_from(path, self._owner, None if look.is_folder else look):
                return
            with self._folder.parent_of(name) as (parent, last):
                try:
                    if look.is_folder:
                        os.rmdir(last, dir_fd=parent)
                    else:
                        os.unlink(last, dir_fd=parent)
                except OSError:
                    if look.is_folder:  # somebody else has put something into it
                        return
                    raise
            self._ledger.take_away(path, self._owner)

    # -- places ------------------------------------------------------------------------------------

    def _place_for(self, name: str, file: _Unfinished | None) -> tuple[str, str | None]:
        """The name under which *name* may be put down without anything being lost, and a remark if it is another.

        Raises:
            _NotComparedError: that depends on whether *file* has the content of what is there.
        """
        taken = self._aliases.get(name, name)
        if self._is_free(taken, file):
            return taken, None
        for count in range(1, 1000):  # so many servers never write the same name
            other = beside(name, self._origin, count)
            if self._is_free(other, file):
                self._aliases[name] = other
                return (
                    other,
                    f"{ascii(name)} was written on this side too in this run; theirs is kept as {ascii(other)}",
                )
        raise NameRefusedError(name, "there are a thousand of this name already")

    def _is_free(self, name: str, file: _Unfinished | None) -> bool:
        look = self._folder.look(name)
        if look is None:
            return True
        if look.is_folder:
            return False
        if self._ledger.is_from(self._path(name), self._owner, look):
            return True
        with self._folder.parent_of(name) as (parent, last):
            changed_ns = os.stat(last, dir_fd=parent, follow_symlinks=False).st_ctime_ns
        if changed_ns < self._clock_ns and not self._ledger.is_known(self._path(name)):
            return True  # left by an earlier run; a local action would have overwritten it as well
        if file is None or not look.is_file or look.size_bytes != file.artifact.size_bytes:
            return False
        if name not in file.compared:
            raise _NotComparedError(name, look)
        return file.compared[name] == look  # else it has changed meanwhile

    def _own_clock_ns(self) -> int:
        """Now, on the clock by which the file system here says when a file was changed."""
        name = f"{OWN_PREFIX}{secrets.token_hex(8)}"
        path = self._folder.path / name
        path.touch()
        try:
            return path.stat().st_ctime_ns
        finally:
            path.unlink()

    def _path(self, name: str) -> str:
        return f"{self._folder.path}/{name}"


def copy_content(source: int, target: int) -> None:
    """Copy what *source* holds to the same places of *target*, where nothing is yet; holes stay holes.

    Blocks are shared where the file system can do that.
    """
    size_bytes = os.fstat(source).st_size
    for offset, end in extents(source, size_bytes):
        while offset < end:
            copied = _copy_some(source, target, offset, end - offset)
            if not copied:
                break
            offset += copied


def _copy_some(source: int, target: int, offset: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset, offset)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    data = os.pread(source, min(count, BLOCK_BYTES), offset)
    return os.pwrite(target, data, offset)
