# SPDX-License-Identifier: Apache-2.0
"""Owner-only files: read with every doubt settled first, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from scenario_execution_keys.errors import (
    KeyAccessError,
    KeyExistsError,
    KeyExposedError,
    KeyFileError,
    KeyNotFoundError,
)
from scenario_execution_keys.keyfile import MAX_FILE_BYTES

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OTHERS = 0o077  # any right for group or others
_OTHERS_WRITE = 0o022  # public files may be read by all, but who can change one decides whom we trust


@contextlib.contextmanager
def _mapped(path: Path, doing: str) -> Iterator[None]:
    """Turn what the operating system says into our own error, which names the file and a way on."""
    try:
        yield
    except OSError as error:
        raise KeyAccessError(
            f"cannot {doing}: {error.strerror or error}",
            f"Look at it. Run: ls -ld {shlex.quote(str(path))} {shlex.quote(str(path.parent))}",
            path=path,
        ) from error


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Whoever owns a file can change it, whatever its mode says; root could anyway."""
    if status.st_uid not in (os.geteuid(), 0):
        raise KeyExposedError(
            f"belongs to another user (uid {status.st_uid}), who can change it at will",
            f"Run: chown {os.geteuid()} {shlex.quote(str(path))}",
            path=path,
            mode=stat.S_IMODE(status.st_mode),
        )


def check_folder(path: Path) -> bool:
    """Whether the folder at `path` exists; if so, it is a real folder of ours that nobody else can enter.

    Raises:
        KeyExposedError: If others have any right to it, or it is not ours.
        KeyFileError: If it is a symbolic link or no folder.
        KeyAccessError: If it cannot be looked at.
    """
    with _mapped(path, "look at the folder"):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return False
    quoted = shlex.quote(str(path))
    if stat.S_ISLNK(status.st_mode):
        target = shlex.quote(os.path.realpath(path))
        raise KeyFileError(
            "this is a symbolic link, not a folder",
            f"Put the folder itself there. Run: rm {quoted} && mv {target} {quoted}",
            path=path,
        )
    if not stat.S_ISDIR(status.st_mode):
        raise KeyFileError("this is not a folder", f"Run: mv -i {quoted} {quoted}.refused", path=path)
    _check_owner(path, status)
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        raise KeyExposedError(f"is open to others (mode {mode:04o})", f"Run: chmod 700 {quoted}", path=path, mode=mode)
    return True


def make_folder(path: Path) -> None:
    """Make sure that `path` is a folder only we can enter; missing parents are made the same way.

    Raises:
        KeyExposedError, KeyFileError, KeyAccessError: As `check_folder`, or if it cannot be made.
    """
    if check_folder(path):
        return
    with _mapped(path, "make the folder"):
        missing = [path]
        while not missing[-1].parent.exists():
            missing.append(missing[-1].parent)
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # somebody else made it meanwhile; checked below
                os.mkdir(folder, FOLDER_MODE)
                os.chmod(folder, FOLDER_MODE)  # a umask may have taken even our own rights away
                _sync_folder(folder.parent)
    check_folder(path)


def read_owned(path: Path, *, secret: bool, mend: str) -> bytes:
    """The bytes of a key file, after kind, owner, mode and size were found right on the very file that is read.

    Args:
        path: The file; a symbolic link is refused.
        secret: Whether others may not even read it.
        mend: How the error for a wrong kind of file goes on.

    Raises:
        KeyNotFoundError: If there is no file.
        KeyExposedError: If others can change it, or read it while it is secret.
        KeyFileError: If it is not a plain file.
        KeyAccessError: If it cannot be read.
    """
    with _mapped(path, "look at the file"):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            raise KeyNotFoundError(f"there is no {path}", mend, path=path) from None
    if stat.S_ISLNK(status.st_mode):
        raise KeyFileError("this is a symbolic link; a key file is a plain file", mend, path=path)
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError("this is not a plain file", mend, path=path)
    with _mapped(path, "read the file"):
        # NONBLOCK and NOFOLLOW: the file may have been exchanged for a pipe or a link since lstat
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with _plain_file(descriptor, path, mend) as file:
        status = os.fstat(descriptor)
        _check_owner(path, status)
        mode = stat.S_IMODE(status.st_mode)
        quoted = shlex.quote(str(path))
        if secret and mode & _OTHERS:
            raise KeyExposedError(
                f"is a secret key and open to others (mode {mode:04o})",
                f"Run: chmod 600 {quoted}",
                path=path,
                mode=mode,
            )
        if mode & _OTHERS_WRITE:
            raise KeyExposedError(
                f"can be changed by others (mode {mode:04o})", f"Run: chmod 600 {quoted}", path=path, mode=mode
            )
        with _mapped(path, "read the file"):
            return file.read(MAX_FILE_BYTES + 1)  # one more, so that the parser sees that it is too large


def read_given(path: Path, *, group_may_read: bool, mend: str) -> bytes:
    """The bytes of a secret file outside the key store, which somebody else has put there: a mount or a credential.

    Links are followed, because such places are made of them, and the folder is not judged. The file itself is.

    Args:
        path: The file.
        group_may_read: Whether that is no exposure; systemd shows its access list for the service as group rights.
        mend: How the error for a missing or wrong kind of file goes on.

    Raises:
        KeyNotFoundError, KeyExposedError, KeyFileError, KeyAccessError: As `read_owned`.
    """
    real = Path(os.path.realpath(path))
    with _mapped(path, "read the file"):
        try:
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise KeyNotFoundError(f"there is no {path}", mend, path=path) from None
    with _plain_file(descriptor, path, mend) as file:
        status = os.fstat(descriptor)
        _check_owner(real, status)
        mode = stat.S_IMODE(status.st_mode)
        if mode & (_OTHERS & ~0o040 if group_may_read else _OTHERS):
            raise KeyExposedError(
                f"is a secret key and open to others (mode {mode:04o})",
                f"Make it 0400 where it is mounted, or run: chmod 400 {shlex.quote(str(real))}",
                path=path,
                mode=mode,
            )
        with _mapped(path, "read the file"):
            return file.read(MAX_FILE_BYTES + 1)


@contextlib.contextmanager
def _plain_file(descriptor: int, path: Path, mend: str) -> Iterator[BinaryIO]:
    """The open descriptor as a file, if it is a plain one; closed afterwards in any case."""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise KeyFileError("this is not a plain file", mend, path=path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def create_owned(path: Path, data: bytes, *, mend: str) -> None:
    """Write a new owner-only file: complete under its name or not there at all, and never over another.

    Raises:
        KeyExistsError: If anything is at `path`; its mending is `mend`.
        KeyAccessError: If it cannot be written.
    """
    with _temporary(path, data) as temporary, _mapped(path, "write the file"):
        try:
            os.link(temporary, path, follow_symlinks=False)  # unlike rename, link fails if the name is taken
        except FileExistsError:
            raise KeyExistsError(f"{path} exists already and is left as it is", mend, path=path) from None
    with _mapped(path, "write the folder"):
        _sync_folder(path.parent)


def replace_owned(path: Path, data: bytes, *, lasting: bool = True) -> None:
    """Write an owner-only file in place of what is at `path`; a reader sees the old one or the new one, whole.

    Args:
        path: The file.
        data: What it shall hold.
        lasting: Whether it has to survive a power cut; that takes the disk's time.

    Raises:
        KeyAccessError: If it cannot be written; the old file is then unharmed.
    """
    with _temporary(path, data, lasting=lasting) as temporary, _mapped(path, "write the file"):
        os.replace(temporary, path)
    if lasting:
        with _mapped(path, "write the folder"):
            _sync_folder(path.parent)


def remove_owned(path: Path) -> bool:
    """Remove a file and make that last; whether there was one.

    Raises:
        KeyAccessError: If it cannot be removed.
    """
    with _mapped(path, "remove the file"):
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        _sync_folder(path.parent)
    return True


@contextlib.contextmanager
def _temporary(path: Path, data: bytes, *, lasting: bool = True) -> Iterator[Path]:
    """A file beside `path` that holds `data`, if `lasting` on the disk itself; gone afterwards, unless renamed."""
    temporary = path.with_name(f".new-{secrets.token_hex(8)}")  # hidden, no suffix: no reader takes it for a key
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _mapped(path, "write the file"):
        descriptor = os.open(temporary, flags, FILE_MODE)
    try:
        with _mapped(path, "write the file"), os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, FILE_MODE)  # whatever the umask was
            file.write(data)
            file.flush()
            if lasting:
                os.fsync(descriptor)
        yield temporary
    finally:
        with contextlib.suppress(FileNotFoundError):  # it was renamed
            os.unlink(temporary)


def _sync_folder(path: Path) -> None:
    """Put the folder's entries on the disk; without it a power cut can undo a rename."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_any(path: Path, *, mend: str) -> bytes:
    """The bytes of a file that somebody handed over; whose it is does not matter, what it says is judged elsewhere.

    Raises:
        KeyNotFoundError: If there is no file.
        KeyFileError: If it is not a plain file.
        KeyAccessError: If it cannot be read.
    """
    with _mapped(path, "read the file"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # NONBLOCK: a pipe must not hang us
        except FileNotFoundError:
            raise KeyNotFoundError(f"there is no {path}", mend, path=path) from None
        with _plain_file(descriptor, path, mend) as file:
            return file.read(MAX_FILE_BYTES + 1)


def list_folder(path: Path) -> list[str]:
    """The names in a folder, sorted.

    Raises:
        KeyAccessError: If it cannot be read.
    """
    with _mapped(path, "read the folder"):
        return sorted(os.listdir(path))
