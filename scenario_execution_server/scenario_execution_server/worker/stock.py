# SPDX-License-Identifier: Apache-2.0
"""Weighs what a client's folder holds between its sessions: each file and folder, and all that counts as `stored`."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

RESULTS = "results"  # in the folder of a client: what was not home, see `keeping`
FILES = "files"  # what it has put there, see `depot`
_LEAST_BYTES = 4096  # what an empty file takes on most file systems: a million of them shall not be free
_BLOCK_BYTES = 512  # of `st_blocks`, whatever the file system's own are


def weight(size_bytes: int) -> int:
    """What a file of this size counts."""
    return max(size_bytes, _LEAST_BYTES)


def weight_of(found: os.stat_result) -> int:
    """What counts of something that is there: holes do not, and a folder is not what lies in it."""
    return weight(0 if stat.S_ISDIR(found.st_mode) else min(found.st_size, found.st_blocks * _BLOCK_BYTES))


def held_bytes(base: Path) -> int:
    """What counts of all that the client's folder *base* holds; not what it may lose at any time, see `cache`."""
    total, pending = 0, [str(base / RESULTS), str(base / FILES)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                total += weight_of(entry.stat(follow_symlinks=False))
    return total
