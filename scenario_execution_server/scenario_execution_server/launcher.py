# SPDX-License-Identifier: Apache-2.0
"""Where session workers come from: the launcher interface, and the launcher for this machine."""

from __future__ import annotations

import base64
import contextlib
import enum
import math
import os
import re
import select
import socket
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from scenario_execution_server.worker import kin, processes
from scenario_execution_server.worker.channel import channel_ends
from scenario_execution_server.worker.control import Control
from scenario_execution_server.worker.folder import remove_folder
from scenario_execution_server.worker.fork_server import ForkServer
from scenario_execution_server.worker.helper import Helper
from scenario_execution_server.worker.keeping import FOLDER_PREFIX, are_home, retire


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
        is_home: Whether the client is known to have all results.
    """

    session: str
    reason: ExitReason
    code: int | None = None
    signal: int | None = None
    detail: str = ""
    output: bytes = b""
    is_home: bool = False


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
    """Starts, ends and watches session workers. All methods belong to one thread; only ``close`` blocks."""

    def start(self, session: str) -> Handle:
        """Start a session's worker and return at once; that it runs is told by the worker itself, over the channel.

        Raises:
            LauncherError: it cannot be started; nothing of it is left, and no ``Exit`` will come.
        """

    def stop(self, handle: Handle, grace_s: float) -> None:
        """End a session: the worker gets ``grace_s`` seconds to exit by itself, then it and what it started is killed.

        The worker is not told: say goodbye over the channel, or close it. Repeating is harmless, and the earliest
        deadline counts.
        """

    def fds(self) -> Iterable[int]:
        """The descriptors to poll for reading; they change with ``start``, ``stop`` and ``exits``."""

    def exits(self) -> list[Exit]:
        """The sessions that ended since the last call, each exactly once. Call when one of ``fds`` is readable, and now
        and then: what keeps a session from ending may make nothing readable."""

    def close(self) -> None:
        """End every session left, without grace, and the launcher's own processes; waits for them."""


class LauncherError(Exception):
    """A worker, or the launcher itself, could not be started."""


class PreloadError(LauncherError):
    """The fork server could not import what every worker needs.

    Attributes:
        traceback: Where it failed, as text.
    """

    def __init__(self, why: str, traceback: str) -> None:
        super().__init__(f"the fork server could not import what every worker needs: {why}")
        self.traceback = traceback


DEFAULT_WORKER_MAIN = "scenario_execution_server.worker.main:main"
PRELOAD = ("scenario_execution", "py_trees")  # the engine: 0.2 s of imports that no session waits for

# What a worker is given to shut its actions down when the front is gone: ``run_process`` waits up to 10 s for its
# process.
LOST_GRACE_S = 10.0

# What a shepherd is given beyond a session's grace: its own limit for killing (5 s), and as much for the folder. Then
# it is killed itself, and what it watched over is ended from here: an action may have stopped it, or filled a disk.
_OVERDUE_AFTER_S = 10.0

_CLOSE_LIMIT_S = 15.0  # for the sessions left at close: the shepherds' own limit for killing (5 s), thrice
_HELPER_LIMIT_S = 15.0  # its limit for killing (5 s), thrice; a disk that hangs keeps no server from ending
_LOOK_EVERY_S = 0.25  # for shepherds that are overdue, meanwhile

_SESSION = re.compile(r"[0-9a-f]{8,128}")


@dataclass(slots=True, kw_only=True)
class _Session:
    """What is known of a session that has not ended, or whose shepherd has not.

    Attributes:
        channel_end: The worker's end of the channel, kept until a shepherd has it: until then the order can be
            repeated.
        can_repeat: Whether it may be, once.
        is_told: Whether its Exit was returned, or is being prepared.
        overdue_s: When its shepherd should have ended it, on the monotonic clock.
    """

    handle: Handle
    channel_end: socket.socket
    control: Control
    can_repeat: bool = True
    is_told: bool = False
    overdue_s: float = math.inf


class LocalLauncher:
    """Starts workers on this machine, each watched over by a shepherd of its own, forked from one fork server.

    This process becomes a subreaper while a launcher exists: what a killed shepherd leaves becomes its child, and is
    killed. So that nothing else is, a child of this process that is started by others must stay in this process's
    session (no ``setsid``, no ``start_new_session``).

    Args:
        base: The folder for the sessions' folders; made, readable for its owner only, if it does not exist.
        worker_main: What a worker runs, as ``module:function``; see ``worker.entry.WorkerMain``.
        preload: Modules the fork server imports besides.
        lost_grace_s: What a worker gets to end by itself when this process is gone, in seconds.

    Raises:
        UnsupportedPlatformError: this system cannot contain a session's processes.
        PreloadError: the modules cannot be imported.
        LauncherError: the fork server does not start.
    """

    def __init__(
        self,
        *,
        base: Path,
        worker_main: str = DEFAULT_WORKER_MAIN,
        preload: Sequence[str] = PRELOAD,
        lost_grace_s: float = LOST_GRACE_S,
    ) -> None:
        processes.require_linux()
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._base = base.resolve()
        self._lost_grace_s = lost_grace_s
        self._sessions: dict[str, _Session] = {}
        self._is_closed = False
        # What takes longer than a front may wait, sweeping and removing folders, is done by one thread.
        self._helper = Helper("launcher")
        self._cleaned: deque[Exit] = deque()
        self._notice = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._fork_server = ForkServer(worker_main, preload)
        kin.adopt()
        try:
            self._start_fork_server()
        except BaseException:
            self.close()
            raise

    def _start_fork_server(self) -> None:
        try:
            self._fork_server.start()
            message = self._fork_server.await_ready()
        except OSError as error:
            raise LauncherError(f"the fork server could not be started: {error}") from error
        if "failed" in message:
            raise PreloadError(message["failed"], message["traceback"])
        if "ready" not in message:
            raise LauncherError("the fork server ended before it was ready")

    @property
    def zygote_pid(self) -> int | None:
        """The fork server's process id, while it runs."""
        return self._fork_server.pid

    def pids(self, handle: Handle) -> tuple[int | None, int | None]:
        """The process ids of a session's shepherd and worker, as far as they are known; for the log."""
        session = self._sessions.get(handle.session)
        return (None, None) if session is None else (session.control.shepherd, session.control.worker)

    def start(self, session: str) -> Handle:
        """Start a session's worker; see ``Launcher.start``. A fork server that was killed is replaced.

        Args:
            session: Lower-case hexadecimal digits, which no session here has.
        """
        if not _SESSION.fullmatch(session):
            raise ValueError("a session is named by 8 to 128 lower-case hexadecimal digits")
        if self._is_closed or session in self._sessions:
            raise LauncherError("the launcher is closed" if self._is_closed else "there is a session of this name")
        with contextlib.ExitStack() as undo:
            try:
                folder = self._make_folder(session)
                undo.callback(remove_folder, folder)
                channel, channel_end = channel_ends()
                undo.callback(channel.close)
                undo.callback(channel_end.close)
                channel.setblocking(False)
                handle = Handle(session=session, channel=channel, folder=folder)
                control = self._order(handle, channel_end)
            except OSError as error:
                raise LauncherError(f"the session's worker could not be started: {error}") from error
            undo.pop_all()
        self._sessions[session] = _Session(handle=handle, channel_end=channel_end, control=control)
        return handle

    def stop(self, handle: Handle, grace_s: float) -> None:
        """End a session; see ``Launcher.stop``."""
        session = self._sessions.get(handle.session)
        if session is not None and session.handle is handle:
            session.can_repeat = False
            session.control.read()  # which process to signal may be told there
            os.eventfd_write(self._notice, 1)  # so that `exits` looks at what was read
            session.control.stop(grace_s)
            overdue_s = time.monotonic() + max(0.0, grace_s) + _OVERDUE_AFTER_S
            session.overdue_s = min(session.overdue_s, overdue_s)

    def fds(self) -> list[int]:
        """See ``Launcher.fds``."""
        found = [fd for session in self._sessions.values() for fd in session.control.fds]
        if self._fork_server.fd is not None:
            found.append(self._fork_server.fd)
        return [self._notice, *found]

    def exits(self) -> list[Exit]:
        """See ``Launcher.exits``."""
        now_s = time.monotonic()
        for session in self._sessions.values():
            if now_s >= session.overdue_s and not session.is_told:
                session.control.kill()
        if not self._wait(0.0):  # a front asks in every turn of its loop, and nothing changes without a descriptor
            return []
        self._fork_server.read()
        for session in self._sessions.values():
            session.control.read()
            if session.control.shepherd is not None:
                session.channel_end.close()
        found = [ended for session in list(self._sessions.values()) if (ended := self._conclude(session)) is not None]
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._notice)
        while self._cleaned:
            found.append(self._cleaned.popleft())
        return found

    def close(self) -> None:
        """See ``Launcher.close``. What is still there after 15 seconds is left to its shepherd."""
        if self._is_closed:
            return
        self._is_closed = True
        for session in self._sessions.values():
            self.stop(session.handle, 0.0)
        give_up_at = time.monotonic() + _CLOSE_LIMIT_S
        while self._sessions and (left_s := give_up_at - time.monotonic()) > 0:
            self._wait(min(left_s, _LOOK_EVERY_S))
            self.exits()
        for session in list(self._sessions.values()):
            self._forget(session)
        self._fork_server.close()
        if self._helper.close(_HELPER_LIMIT_S):
            os.close(self._notice)  # else it may still be written to, and its number must be nobody else's
        kin.disown()

    def _wait(self, timeout_s: float) -> bool:
        """Whether there is something for ``exits`` to read, or comes within this time."""
        poll = select.poll()
        for fd in self.fds():
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _make_folder(self, session: str) -> Path:
        # Not the whole name: it is what a client proves its session by, and workers see each other's folders.
        prefix = f"{FOLDER_PREFIX}{session[:8]}-"
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=self._base))
        except FileNotFoundError:  # systemd-tmpfiles removes what lay idle in /tmp for ten days
            self._base.mkdir(mode=0o700, parents=True)
            return Path(tempfile.mkdtemp(prefix=prefix, dir=self._base))

    def _order(self, handle: Handle, channel_end: socket.socket) -> Control:
        """Have the fork server start a session.

        Raises:
            OSError: the order could not be handed over.
        """
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            order = {"session": handle.session, "folder": str(handle.folder), "lost_grace_s": self._lost_grace_s}
            self._fork_server.send(order, [channel_end.fileno(), theirs.fileno()])
            undo.pop_all()
        return Control(ours)

    def _conclude(self, session: _Session) -> Exit | None:
        """Look whether a session has ended, and forget it when its shepherd has too."""
        control, verdict = session.control, session.control.verdict
        # A shepherd that could not kill everything says so and stays; any other report counts when it is gone itself.
        if not control.is_over and (verdict is None or not verdict.get("left")):
            return None
        ended: Exit | None = None
        if not session.is_told:
            if verdict is None and control.shepherd is None and self._repeat(session):
                return None
            session.is_told = True
            if verdict is not None and verdict["reason"] != ExitReason.START_FAILED:
                ended = _exit(session.handle.session, verdict)
            else:
                verdict = verdict or self._missing_verdict(control)
                self._helper.do(partial(self._clean_up, session.handle, verdict))
        if control.is_over:
            self._forget(session)
        return ended

    def _repeat(self, session: _Session) -> bool:
        """Order a session again that nobody has begun, since the fork server was killed with the order in its queue."""
        if not session.can_repeat:
            return False
        session.can_repeat = False
        try:
            control = self._order(session.handle, session.channel_end)
        except OSError:
            return False
        session.control.close()
        session.control = control
        return True

    def _missing_verdict(self, control: Control) -> dict[str, Any]:
        if control.shepherd is not None:
            detail = f"the process that watched over the session ({control.shepherd}) was killed"
            return {"reason": ExitReason.LOST, "detail": detail}
        self._fork_server.read()  # its last message may have come since
        why = self._fork_server.failure or "the fork server was killed"
        return {"reason": ExitReason.START_FAILED, "detail": f"the session's worker was not started: {why}"}

    def _forget(self, session: _Session) -> None:
        session.channel_end.close()
        session.control.close()
        del self._sessions[session.handle.session]

    def _clean_up(self, handle: Handle, verdict: dict[str, Any]) -> None:
        """Do in the helper thread what a shepherd would have done, and report."""
        problems = [verdict["detail"]]
        try:
            left: list[processes.ProcessInfo] = []
            if verdict["reason"] == ExitReason.LOST:
                left = kin.end_orphans()
                if left:
                    problems.append(f"these processes could not be killed: {', '.join(str(info.pid) for info in left)}")
            verdict["is_home"] = not left and are_home(handle.folder)
            problems.append(retire(handle.folder))
        finally:
            verdict["detail"] = "; ".join(filter(None, problems))
            self._cleaned.append(_exit(handle.session, verdict))
            os.eventfd_write(self._notice, 1)


def _exit(session: str, verdict: dict[str, Any]) -> Exit:
    return Exit(
        session=session,
        reason=ExitReason(verdict["reason"]),
        code=verdict.get("code"),
        signal=verdict.get("signal"),
        detail=verdict["detail"],
        output=base64.b64decode(verdict.get("output", "")),
        is_home=verdict.get("is_home", False),
    )
