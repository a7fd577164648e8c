# SPDX-License-Identifier: Apache-2.0
"""Which children of the front's process it started itself, and which came to it as orphans of a killed shepherd."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager

from scenario_execution_server.worker import processes

_SWEEP_LIMIT_S = 5.0  # as in the shepherd, whose work `end_orphans` does when it was killed


class _Known:
    """The fork servers and shepherds of all launchers in this process."""

    lock = threading.RLock()  # `add` is called within `starting`
    pids: set[int] = set()
    adopters_count = 0
    adopted_before = False


def adopt() -> None:
    """Have orphans come to this process, until ``disown`` was called as often."""
    with _Known.lock:
        if _Known.adopters_count == 0:
            _Known.adopted_before = processes.adopts_orphans()
            processes.adopt_orphans()
        _Known.adopters_count += 1


def disown() -> None:
    """Undo one ``adopt``."""
    with _Known.lock:
        _Known.adopters_count -= 1
        if _Known.adopters_count == 0:
            processes.adopt_orphans(_Known.adopted_before)


def starting() -> AbstractContextManager[object]:
    """Hold this from before a child is started until after ``add``: so it is not taken for an orphan in between."""
    return _Known.lock


def add(pid: int) -> None:
    """Remember a fork server or a shepherd."""
    with _Known.lock:
        _Known.pids.add(pid)


def remove(pid: int) -> None:
    """Forget one that is dead and reaped."""
    with _Known.lock:
        _Known.pids.discard(pid)


def end_orphans() -> list[processes.ProcessInfo]:
    """Kill and reap every child that this process did not start, and all below; returns those that would not die."""
    return processes.end_children(limit_s=_SWEEP_LIMIT_S, spare=_is_ours)


def _is_ours(pid: int) -> bool:
    # An orphan never has this process's session: shepherds and workers leave it, and one cannot join a session. So what
    # others start here as children in the ordinary way is safe too.
    with _Known.lock:
        if pid in _Known.pids:
            return True
    info = processes.process_info(pid)
    return info is None or info.session == os.getsid(0)
