# SPDX-License-Identifier: Apache-2.0
"""The folder in which servers of one user keep files: of live sessions, and what belongs to each client.

::

    FILES_DIR/
      server-abc/session-1a2b3c4d-xyz/   a session that runs; locked by its server, and by its shepherd
      clients/OWNER/results/             what was not home when its session was over, see `worker.keeping`
      clients/OWNER/contents/            what the client has sent, for its next sessions, see `worker.cache`
      clients/OWNER/files/               what the client has put there, see `worker.depot`

A server that was killed leaves its folder. Whoever finds it unlocked puts aside what is in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_state_path

from scenario_execution_server.errors import FilesDirError
from scenario_execution_server.worker.helper import Helper
from scenario_execution_server.worker.keeping import ABOUT, FOLDER_PREFIX, hold, make_private, retire
from scenario_execution_server.worker.stock import RESULTS

_LIVE_PREFIX = "server-"
_CLIENTS = "clients"
_CLOSE_LIMIT_S = 10.0  # for a large folder to be removed; a disk that hangs keeps no server from ending


def default_files_dir() -> Path:
    """Where files are kept if nobody says otherwise."""
    return user_state_path("scenario_execution") / "files"


class Storage:
    """One server's part of it, and what all of them share.

    Args:
        base: The folder; made if it does not exist.

    Attributes:
        live: Where the folders of this server's sessions are.

    Raises:
        FilesDirError: the folder cannot be had, or others can look into it.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        try:
            make_private(base)
            found = os.stat(base)
        except OSError as error:
            raise FilesDirError(f"the folder {base} cannot be made: {error.strerror}", _CHOOSE) from error
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise FilesDirError(f"{base} is not a folder of this user", _CHOOSE)
        if found.st_mode & 0o077:
            raise FilesDirError(f"others can look into {base}, where clients' files are", f"Run: chmod 700 {base}")
        try:
            with self._locked():
                self.live = Path(tempfile.mkdtemp(prefix=_LIVE_PREFIX, dir=base))
                self._lock = hold(self.live)
        except OSError as error:
            raise FilesDirError(f"the folder {base} cannot be used: {error.strerror}", _CHOOSE) from error

    def folder_of(self, owner: str) -> Path:
        """What belongs to a client; it need not exist."""
        return self._base / _CLIENTS / owner

    def results(self) -> Iterator[Path]:
        """The results of sessions that are over, of all clients."""
        for about in self._base.glob(f"{_CLIENTS}/*/{RESULTS}/[!.]*/{ABOUT}"):
            yield about.parent

    def rescue(self) -> list[str]:
        """Deal with what servers have left that were killed. Returns a sentence for each trouble with that."""
        problems: list[str] = []
        with self._locked():
            for server in self._base.glob(f"{_LIVE_PREFIX}*"):
                fd = hold(server)
                if fd is not None:  # else it runs
                    problems += _retire_all(server)
                    os.close(fd)
        return problems

    def close(self) -> list[str]:
        """Give this server's own folder up. Returns a sentence for each trouble with that.

        Waits ten seconds at most: what is left then is for the next server, as if this one had been killed.
        """
        problems: list[str] = []
        helper = Helper("storage")
        helper.do(lambda: problems.extend(self._give_up()))
        if helper.close(_CLOSE_LIMIT_S):
            return problems
        return [f"{self.live} could not be given up within {_CLOSE_LIMIT_S:g} s; the next server does that"]

    def _give_up(self) -> list[str]:
        try:
            with self._locked():
                problems = _retire_all(self.live)
                if self._lock is not None:
                    os.close(self._lock)
        except OSError as error:
            return [f"{self.live} could not be given up: {error}"]
        return problems

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """While nobody makes or removes folders of servers."""
        fd = os.open(self._base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


_CHOOSE = "Choose another one with --files-dir DIR"


def _retire_all(server: Path) -> list[str]:
    """Retire the sessions in a server's folder whose shepherds are gone, and the folder when it is empty."""
    problems = []
    for session in server.glob(f"{FOLDER_PREFIX}*"):
        fd = hold(session)
        if fd is not None:  # else its shepherd still ends it
            problems.append(retire(session))
            os.close(fd)
    with contextlib.suppress(OSError):
        os.rmdir(server)
    return [problem for problem in problems if problem]


def size_of(folder: Path) -> int:
    """What the files below take on the disk, in bytes."""
    total, pending = 0, [str(folder)]
    while pending:  # not os.walk, which before Python 3.12 ends at a thousand levels with another error
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
