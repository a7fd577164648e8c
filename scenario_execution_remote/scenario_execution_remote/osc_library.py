# SPDX-License-Identifier: Apache-2.0
"""Makes ``import osc.remote`` work."""

from __future__ import annotations


def get_remote_library() -> tuple[str, str]:
    """The package and the file below its ``lib_osc`` that declare the modifier, as the engine wants them."""
    return "scenario_execution_remote", "remote.osc"
