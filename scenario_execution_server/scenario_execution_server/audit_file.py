# SPDX-License-Identifier: Apache-2.0
"""The file of the audit log: lines appended by a thread of its own, for its owner's eyes, rotated by size.

The server never waits for it and never ends because of it. What could not be written is counted, said once, and said
again when it works.
"""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_state_path

from scenario_execution_server.worker.keeping import make_private

FILE_LIMIT_BYTES = 10 * 1024 * 1024  # about 50,000 entries; a busy laboratory's month
FILES_KEPT = 5  # besides the one that is written: 60 MB at most, whatever anybody does
_QUEUE_LINES = 10_000  # about 2 MB; a disk that is further behind than this has stopped
_AGAIN_AFTER_S = 5.0  # a full disk is asked again that often
_CLOSE_WITHIN_S = 1.0  # then the rest stays unwritten: a disk that hangs must not hold up the end


def default_audit_path() -> Path:
    """Where the audit log is if nobody says otherwise."""
    return user_state_path("scenario_execution") / "audit.jsonl"


def rotated(path: Path) -> list[Path]:
    """The files of the log at *path*, the oldest first, whether they exist or not."""
    return [path.with_name(f"{path.name}.{number}") for number in range(FILES_KEPT, 0, -1)] + [path]


class AuditFile:
    """Appends lines. `write` and the attributes are for one thread, everything else is the writer's own.

    Args:
        path: The file.
        tell: Called with a sentence when writing begins to fail, and when it works again.
        limit_bytes: The size at which a new file is begun.

    Attributes:
        path: The file.
        trouble: Why nothing can be written now; empty if it can.
        lost_count: Lines that were lost since the start.
    """

    def __init__(self, path: Path, tell: Callable[[str], None], *, limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        self.path = path
        self.trouble = ""
        self.lost_count = 0
        self._tell = tell
        self._limit_bytes = limit_bytes
        self._lines: collections.deque[str] = collections.deque()
        self._changed = threading.Condition()
        self._is_closing = False
        self._again_at_s = 0.0
        self._fd: int | None = None
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue a line, without its end; never waits."""
        with self._changed:
            if len(self._lines) >= _QUEUE_LINES:
                self.lost_count += 1
                return
            self._lines.append(line)
            self._changed.notify_all()

    def close(self) -> None:
        """Write what is queued, for at most a second, and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_WITHIN_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._is_closing)
                lines, self._lines = list(self._lines), collections.deque()
            if not lines:
                break
            if self.trouble and time.monotonic() < self._again_at_s:
                self.lost_count += len(lines)
                continue
            self._attempt(lines)
        self._close_file()

    def _attempt(self, lines: list[str]) -> None:
        written_count = 0
        try:
            for line in lines:  # one by one, so that a rotation comes between two and no file is much too large
                self._append(line)
                written_count += 1
        except OSError as error:
            self.lost_count += len(lines) - written_count
            self._again_at_s = time.monotonic() + _AGAIN_AFTER_S
            self._close_file()
            if not self.trouble:
                self.trouble = error.strerror or str(error)
                self._tell(f"the audit log {self.path} cannot be written: {self.trouble}. The server goes on without")
            return
        if self.trouble:
            self.trouble = ""
            self._tell(f"the audit log {self.path} is written again; {self.lost_count} entries were lost")

    def _append(self, line: str) -> None:
        fd = self._open()
        data = f"{line}\n".encode()
        written = os.write(fd, data)
        if written < len(data):  # the disk is full: what follows must not be read as the rest of this line
            with contextlib.suppress(OSError):
                os.write(fd, b"\n")
            raise OSError(0, "the disk took half an entry")

    def _open(self) -> int:
        """The descriptor to write to: of a file that is still at the path and not too large."""
        if self._fd is not None and self._is_current(self._fd):
            return self._fd
        self._close_file()
        make_private(self.path.parent)  # with a generous umask, who may write above could put another log in its place
        fd = os.open(
            self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600
        )
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):
                if status.st_uid != os.geteuid():
                    raise PermissionError(1, f"it belongs to the user {status.st_uid}")
                if status.st_mode & 0o077:
                    os.fchmod(fd, 0o600)  # it names who does what: its owner's business alone
                if status.st_size >= self._limit_bytes:
                    self._rotate(fd)
                    os.close(fd)
                    return self._open()
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return fd

    def _is_current(self, fd: int) -> bool:
        """Whether what we write to is the file at the path (another server may have rotated it) and has room."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return True
        try:
            at_path = os.lstat(self.path)
        except OSError:
            return False
        return (at_path.st_dev, at_path.st_ino) == (status.st_dev, status.st_ino) and status.st_size < self._limit_bytes

    def _rotate(self, fd: int) -> None:
        """Move every file one further, unless another server with the same log was quicker."""
        fcntl.flock(fd, fcntl.LOCK_EX)
        ours, at_path = os.fstat(fd), os.lstat(self.path)
        if (ours.st_dev, ours.st_ino) != (at_path.st_dev, at_path.st_ino):
            return
        files = rotated(self.path)
        for older, newer in zip(files, files[1:], strict=False):
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
