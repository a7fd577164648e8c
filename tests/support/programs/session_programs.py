# SPDX-License-Identifier: Apache-2.0
"""What the workers of the tests run: `obey` does what it is told over the channel, the others do one thing.

The folder of this file is on the fork server's PYTHONPATH; nothing here imports the engine, so that it starts in no
time.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scenario_execution_server.worker.channel import WorkerChannel
from scenario_execution_server.worker.outputs import Outputs

# What an action may start and leave behind. Each process writes its line of /proc/PID/stat into a file of this name.
KINDS = (
    "plain child",
    "setsid child",
    "pipeline head",
    "pipeline tail",
    "daemon",
    "daemon without environment",
    "stopped child",
    "adopting child",
    "respawner",
)
RESPAWN_MS = 5  # how long one generation of the respawner lives

_channel: WorkerChannel


def obey(channel: socket.socket, session: str, folder: Path) -> int:
    """Evaluate the expressions that arrive, with everything in this module at hand, and answer with JSON."""
    global _channel
    _channel = WorkerChannel(channel)
    names: dict[str, Any] = globals() | {"session": session, "folder": str(folder)}
    while (source := _channel.receive()) is not None:
        _channel.send(json.dumps(eval(source, names)).encode())
    return 0


def leave_with_three(channel: socket.socket, session: str, folder: Path) -> int:
    return 3


def raise_error(channel: socket.socket, session: str, folder: Path) -> int:
    raise ValueError("this went wrong")


def say_and_exit(channel: socket.socket, session: str, folder: Path) -> None:
    sys.exit("leaving with these words")


not_a_function = None


def hang() -> None:
    """Block in one call into C, with Python's lock held: no signal handler and no other thread gets a turn."""
    ctypes.PyDLL(None).pause()


def write(text: str, times: int = 1) -> None:
    for _ in range(times):
        sys.stdout.write(text)


def read_outputs() -> None:
    """Have somebody read the pipes, as every real worker does."""
    Outputs(lambda stream, data: None)


def signal_state() -> dict[str, int]:
    return _signal_masks(Path("/proc/self/status").read_text(), "SigBlk", "SigIgn", "SigCgt")


def child_signal_state() -> dict[str, int]:
    """As seen by something an action starts. Not by Python, which changes some dispositions itself."""
    answer = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True).stdout
    return _signal_masks(answer, "SigBlk", "SigIgn")


def _signal_masks(status: str, *names: str) -> dict[str, int]:
    masks = dict(line.split(":\t", 1) for line in status.splitlines())
    # Signals 32 and 33 are the C library's own: posix_spawn has them ignored, and nobody can change that.
    return {name: int(masks[name], 16) & ~(3 << 31) for name in names}


def plant_everything(marks: str) -> None:
    """Start one of each kind. All ignore the signals that usually end a process."""
    folder = Path(marks)
    _fork(lambda: _idle(folder / "plain child"))
    _fork(lambda: (os.setsid(), _idle(folder / "setsid child")))
    _pipeline(folder)
    _fork(lambda: _daemon(folder / "daemon"))
    _fork(lambda: _daemon_without_environment(folder / "daemon without environment"))
    _fork(lambda: _stopped(folder / "stopped child"))
    _fork(lambda: _adopting(folder / "adopting child"))
    _fork(lambda: _respawner(folder / "respawner"))


def plant_bomb(marks: str, count: int) -> None:
    """Start `count` respawners at once."""
    for _ in range(count):
        _fork(lambda: _respawner(Path(marks) / "respawner"))


def plant_zombies(count: int) -> None:
    """Leave `count` orphans that end at once."""
    for _ in range(count):
        _fork(lambda: _fork(lambda: None))


def _fork(child: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            child()
        finally:
            os._exit(0)
    return pid


def _mark(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, Path("/proc/self/stat").read_bytes())
    os.close(fd)


def _idle(path: Path) -> None:
    _mark(path)
    while True:
        signal.pause()


def _pipeline(folder: Path) -> None:
    # A shell's pipeline in a session of its own, as RunProcess starts them.
    part = 'sh -c \'trap "" HUP INT TERM; cat /proc/$$/stat >> "$1"; exec tail -f /dev/null\' sh "$'
    script = f'trap "" HUP INT TERM; {part}1" | {part}2"'
    command = ["sh", "-c", script, "sh", str(folder / "pipeline head"), str(folder / "pipeline tail")]
    subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL).returncode = 0  # nobody waits for it


def _daemon(path: Path) -> None:
    os.setsid()
    _fork(lambda: _idle(path))


def _daemon_without_environment(path: Path) -> None:
    os.setsid()
    script = 'trap "" HUP INT TERM; cat /proc/$$/stat >> "$1"; exec /usr/bin/env -i tail -f /dev/null'
    _fork(lambda: os.execve("/bin/sh", ["sh", "-c", script, "sh", str(path)], {"PATH": "/usr/bin:/bin"}))


def _stopped(path: Path) -> None:
    _mark(path)
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def _adopting(path: Path) -> None:
    """Like a session manager: its own orphans come to it, and not to the shepherd, until it dies."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    os.setsid()
    _fork(lambda: _daemon(path))
    _idle(path)


def _respawner(path: Path) -> None:
    """Each generation leaves the session and the family, lives for some milliseconds, and starts the next."""
    while True:
        os.setsid()
        _mark(path)
        select.poll().poll(RESPAWN_MS)
        if os.fork():
            os._exit(0)
        if os.fork():  # a session leader cannot call setsid again, and the child of one that is gone is an orphan
            os._exit(0)


def facts() -> dict[str, Any]:
    """What a test wants to know about the process it runs in."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "group": os.getpgid(0),
        "folder": os.getcwd(),
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
        "links": {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in ("0", "1", "2")},
        "threads": threading.active_count(),
        "main thread": threading.current_thread() is threading.main_thread(),
        "command": Path("/proc/self/cmdline").read_text(),
        "argv": sys.argv,
        "path": sys.path,
        "environment": dict(os.environ),
        "initial environment": Path("/proc/self/environ").read_text(),
        "modules": sorted(sys.modules),
        "umask": re.findall(r"Umask:\t(\d+)", Path("/proc/self/status").read_text()),
        "random": random.random(),
    }
