# SPDX-License-Identifier: Apache-2.0
"""A folder whose files are reached by checked names and never through a symbolic link, whatever lies in it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_remote.files.names import DEPTH_LIMIT, NameRefusedError, checked

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Look:
    """What tells a changed file from an unchanged one: kind and mode, size, time of change, and which file it is."""

    mode: int
    size_bytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Look:
        """The look of something; a folder's size and time are not its own, but those of what lies in it."""
        if stat.S_ISDIR(found.st_mode):
            return cls(found.st_mode, 0, 0, found.st_ino)
        return cls(found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Folder:
    """One folder and what is below it.

    Args:
        path: Where it is; it exists. It may be reached through links itself, as its owner's word counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, _FOLDER & ~os.O_NOFOLLOW)

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextmanager
    def parent_of(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder that *name* lies in, and the last part of the name.

        Raises:
            NameRefusedError: of the name, or because a part of it is a link or no folder.
            OSError: as the system says.
        """
        *above, last = checked(name)
        fd = os.dup(self._fd)
        try:
            for part in above:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o777, dir_fd=fd)
                try:
                    below = os.open(part, _FOLDER, dir_fd=fd)
                except NotADirectoryError:
                    raise NameRefusedError(name, f"{ascii(part)} is a link here, or no folder") from None
                os.close(fd)
                fd = below
            yield fd, last
        finally:
            os.close(fd)

    def look(self, name: str) -> Look | None:
        """How *name* looks now, itself and not what it links to; None if there is nothing."""
        try:
            with self.parent_of(name) as (parent, last):
                return Look.of(os.stat(last, dir_fd=parent, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def open(self, name: str) -> int:
        """A descriptor for reading the regular file *name*.

        Raises:
            OSError: there is no such file.
        """
        with self.parent_of(name) as (parent, last):
            # O_NONBLOCK: should somebody have put a pipe in its place, opening it must not wait
            fd = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(f"{ascii(name)} is no regular file any more")
        return fd

    def target_of(self, name: str) -> str:
        """Where the symbolic link *name* points to."""
        with self.parent_of(name) as (parent, last):
            return os.readlink(last, dir_fd=parent)

    def walk(
        self, problems: list[str], is_in: Callable[[str, Look], bool] = lambda _name, _look: True, *, below: str = ""
    ) -> Iterator[tuple[str, Look]]:
        """Everything below, folders before what is in them.

        Args:
            problems: What has to stay is named here.
            is_in: Whether something belongs to it; nothing below a folder that does not is looked at.
            below: The folder to begin with; empty for all of it.
        """
        pending = [below]
        while pending:
            prefix = pending.pop()
            for name, look in self._list(prefix, problems):
                if not is_in(name, look):
                    continue
                try:
                    parts = checked(name)
                except NameRefusedError as refusal:
                    if not name.rpartition("/")[2].startswith(".scenario-remote-"):
                        problems.append(str(refusal))
                    continue
                if look.is_folder and len(parts) < DEPTH_LIMIT:
                    pending.append(name)
                if look.is_file or look.is_folder or look.is_link:
                    yield name, look
                else:
                    problems.append(str(NameRefusedError(name, "it is a device, a pipe or a socket")))

    def _list(self, prefix: str, problems: list[str]) -> list[tuple[str, Look]]:
        found = []
        try:
            if prefix:
                with self.parent_of(prefix) as (parent, last):
                    fd = os.open(last, _FOLDER, dir_fd=parent)
            else:
                fd = os.open(".", _FOLDER, dir_fd=self._fd)
        except FileNotFoundError:
            return []
        except (OSError, NameRefusedError) as error:
            problems.append(f"the folder {ascii(prefix)} cannot be read: {error}")
            return []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        name = f"{prefix}/{entry.name}" if prefix else entry.name
                        found.append((name, Look.of(entry.stat(follow_symlinks=False))))
        finally:
            os.close(fd)
        return sorted(found)
