# SPDX-License-Identifier: Apache-2.0
"""Preloaded by a fork server: it can fork shepherds, but they cannot fork workers."""

from __future__ import annotations

import os

_zygote = os.getpid()
_fork = os.fork


def _fork_from_zygote_only() -> int:
    if os.getpid() != _zygote:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return _fork()


os.fork = _fork_from_zygote_only
