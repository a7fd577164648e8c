# SPDX-License-Identifier: Apache-2.0
"""A front that does nothing but run a session: prints the processes' ids, then each Exit, until its input ends."""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path

import session_programs

from scenario_execution_server.launcher import LocalLauncher
from scenario_execution_server.worker.channel import FrameAssembler, encode_frame
from scenario_execution_server.worker.processes import scan_children


def main() -> None:
    order = json.loads(sys.argv[1])
    launcher = LocalLauncher(
        base=Path(order["base"]),
        worker_main="session_programs:obey",
        preload=(),
        lost_grace_s=order["lost_grace_s"],
    )
    handle = launcher.start("0123456789abcdef")
    channel = handle.channel
    channel.settimeout(10.0)
    channel.sendall(encode_frame(f"plant_everything({order['marks']!r})".encode()))
    answers = FrameAssembler()
    while not answers.feed(channel.recv(65536)):
        pass
    marks = Path(order["marks"])
    while not all((marks / kind).exists() and (marks / kind).stat().st_size for kind in session_programs.KINDS):
        select.poll().poll(5)
    launcher.exits()
    shepherd, worker = launcher.pids(handle)
    pids = {"front": os.getpid(), "zygote": launcher.zygote_pid, "shepherd": shepherd, "worker": worker}
    channel.sendall(encode_frame(order["then"].encode()))
    print(json.dumps(pids), flush=True)
    while True:
        poll = select.poll()
        for fd in (0, *launcher.fds()):
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll())
        for ended in launcher.exits():
            children = scan_children(os.getpid())
            print(json.dumps({"reason": ended.reason, "detail": ended.detail, "children": children}), flush=True)
        if 0 in ready:
            break
    channel.close()
    launcher.close()


main()
