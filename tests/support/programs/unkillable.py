# SPDX-License-Identifier: Apache-2.0
"""Preloaded by a fork server: its shepherds cannot kill a process of one name, as if it were another user's (sudo)."""

from __future__ import annotations

import signal
from collections.abc import Collection

from scenario_execution_server.worker import processes, shepherd

NAME = "se-unkillable"  # a process is protected while this is its name

_send = processes._send


def _send_to_others(pid: int, number: signal.Signals, parents: Collection[int]) -> None:
    info = processes.process_info(pid)
    if info is None or info.name != NAME:
        _send(pid, number, parents)


processes._send = _send_to_others
shepherd._SWEEP_LIMIT_S = 0.1  # the real 5 s are for a machine under load, and would only be waited out here
shepherd._RETRY_S = 0.05
