# SPDX-License-Identifier: Apache-2.0
"""What Linux offers for containing processes: adopting orphans, dying with a parent, ending a whole tree."""

from __future__ import annotations

import ctypes
import functools
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

# Numbers of <linux/prctl.h>; Python has no names for them.
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37

# Looking for new descendants stops after this many rounds, and killing begins: freezing is there to make one round of
# killing enough in ordinary cases; a tree that grows faster than it can be frozen is ended by the rounds of
# `end_children`.
_FREEZE_ROUNDS = 5

# After a round of SIGKILL the next one starts when the first victim is dead, or after this: a process that was forked
# in between is found then.
_ROUND_S = 0.02

_WATCHED_AT_ONCE = 64  # descriptors spent on waiting, so that a fork bomb cannot exhaust ours (1024 is a common limit)


class UnsupportedPlatformError(RuntimeError):
    """This system cannot contain a session's processes."""


def require_linux() -> None:
    """Make sure that this system has what the other functions here use.

    Raises:
        UnsupportedPlatformError: it is not Linux, older than Linux 5.4, or has no /proc.
    """
    if not sys.platform.startswith("linux"):
        raise UnsupportedPlatformError(
            f"a server of remote actions needs Linux to contain what they start, not {sys.platform}"
        )
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        raise UnsupportedPlatformError(
            f"a server of remote actions needs pidfd_open of Linux 5.4 or later: {error}"
        ) from error
    if not Path("/proc/self/stat").exists():
        raise UnsupportedPlatformError("a server of remote actions needs /proc to be mounted, to find what they start")


def _prctl(option: int, argument: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def adopt_orphans(adopt: bool = True) -> None:
    """Have descendants whose parent dies become children of this process (a "subreaper"), or no longer."""
    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(adopt))


def adopts_orphans() -> bool:
    """Whether this process is a subreaper."""
    answer = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    return bool(answer.value)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, also if that has happened already.

    Args:
        parent: The process id of the parent, as it knows itself.
    """
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent:  # it died before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def name_process(name: str) -> None:
    """Show a name in process listings; the kernel keeps its first 15 bytes."""
    _prctl(_PR_SET_NAME, name.encode())


def reset_signals() -> None:
    """Give this process the signal dispositions of a fresh Python, whatever it inherited, and unblock everything.

    A server started in the background of a shell script ignores SIGINT, and what a program started with that ignores
    it too: ``ros2 bag record`` could then not be stopped. SIGPIPE and SIGXFSZ stay ignored, as in every Python;
    ``subprocess`` restores them for what it starts.
    """
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        elif number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        else:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def close_fds_except(keep: Collection[int]) -> None:
    """Close every descriptor of this process but these."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:  # the one that listed the folder
                continue


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessInfo:
    """One line of /proc/PID/stat.

    Attributes:
        pid: The process.
        name: Its name, at most 15 bytes.
        state: One letter, e.g. ``R`` running, ``D`` in the kernel and not to be interrupted, ``Z`` dead and not reaped.
        parent: Its parent's process id.
        session: Its session's process id.
        started: When it started, in clock ticks since boot: with the pid, what tells it from a later process of the
            same pid.
    """

    pid: int
    name: str
    state: str
    parent: int
    session: int
    started: int


def process_info(pid: int) -> ProcessInfo | None:
    """Look a process up; None when there is no such process."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    head, _, tail = line.rpartition(")")  # the name may itself contain spaces and parentheses
    fields = tail.split()
    return ProcessInfo(
        pid=pid,
        name=head.partition("(")[2],
        state=fields[0],
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
    )


def all_processes() -> list[ProcessInfo]:
    """Every process that can be seen."""
    found = (process_info(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return [info for info in found if info is not None]


def scan_children(pid: int) -> list[int]:
    """The children of a process, by looking at every process there is: milliseconds, but none is missed."""
    return [info.pid for info in all_processes() if info.parent == pid]


def children(pid: int) -> list[int]:
    """The children of a process, by what the kernel keeps for each of its threads (a tenth of a millisecond).

    A child may be missing while another one is being reaped, or while a thread ends; so an empty list proves nothing.
    """
    if not _kernel_lists_children():
        return scan_children(pid)
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            try:
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
            except (FileNotFoundError, ProcessLookupError):  # the thread is gone
                continue
    except (FileNotFoundError, ProcessLookupError):  # the process is gone
        pass
    return found


@functools.cache
def _kernel_lists_children() -> bool:
    pid = os.getpid()
    return Path(f"/proc/{pid}/task/{pid}/children").exists()  # a matter of CONFIG_PROC_CHILDREN


def _send(pid: int, number: signal.Signals, parents: Collection[int]) -> None:
    """Signal a process, but only while its parent is one of these: a pid may have become somebody else's meanwhile."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # From here the descriptor stands for one process. If that one is dead, the line read may be another's, but
        # then nothing is sent.
        info = process_info(pid)
        if info is not None and info.parent in parents:
            signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        pass  # dead already; or of another user (sudo), which the caller finds still there at the end
    finally:
        os.close(fd)


def _freeze(roots: Collection[int]) -> list[int]:
    """Stop these processes and all their descendants, and return those found, ancestors first."""
    found: dict[int, None] = {}
    parents = {os.getpid()}
    fresh = list(roots)
    for _ in range(_FREEZE_ROUNDS):
        while fresh:
            pid = fresh.pop()
            if pid not in found:
                found[pid] = None
                _send(pid, signal.SIGSTOP, parents)
                parents.add(pid)
                fresh += children(pid)
        fresh = [child for pid in found for child in children(pid) if child not in found]
        if not fresh:
            break
    return list(found)


def _wait_for_any(pids: Collection[int], timeout_s: float) -> None:
    """Wait until one of these processes is dead."""
    poll = select.poll()
    fds: list[int] = []
    try:
        for pid in list(pids)[:_WATCHED_AT_ONCE]:
            try:
                fds.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return
            poll.register(fds[-1], select.POLLIN)
        poll.poll(timeout_s * 1000)
    finally:
        for fd in fds:
            os.close(fd)


def _none_left(spare: Callable[[int], bool] | None) -> bool:
    if spare is None:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # the kernel's own word that this process has no child
            return True
        return False
    return all(spare(pid) for pid in scan_children(os.getpid()))


def _unseen(pid: int) -> ProcessInfo:
    """What stands for a child of another user where /proc hides those (hidepid)."""
    return ProcessInfo(pid=pid, name="?", state="?", parent=os.getpid(), session=0, started=0)


def end_children(
    *,
    limit_s: float,
    spare: Callable[[int], bool] | None = None,
    on_reaped: Callable[[int, int, int], None] | None = None,
) -> list[ProcessInfo]:
    """Kill the children of this process and everything below them, and reap them, until none is left.

    The process must be a subreaper: then whatever a victim leaves behind becomes a child too, however it detached
    itself, and an empty list of children is proof. Each round first stops the whole tree, so that it does not grow
    while it is killed.

    Args:
        limit_s: Give up after this many seconds.
        spare: Which children to leave alone; None: none of them.
        on_reaped: Called with pid, ``si_code`` and ``si_status`` (see ``os.waitid``) of each child reaped.

    Returns:
        The children that could not be ended, e.g. because they run as another user or hang in the kernel; usually none.
    """
    give_up_at = time.monotonic() + limit_s
    while True:
        victims = [pid for pid in children(os.getpid()) if spare is None or not spare(pid)]
        alive = []
        for pid in victims:
            try:
                result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
            except ChildProcessError:  # reaped by the kernel, for a process that was started with SIGCHLD ignored
                continue
            if result is None:
                alive.append(pid)
            elif on_reaped is not None:
                on_reaped(pid, result.si_code, result.si_status)
        if not victims and _none_left(spare):
            return []
        if alive and time.monotonic() >= give_up_at:
            return [process_info(pid) or _unseen(pid) for pid in alive]
        if alive:
            tree = _freeze(alive)
            parents = {os.getpid(), *tree}
            for pid in tree:
                _send(pid, signal.SIGKILL, parents)
            _wait_for_any(alive, _ROUND_S)
