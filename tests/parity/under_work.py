# SPDX-License-Identifier: Apache-2.0
"""Rows that are known to differ, or to be unsteady, and are not mended yet: to be emptied, not to be added to."""

from __future__ import annotations

UNDER_WORK = frozenset(
    {
        "a model file with remote() on the scenario",
        "a model file with remote() on the scenario beside a modifier that model files lose",
        "a plug-in that the server lacks is a set-up error",
        "a plug-in with other parameters on the server is a set-up error that names both versions",
        "a process that is dying when its action begins again is kept",
        "all actions of a run share a working folder, and a change of it stays",
        "an ActionError in update in a model file",
        "local and remote children of one parallel are ticked in their order",
        "many processes at the same time",
        "several documents in a parameter file are several runs",
        "several scenarios in one file run one after the other, each with its own directory and registry",
    }
)
