# SPDX-License-Identifier: Apache-2.0
"""Sizes and moments as people read them. No I/O, no clock."""

from __future__ import annotations

from datetime import datetime, timezone


def amount(size_bytes: int | float) -> str:
    """A size as people say it."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def moment(seconds: float) -> str:
    """Seconds since 1970 as a time in UTC; ``-`` if no calendar has it, as a peer or a file may say anything."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "-"
