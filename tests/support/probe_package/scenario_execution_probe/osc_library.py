# SPDX-License-Identifier: Apache-2.0
"""Where the engine finds the declarations of this package's actions."""

from __future__ import annotations


def get_probe_library() -> tuple[str, str]:
    """Package and file name, as the engine asks for them."""
    return "scenario_execution_probe", "probe.osc"


def get_parity_library() -> tuple[str, str]:
    """The same for the actions that the parity suite is made of."""
    return "scenario_execution_probe", "parity.osc"
