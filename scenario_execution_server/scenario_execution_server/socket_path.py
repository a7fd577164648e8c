# SPDX-License-Identifier: Apache-2.0
"""The path of a unix socket: ours alone while we hold it, never taken from a live server, never blocked by a dead one.

libzmq removes whatever is at the path before it binds, sets the mode by umask, and leaves the file behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from scenario_execution_server.errors import ListenError

PATH_LIMIT_BYTES = 107  # sun_path has 108 bytes on Linux, the last one is zero
_LOCK_MODE = 0o600
_OTHER = "Stop that one, or choose another --socket"
_REMOVE = "Choose another --socket, or remove what is there"


class SocketPath:
    """A claim on one path: made by `claim`, used once by `binding`, given up by `release`.

    Attributes:
        path: The absolute path of the socket.
        mode: Its permission bits.
    """

    def __init__(self, path: Path, mode: int, lock: int) -> None:
        self.path = path
        self.mode = mode
        self._lock: int | None = lock
        self._ours: tuple[int, int] | None = None

    @classmethod
    def claim(cls, path: Path, mode: int) -> SocketPath:
        """Take the path for this process, and clear away the socket of a server that is dead.

        Raises:
            ListenError: If the path cannot hold a socket, another server holds it, or something else is there.
        """
        path = Path(os.path.abspath(path))
        _check_path(path)
        _check_folder(path)
        claimed = cls(path, mode, _lock(path))
        try:
            _clear(path)
        except ListenError:
            claimed.release()
            raise
        return claimed

    @contextlib.contextmanager
    def binding(self) -> Iterator[str]:
        """Within it, bind the socket to the yielded endpoint; it has its mode before anybody can connect.

        Raises:
            ListenError: If the file has another mode or kind than it should.
        """
        old = os.umask(~self.mode & 0o777)
        try:
            yield f"ipc://{self.path}"
        finally:
            os.umask(old)
        status = os.lstat(self.path)
        if not stat.S_ISSOCK(status.st_mode) or stat.S_IMODE(status.st_mode) != self.mode:
            raise _error(
                self.path,
                f"has mode {stat.S_IMODE(status.st_mode):04o} instead of {self.mode:04o}",
                "Choose a folder on a file system that keeps permissions",
            )
        self._ours = (status.st_dev, status.st_ino)

    def release(self) -> None:
        """Remove the socket if it is still the one that was bound, and give the path up. Repeating is harmless."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):  # gone, or the folder is: nothing to remove
            status = os.lstat(self.path)
            if (status.st_dev, status.st_ino) == self._ours:
                os.unlink(self.path)
        with contextlib.suppress(OSError):
            os.unlink(_lock_path(self.path))  # while it is still locked: whoever waits for it looks again
        os.close(self._lock)
        self._lock = None


def _error(path: Path, what: str, mend: str) -> ListenError:
    return ListenError(f"the unix socket {path} {what}", mend, endpoint=str(path))


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _check_path(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > PATH_LIMIT_BYTES:
        raise _error(
            path, f"has a path of {length} bytes, and the system allows {PATH_LIMIT_BYTES}", "Choose a shorter --socket"
        )
    if "\0" in str(path) or path.name == "":
        raise _error(path, "has no name", "Choose another --socket")


def _check_folder(path: Path) -> None:
    folder = path.parent
    try:
        status = os.stat(folder)
    except OSError as error:
        raise _error(
            path, f"has no folder to be in: {error.strerror}", f"Run: mkdir -p {shlex.quote(str(folder))}"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise _error(path, f"cannot be in {folder}, which is no folder", "Choose another --socket")
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        # Whoever may rename in the folder can put a socket of their own in the place of ours.
        raise _error(
            path,
            "would be in a folder in which everybody may replace it",
            f"Choose another folder, or run: chmod o-w {shlex.quote(str(folder))}",
        )


def _lock(path: Path) -> int:
    """The descriptor of the locked lock file; the kernel drops the lock when this process ends, however it ends."""
    lock_path = _lock_path(path)
    while True:
        try:
            descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _LOCK_MODE)
        except OSError as error:
            raise _error(
                path,
                f"cannot be locked with {lock_path.name}: {error.strerror}",
                "Choose a folder this user may write to",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise _error(path, "is held by another server that is running", _OTHER) from None
            raise _error(path, f"cannot be locked: {error.strerror}", "Choose a local folder for --socket") from error
        # The holder before us removes the file before it lets go; then what we locked has no name any more.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(lock_path)):
                return descriptor
        os.close(descriptor)


def _clear(path: Path) -> None:
    """Remove a socket on which nobody listens; anything else stays and is refused."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _error(path, f"cannot be looked at: {error.strerror}", "Choose another --socket") from error
    if not stat.S_ISSOCK(status.st_mode):
        raise _error(path, "would replace something that is no socket", _REMOVE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        result = probe.connect_ex(str(path))
    if result in (0, errno.EAGAIN, errno.EINPROGRESS):  # EAGAIN: somebody listens, and has much to do
        raise _error(path, "is served by another program", _OTHER)
    if result == errno.ENOENT:
        return
    if result != errno.ECONNREFUSED:
        raise _error(path, f"cannot be probed: {os.strerror(result)}", _REMOVE)
    try:
        path.unlink()
    except OSError as error:
        raise _error(path, f"is left over and cannot be removed: {error.strerror}", _REMOVE) from error
