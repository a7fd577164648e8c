# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.test_serve_command import DEADLINE_S, SERVE, running

DUMPING = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
"""


def test_the_limit_of_descriptors_is_raised_to_what_the_process_may_have() -> None:
    code = (
        "import resource; from scenario_execution_server.own_limits import raise_descriptor_limit\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard)); raise_descriptor_limit()\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 1 << 20), hard)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE_S)


def test_a_server_that_crashes_leaves_no_core_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # where Linux puts them unless told otherwise
    with running(tmp_path, "--port", "0", "--curve", code=DUMPING + SERVE) as server:
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_CORE)
        assert soft == 1 or hard == 0  # the size at which nothing gets it; else see below
        server.process.send_signal(signal.SIGABRT)
        ended = os.waitid(os.P_PID, server.process.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None and (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    assert os.listdir() == []


def test_a_hard_limit_of_no_bytes_is_no_way_to_a_program_that_collects_dumps(tmp_path: Path) -> None:
    # For such a program 0 means all there is to dump, as tried with a core_pattern of "|program" on Linux 6.18.
    code = (
        "import ctypes, resource; from scenario_execution_server.own_limits import forbid_core_dumps\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "is_dumpable = lambda: ctypes.CDLL(None).prctl(3)\n"
        "assert is_dumpable() == 1\n"
        "forbid_core_dumps()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (1, 1) or is_dumpable() == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE_S, cwd=tmp_path)
