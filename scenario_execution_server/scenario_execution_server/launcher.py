# SPDX-License-Identifier: Apache-2.0
"""Where session workers come from: the launcher interface, and the launcher for this machine."""

from __future__ import annotations

import base64
import contextlib
import enum
import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from scenario_execution_server.worker import processes
from scenario_execution_server.worker.folder import remove_folder
from scenario_execution_server.worker.zygote import MESSAGE_BYTES


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
        """The sessions that ended since the last call, each exactly once. Call when one of ``fds`` is readable."""

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

# A cold start from a slow disk takes seconds; after a minute something hangs, and saying so beats waiting on.
_PRELOAD_LIMIT_S = 60.0

_CLOSE_LIMIT_S = 15.0  # for the sessions left at close: the shepherds' own limit for killing (5 s), thrice

_SWEEP_LIMIT_S = 5.0  # as in the shepherd, whose work is done here when it was killed

_SESSION = re.compile(r"[0-9a-f]{8,128}")

# The fork server's environment lacks these: settings of the server, some with the paths of secrets, are not for
# actions.
_OWN_ENVIRONMENT_PREFIX = "SCENARIO_EXECUTION_"

# Not ``-m``: then the current folder comes first on ``sys.path``, for actions as well, and every process that an
# action starts with ``multiprocessing`` imports the fork server again as its main module.
_ZYGOTE_PROGRAM = (
    "import sys; sys.path[:1] = [] if sys.path[0] == '' else sys.path[:1]; "
    "from scenario_execution_server.worker.zygote import main; main()"
)


class _Own:
    """The children that launchers of this process started, as opposed to the orphans it adopts. Guarded by ``lock``."""

    lock = threading.Lock()
    pids: set[int] = set()
    launcher_count = 0
    adopted_before = False


@dataclass(slots=True, kw_only=True)
class _Session:
    """What is known of a session that has not ended, or whose shepherd has not."""

    handle: Handle
    control: socket.socket
    lines: bytearray = field(default_factory=bytearray)
    shepherd: int | None = None
    shepherd_fd: int | None = None
    worker: int | None = None
    verdict: dict[str, Any] | None = None
    told: bool = False  # its Exit is on its way, or was returned
    dead: bool = False  # the shepherd is


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
        self._settings = {"worker_main": worker_main, "preload": list(preload)}
        self._lost_grace_s = lost_grace_s
        self._sessions: dict[str, _Session] = {}
        self._closed = False
        self._cleaned: deque[Exit] = deque()
        self._notice = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._helper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="launcher")
        self._zygote: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._zygote_failure = ""
        with _Own.lock:
            if _Own.launcher_count == 0:
                _Own.adopted_before = processes.adopts_orphans()
                processes.adopt_orphans()
            _Own.launcher_count += 1
        try:
            self._start_zygote()
            self._await_ready()
        except LauncherError:
            self.close()
            raise

    @property
    def zygote_pid(self) -> int | None:
        """The fork server's process id, while it runs."""
        return None if self._zygote is None else self._zygote.pid

    def pids(self, handle: Handle) -> tuple[int | None, int | None]:
        """The process ids of a session's shepherd and worker, as far as they are known; for the log."""
        session = self._sessions.get(handle.session)
        return (None, None) if session is None else (session.shepherd, session.worker)

    def start(self, session: str) -> Handle:
        """Start a session's worker; see ``Launcher.start``. A fork server that was killed is replaced.

        Args:
            session: Lower-case hexadecimal digits, which no session here has.
        """
        if not _SESSION.fullmatch(session):
            raise ValueError("a session is named by 8 to 128 lower-case hexadecimal digits")
        if self._closed or session in self._sessions:
            raise LauncherError("the launcher is closed" if self._closed else "there is a session of this name")
        with contextlib.ExitStack() as undo:
            try:
                # Not the whole name: it is what a client proves its session by, and workers see each other's folders.
                folder = Path(tempfile.mkdtemp(prefix=f"session-{session[:8]}-", dir=self._base))
                undo.callback(remove_folder, folder)
                channel, channel_end = self._socketpair(undo)
                control, control_end = self._socketpair(undo)
                with channel_end, control_end:
                    order = {"session": session, "folder": str(folder), "lost_grace_s": self._lost_grace_s}
                    self._send_order(json.dumps(order).encode(), [channel_end.fileno(), control_end.fileno()])
            except OSError as error:
                raise LauncherError(f"the session's worker could not be started: {error}") from error
            undo.pop_all()
        handle = Handle(session=session, channel=channel, folder=folder)
        self._sessions[session] = _Session(handle=handle, control=control)
        return handle

    def stop(self, handle: Handle, grace_s: float) -> None:
        """End a session; see ``Launcher.stop``."""
        session = self._sessions.get(handle.session)
        if session is None or session.handle is not handle or session.told:
            return
        # An error here means that the shepherd is gone: `exits` will say so. It always reads, so the buffer is never
        # full.
        with contextlib.suppress(OSError):
            session.control.send(json.dumps({"stop": grace_s}).encode() + b"\n")

    def fds(self) -> list[int]:
        """See ``Launcher.fds``."""
        found = [self._notice]
        if self._link is not None:
            found.append(self._link.fileno())
        for session in self._sessions.values():
            if session.control.fileno() != -1:
                found.append(session.control.fileno())
            if session.shepherd_fd is not None:
                found.append(session.shepherd_fd)
        return found

    def exits(self) -> list[Exit]:
        """See ``Launcher.exits``."""
        self._read_link()
        for session in self._sessions.values():
            # Death first: what it wrote before that is then all there.
            session.dead = session.dead or (session.shepherd_fd is not None and _is_dead(session.shepherd_fd))
            self._read_control(session)
        found: list[Exit] = []
        for session in list(self._sessions.values()):
            ended = self._conclude(session)
            if ended is not None:
                found.append(ended)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._notice)
        while self._cleaned:
            found.append(self._cleaned.popleft())
        return found

    def close(self) -> None:
        """See ``Launcher.close``. What is still there after 15 seconds is left to its shepherd."""
        if self._closed:
            return
        self._closed = True
        for session in self._sessions.values():
            self.stop(session.handle, 0.0)
        deadline = _Deadline(_CLOSE_LIMIT_S)
        while self._sessions and not deadline.over:
            poll = select.poll()
            for fd in self.fds():
                poll.register(fd, select.POLLIN)
            poll.poll(deadline.left_ms)
            self.exits()
        for session in self._sessions.values():
            _release(session)
        self._sessions.clear()
        self._end_zygote()
        self._helper.shutdown()
        os.close(self._notice)
        with _Own.lock:
            _Own.launcher_count -= 1
            if _Own.launcher_count == 0 and not _Own.adopted_before:
                processes.adopt_orphans(False)

    # --- the fork server

    def _start_zygote(self) -> None:
        self._zygote_failure = ""
        link, link_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(_OWN_ENVIRONMENT_PREFIX)
        }
        try:
            with link_end, _Own.lock:  # the lock: until its pid is known, it could be taken for an orphan
                self._zygote = subprocess.Popen(
                    [sys.executable, "-c", _ZYGOTE_PROGRAM, str(link_end.fileno())],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=2,  # what an import prints belongs into the server's log
                    pass_fds=[link_end.fileno()],
                    start_new_session=True,  # Ctrl-C on the server's terminal is for the server
                )
                _Own.pids.add(self._zygote.pid)
            link.send(json.dumps(self._settings).encode())
        except OSError as error:
            link.close()
            raise LauncherError(f"the fork server could not be started: {error}") from error
        link.setblocking(False)
        self._link = link

    def _await_ready(self) -> None:
        assert self._link is not None
        poll = select.poll()
        poll.register(self._link, select.POLLIN)
        if not poll.poll(_PRELOAD_LIMIT_S * 1000):
            raise LauncherError(f"the fork server was not ready within {_PRELOAD_LIMIT_S:.0f} s")
        message = self._read_link()
        if "failed" in message:
            raise PreloadError(message["failed"], message["traceback"])
        if "ready" not in message:
            raise LauncherError("the fork server ended before it was ready")

    def _read_link(self) -> dict[str, Any]:
        """Read what the fork server says, if anything, and notice its end."""
        message: dict[str, Any] = {}
        while self._link is not None:
            try:
                data = self._link.recv(MESSAGE_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:
                data = b""
            if not data:
                self._end_zygote()
                break
            message = json.loads(data)
            self._zygote_failure = message.get("failed", "")
        return message

    def _end_zygote(self) -> None:
        if self._link is not None:
            self._link.close()  # ends it
            self._link = None
        if self._zygote is not None:
            try:
                self._zygote.wait(timeout=1.0)  # it has nothing to do but to end; a busy machine may need a moment
            except subprocess.TimeoutExpired:
                self._zygote.kill()
                self._zygote.wait()
            with _Own.lock:
                _Own.pids.discard(self._zygote.pid)
            self._zygote = None

    def _send_order(self, order: bytes, fds: list[int]) -> None:
        """Have the fork server, or if it was killed a new one, start a session."""
        if self._link is not None:
            try:
                socket.send_fds(self._link, [order], fds)
                return
            except (BrokenPipeError, ConnectionResetError):
                self._end_zygote()
        self._start_zygote()
        assert self._link is not None
        socket.send_fds(self._link, [order], fds)  # read when it is ready; nobody waits for that here

    @staticmethod
    def _socketpair(undo: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        undo.callback(ours.close)
        return ours, theirs

    # --- the sessions

    @staticmethod
    def _read_control(session: _Session) -> None:
        while session.control.fileno() != -1:
            try:
                data, fds, _, _ = socket.recv_fds(session.control, MESSAGE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data, fds = b"", []
            session.shepherd_fd = fds[0] if fds else session.shepherd_fd
            if not data:
                session.control.close()
                return
            *lines, rest = (session.lines + data).split(b"\n")
            session.lines = bytearray(rest)
            for line in lines:
                message = json.loads(line)
                if "shepherd" in message:
                    session.shepherd = message["shepherd"]
                    with _Own.lock:
                        _Own.pids.add(message["shepherd"])
                session.worker = message.get("worker", session.worker)
                session.verdict = message.get("exit", session.verdict)

    def _conclude(self, session: _Session) -> Exit | None:
        """Look whether a session has ended, and forget it when its shepherd has too."""
        over = session.dead or (session.shepherd_fd is None and session.control.fileno() == -1)
        ended: Exit | None = None
        verdict = session.verdict
        # A shepherd that could not kill everything says so, and stays; any other report counts when the shepherd is
        # gone as well.
        if not session.told and (over or (verdict is not None and verdict.get("left"))):
            session.told = True
            if verdict is not None and verdict["reason"] != ExitReason.START_FAILED:
                ended = _exit(session.handle.session, verdict)
            else:
                if verdict is None:
                    verdict = self._missing_verdict(session)
                self._helper.submit(self._clean_up, session.handle, verdict)
        if over:
            _release(session)
            del self._sessions[session.handle.session]
        return ended

    def _missing_verdict(self, session: _Session) -> dict[str, Any]:
        if session.shepherd is not None:
            return {
                "reason": ExitReason.LOST,
                "detail": f"the process that watched over the session ({session.shepherd}) was killed",
            }
        why = self._zygote_failure or "the fork server was killed"
        return {"reason": ExitReason.START_FAILED, "detail": f"the session's worker was not started: {why}"}

    def _clean_up(self, handle: Handle, verdict: dict[str, Any]) -> None:
        """Do in the helper thread what a shepherd would have done, and report."""
        problem = ""
        try:
            if verdict["reason"] == ExitReason.LOST:
                left = processes.end_children(limit_s=_SWEEP_LIMIT_S, spare=_is_own)
                if left:
                    problem = f"; could not be killed: {', '.join(str(info.pid) for info in left)}"
            folder_problem = remove_folder(handle.folder)
            problem += f"; {folder_problem}" if folder_problem else ""
        finally:
            verdict["detail"] += problem
            self._cleaned.append(_exit(handle.session, verdict))
            os.eventfd_write(self._notice, 1)


class _Deadline:
    """A moment ``seconds`` from now."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left_ms(self) -> float:
        return max(0.0, self._at - time.monotonic()) * 1000

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._at


def _exit(session: str, verdict: dict[str, Any]) -> Exit:
    return Exit(
        session=session,
        reason=ExitReason(verdict["reason"]),
        code=verdict.get("code"),
        signal=verdict.get("signal"),
        detail=verdict["detail"],
        output=base64.b64decode(verdict.get("output", "")),
    )


def _is_dead(pidfd: int) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def _is_own(pid: int) -> bool:
    """Whether a child of this process was started by it, and not adopted.

    An orphan never has this process's session: shepherds and workers leave it, and one cannot join a session.
    """
    with _Own.lock:
        if pid in _Own.pids:
            return True
    info = processes.process_info(pid)
    return info is None or info.session == os.getsid(0)


def _release(session: _Session) -> None:
    session.control.close()
    if session.shepherd_fd is not None:
        # The fork server has its children reaped by the kernel; when it was killed, they became ours.
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, session.shepherd_fd, os.WEXITED | os.WNOHANG)
        os.close(session.shepherd_fd)
        session.shepherd_fd = None
    if session.shepherd is not None:
        with _Own.lock:
            _Own.pids.discard(session.shepherd)
