# SPDX-License-Identifier: Apache-2.0
"""Where session workers come from: the launcher interface, and the launcher for this machine."""

from __future__ import annotations

import enum
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class ExitReason(str, enum.Enum):
    """How a session's processes ended."""

    FINISHED = "finished"  # the worker ended by itself with status 0
    CRASHED = "crashed"  # the worker ended by itself, with another status or by a signal
    KILLED = "killed"  # the worker did not end within its grace and was killed
    LOST = "lost"  # the process that watched over the session was killed
    START_FAILED = "start_failed"  # there never was a worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """The end of one session: when this is reported, nothing it started is left, nor its folder.

    Attributes:
        session: The session, as given to ``Launcher.start``.
        reason: How it ended.
        code: The worker's exit status, if it exited.
        signal: The number of the signal that ended the worker, if one did.
        detail: One sentence for the log.
        output: What the worker last wrote to its standard output and error and nobody read, at most 64 KiB.
    """

    session: str
    reason: ExitReason
    code: int | None = None
    signal: int | None = None
    detail: str = ""
    output: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """One started session.

    Attributes:
        session: The session, as given to ``Launcher.start``.
        channel: The front's end of the channel to the worker, nonblocking; the caller closes it.
        folder: The session's own working folder.
    """

    session: str
    channel: socket.socket
    folder: Path


class Launcher(Protocol):
    """Starts, ends and watches session workers. All methods belong to one thread, and none of them blocks but ``close``."""

    def start(self, session: str) -> Handle:
        """Start a session's worker and return at once; that it runs is told by the worker itself, over the channel."""

    def stop(self, handle: Handle, grace_s: float) -> None:
        """End a session: the worker gets ``grace_s`` seconds to exit by itself, then it and everything it started is killed.

        The worker is not told: say goodbye over the channel, or close it. Repeating is harmless, and the earliest deadline
        counts.
        """

    def fds(self) -> Iterable[int]:
        """The descriptors to poll for reading; they change with ``start``, ``stop`` and ``exits``."""

    def exits(self) -> list[Exit]:
        """The sessions that ended since the last call: exactly one for each that was started. Call when one of ``fds`` is readable."""

    def close(self) -> None:
        """End every session left, without grace, and the launcher's own processes; waits for them."""
