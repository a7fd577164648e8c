# SPDX-License-Identifier: Apache-2.0
"""Contents of files by their digests: what a client has sent once is not sent again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.ledger import SoleWriter
from scenario_execution_remote.files.receiving import Receiver
from scenario_execution_remote.files.sending import DIGEST_BYTES, digest_of_open
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.cache import Cache

_INCOMING = "incoming"  # the name of what has no digest yet; it never gets it


class Contents:
    """The contents that one session may use.

    They are copied from here to where they are used, never linked: an action may write to its files, and a link to a
    read-only file is no hindrance to one that runs as root.

    Args:
        private: A folder of the session, made when it is needed.
    """

    def __init__(self, private: Path) -> None:
        self._private = private
        self._cache: Cache | None = None
        self._receiver: Receiver | None = None
        self._receivers: dict[Path, Receiver] = {}
        self._verified: set[bytes] = set()

    def use(self, cache: Cache) -> None:
        """From now on, use what is in this cache, and add to it what it has room for."""
        self._cache = cache

    def open(self, digest: bytes, go_on: Callable[[], None]) -> int | None:
        """A descriptor of the content with this digest, for reading; None if it is not here.

        What does not have the digest that its name says is removed: a disk may have damaged it, or a program.
        """
        if len(digest) != DIGEST_BYTES:
            return None
        for path in self._folders():
            with suppress(OSError):  # what cannot be read is sent again
                fd = self._open_in(path, digest, go_on)
                if fd is not None:
                    if self._cache is not None:
                        self._cache.used(fd)
                    return fd
        return None

    def begin(self, artifact: messages.Artifact) -> None:
        """A content begins to come in.

        Raises:
            BrokenTransferError: another one is not finished.
            OSError: as the system says.
        """
        cache = self._cache
        path = cache.path if cache is not None and cache.has_room_for(artifact.size_bytes) else self._private
        if path not in self._receivers:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._receivers[path] = Receiver(path, "client", SoleWriter())
        self._receiver = self._receivers[path]
        self._receiver.begin(replace(artifact, name=_INCOMING, mode=0o600, mtime_ns=time.time_ns()))

    def add(self, chunk: messages.Chunk) -> None:
        """A piece of it.

        Raises:
            BrokenTransferError: it lies outside of the file.
            OSError: as the system says.
        """
        if self._receiver is not None:
            self._receiver.add(chunk)

    def finish(self, last: messages.ArtifactEnd) -> bytes:
        """It is complete; from now on it can be used. Returns its digest, which was compared with what arrived.

        Raises:
            BrokenTransferError: it is not what was sent.
            OSError: as the system says.
        """
        if self._receiver is not None:
            self._receiver.finish(last, name=last.digest.hex())
            self._verified.add(last.digest)
        return last.digest

    def forget_private(self) -> None:
        """Remove what is here for this session alone, as it is in its place."""
        if self._private in self._receivers:
            for path in self._private.iterdir():
                path.unlink()

    def drop(self) -> None:
        """Drop what is coming in."""
        if self._receiver is not None:
            self._receiver.drop()

    def close(self) -> None:
        """Drop what is not complete."""
        for receiver in self._receivers.values():
            receiver.close()

    def _folders(self) -> list[Path]:
        return [self._private] if self._cache is None else [self._cache.path, self._private]

    def _open_in(self, path: Path, digest: bytes, go_on: Callable[[], None]) -> int | None:
        folder = Folder(path)
        try:
            fd = folder.open(digest.hex())
        finally:
            folder.close()
        if digest in self._verified:
            return fd
        try:
            is_right = digest_of_open(fd, go_on) == digest
        except BaseException:
            os.close(fd)
            raise
        if is_right:
            self._verified.add(digest)
            return fd
        os.close(fd)
        (path / digest.hex()).unlink(missing_ok=True)
        return None
