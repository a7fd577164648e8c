# SPDX-License-Identifier: Apache-2.0
"""The first and the last moments of a worker: from the fork to the call of its main, and from there to the exit."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from scenario_execution_server.worker import outputs, processes

WorkerMain = Callable[[socket.socket, str, Path], "int | None"]
"""Runs a session, given the channel, the session and its folder; returns the exit status, None means 0."""

_FAILURE = 1  # the exit status of a Python program that ended with an exception
_IOLBF = 1  # <stdio.h>: line buffering


def run_worker(
    main: WorkerMain,
    *,
    shepherd: int,
    channel: socket.socket,
    session: str,
    folder: Path,
    pipes: outputs.OutputPipes,
    stdout: int,
    stderr: int,
) -> NoReturn:
    """Turn this process, just forked with all signals blocked, into the session's worker; ends the process.

    What a worker inherits from the server on purpose: the environment, the umask (files an action leaves are the
    operator's to share or not; the folder around them is 0700 anyway), and all resource limits (whoever raised the
    limit for core dumps wants one).

    Args:
        main: What to run, in the main thread.
        shepherd: The process id of the parent.
        channel: The worker's end of the channel.
        session: The session.
        folder: The session's folder; becomes the working directory.
        pipes: Read ends of the output pipes; stay open in the worker.
        stdout: Write end of the pipe for standard output.
        stderr: Write end of the pipe for standard error.
    """
    code = _FAILURE
    try:
        # Before anything else: a shepherd killed from here on takes this process with it.
        processes.die_with(shepherd)
        os.setsid()
        signal.set_wakeup_fd(-1)
        processes.reset_signals()
        null = os.open(os.devnull, os.O_RDONLY)
        for fd, standard in ((null, 0), (stdout, 1), (stderr, 2)):
            os.dup2(fd, standard)
        processes.close_fds_except({0, 1, 2, channel.fileno(), pipes.stdout, pipes.stderr})
        os.chdir(folder)
        _tidy_interpreter(folder)
        outputs.adopt(pipes)
        code = _call(main, channel, session, folder)
    except BaseException:  # noqa: BLE001 - nothing may return into the shepherd's code above
        traceback.print_exc()
    finally:
        try:
            _flush()
        finally:
            os._exit(code & 0xFF)  # what the kernel keeps of it; more would be an error here, of all places


def _tidy_interpreter(folder: Path) -> None:
    processes.name_process("se-worker")
    sys.argv = ["scenario_execution_server"]  # rclpy and others parse it; ours would mean nothing to them
    os.environ["PWD"] = str(folder)  # shells and some programs believe it
    # New ones: the old remember what kind of file they wrote to. Lines at once, as on a terminal, where a scenario
    # is usually run; and text that cannot be encoded must not fail a print.
    sys.stdout = sys.__stdout__ = _text_stream(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text_stream(2)  # type: ignore[misc]
    # The same for printf in C libraries, which would otherwise keep up to 4 KiB back, and lose it at the end.
    libc = ctypes.CDLL(None)
    with contextlib.suppress(ValueError):  # a C library whose `stdout` is not a symbol
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, _IOLBF, 0)


def _text_stream(fd: int) -> io.TextIOWrapper:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _call(main: WorkerMain, channel: socket.socket, session: str, folder: Path) -> int:
    try:
        result = main(channel, session, folder)
        return result if isinstance(result, int) else 0
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
    except BaseException:  # noqa: BLE001 - the end of the worker, where everything that went wrong is written down
        traceback.print_exc()
    return _FAILURE


def _flush() -> None:
    """Bring out what is still buffered; without a reader in this process, only as much as the pipes take."""
    if not outputs.flush_outputs():
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                os.set_blocking(stream.fileno(), False)
                stream.flush()
