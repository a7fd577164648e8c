# SPDX-License-Identifier: Apache-2.0
"""Preloaded by a fork server: it cannot fork, as if the user had no processes left."""

from __future__ import annotations

import os


def _no_more() -> int:
    raise BlockingIOError(11, "Resource temporarily unavailable")


os.fork = _no_more
