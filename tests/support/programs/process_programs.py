# SPDX-License-Identifier: Apache-2.0
"""What tests of `worker.processes` run in processes of their own: each function prints what it found."""

from __future__ import annotations

import os
import signal
import subprocess

from scenario_execution_server.worker import processes


def start_a_tree() -> set[int]:
    """A shell with a child, and a child in a session of its own."""
    script = "tail -f /dev/null & setsid tail -f /dev/null & echo $$ $!; wait"
    shell = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    return {int(word) for word in shell.stdout.readline().split()}


def end_a_tree() -> None:
    processes.adopt_orphans()
    pids = start_a_tree()
    reaped: list[int] = []
    left = processes.end_children(limit_s=10.0, on_reaped=lambda pid, code, status: reaped.append(pid))
    print(left, pids <= set(reaped), len(reaped), processes.scan_children(os.getpid()))


def end_a_tree_on_another_kernel() -> None:
    processes._kernel_lists_children = lambda: False
    end_a_tree()


def end_a_tree_with_sigchld_ignored() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    processes.adopt_orphans()
    start_a_tree()
    print(processes.end_children(limit_s=10.0), processes.scan_children(os.getpid()))


def end_all_but_one() -> None:
    processes.adopt_orphans()
    start_a_tree()
    spared = subprocess.Popen(["tail", "-f", "/dev/null"])
    left = processes.end_children(limit_s=10.0, spare=lambda pid: pid == spared.pid)
    print(left, spared.poll())
    spared.kill()


def die_with_a_parent_that_is_gone() -> None:
    processes.die_with(1_000_000_000)  # above any process id, so nobody's parent


def take_a_confusing_name() -> None:
    processes.name_process("a) R 1 (b")
    info = processes.process_info(os.getpid())
    assert info is not None
    print(info.name, info.pid == os.getpid(), info.parent == os.getppid(), info.session == os.getsid(0))
