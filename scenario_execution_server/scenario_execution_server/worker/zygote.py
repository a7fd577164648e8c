# SPDX-License-Identifier: Apache-2.0
"""The fork server: one process with the engine imported and a single thread, which forks a shepherd per session.

It is told what to import, and then receives one datagram per session over the socket it was started with: the order
as JSON, and two descriptors (the worker's end of the channel, the shepherd's end of its control socket). It ends when
that socket does. Why it is our own: ``docs/decisions/0003-own-fork-server.md``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from pathlib import Path

from scenario_execution_server.worker import entry, processes, shepherd

MESSAGE_BYTES = (
    64 * 1024
)  # no message between launcher and fork server comes near it: paths, names, a shortened traceback

_TRACEBACK_CHARS = 8000  # of a failed import: the end of it says what was wrong


def main() -> None:
    """Run the fork server on the socket whose descriptor is the first argument; ends the process."""
    code = 1
    try:
        _run(socket.socket(fileno=int(sys.argv[1])))
        code = 0
    except BaseException:  # noqa: BLE001 - the top of a process, which must end at once, and not tidy up an interpreter
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(link: socket.socket) -> None:
    processes.name_process("se-zygote")
    # It ends when its socket does, and by SIGKILL, never halfway. Ignoring SIGCHLD has the kernel reap the shepherds.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    settings = json.loads(link.recv(MESSAGE_BYTES) or b"null")
    if settings is None:  # the launcher is gone already
        return
    for which, soft_limit in settings["limits"]:
        _, hard_limit = resource.getrlimit(which)
        resource.setrlimit(which, (soft_limit, hard_limit))
    try:
        worker_main = _preload(settings["preload"], settings["worker_main"])
    except BaseException as error:  # noqa: BLE001 - modules may raise anything while imported; the launcher is told
        text = "".join(traceback.format_exception(error))
        link.send(
            json.dumps(
                {"failed": f"{type(error).__name__}: {error}"[:1000], "traceback": text[-_TRACEBACK_CHARS:]}
            ).encode()
        )
        return
    gc.collect()
    gc.freeze()  # what is here stays; a collection in a worker need not write to these pages, so they remain shared
    try:
        link.send(b'{"ready": true}')
        _serve(link, worker_main)
    except (BrokenPipeError, ConnectionResetError):
        return


def _preload(modules: list[str], worker_main: str) -> entry.WorkerMain:
    for module in modules:
        importlib.import_module(module)
    module, _, name = worker_main.partition(":")
    found: entry.WorkerMain = getattr(importlib.import_module(module), name)
    if not callable(found):
        raise TypeError(f"{worker_main} is not callable")
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        # A lock held by another thread at the moment of a fork is held for ever in the child.
        raise RuntimeError(
            f"importing {', '.join([*modules, module])} started {threads - 1} threads; a fork server must have none"
        )
    return found


def _serve(link: socket.socket, worker_main: entry.WorkerMain) -> None:
    while True:
        data, fds, _, _ = socket.recv_fds(link, MESSAGE_BYTES, 2)
        if not data:
            return
        for fd in fds:
            os.set_inheritable(fd, False)  # MSG_CMSG_CLOEXEC would do, but `recv_fds` of Python 3.11 drops its flags
        if len(fds) != 2:  # no descriptors left here; the launcher sees the control socket end
            for fd in fds:
                os.close(fd)
            continue
        channel, control = (socket.socket(fileno=fd) for fd in fds)
        fields = json.loads(data)
        order = shepherd.Order(
            session=fields["session"], folder=Path(fields["folder"]), lost_grace_s=fields["lost_grace_s"]
        )
        try:
            child = os.fork()
        except OSError as error:
            verdict = {"reason": "start_failed", "detail": f"there is no process for the session: {error}"}
            control.sendall(json.dumps({"exit": verdict}).encode() + b"\n")
        else:
            if child == 0:
                shepherd.run_shepherd(worker_main, order, link, channel, control)
        channel.close()
        control.close()
