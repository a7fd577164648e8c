# SPDX-License-Identifier: Apache-2.0
"""In which words a client learns that it may not carry or leave more, and with which command it might. No I/O."""

from __future__ import annotations

import shlex

from scenario_execution_keys.limits import FileLimits
from scenario_execution_remote.protocol import messages


def mend_of(terms: messages.FileTerms, limit: str, needed: int) -> str:
    """What to do about a limit, as the end of a sentence: a command with a value that is enough.

    Args:
        terms: Of the session.
        limit: Which, as in a key file.
        needed: How much would be.
    """
    own = FileLimits.parse(terms.own_limits.split()) if terms.own_limits else FileLimits()
    return f"{terms.mend} {shlex.quote(own.raised(limit, needed).text)}"
