# SPDX-License-Identifier: Apache-2.0
"""The rate of a key, shared by the workers of all its sessions: a moment in a file, under a lock."""

from __future__ import annotations

import fcntl
import math
import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scenario_execution_remote.files.quota import OwnMeter
from scenario_execution_server.worker.keeping import make_private

NAME = "rate"  # in the folder of a client
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # the clock begins anew with each
_FORM = struct.Struct("36sd")


class SharedMeter:
    """See ``Meter``. On a disk that fails, the session's own.

    Args:
        folder: The client's; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._own = OwnMeter()
        self._turn = threading.Lock()  # of this process: the other lock does not keep its threads apart
        self._fd: int | None = None
        self._boot = b""
        with suppress(OSError):
            self._boot = _BOOT.read_bytes()[:36]
            make_private(folder)
            self._fd = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def advance(self, step: Callable[[float], float]) -> float:
        """See ``Meter``."""
        with self._turn:
            if self._fd is None:
                return self._own.advance(step)
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                try:
                    return self._advance(self._fd, step)
                finally:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)
            return self._own.advance(step)

    def _advance(self, fd: int, step: Callable[[float], float]) -> float:
        data = os.pread(fd, _FORM.size, 0)
        boot, until_s = _FORM.unpack(data) if len(data) == _FORM.size else (b"", 0.0)
        is_sound = boot == self._boot and math.isfinite(until_s)  # an action can write to the file
        until_s = step(until_s if is_sound else float("-inf"))
        os.pwrite(fd, _FORM.pack(self._boot, until_s), 0)
        return until_s

    def close(self) -> None:
        """Let go of the file; from now on, this session's own counts."""
        with self._turn:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
