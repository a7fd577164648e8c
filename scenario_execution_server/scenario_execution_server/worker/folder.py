# SPDX-License-Identifier: Apache-2.0
"""Removing a session's folder, whatever actions left in it."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

_DEPTH_LIMIT = 200  # each level holds one descriptor and one Python frame; both limits are usually 1000 or more
_ROUNDS_LIMIT = 10_000  # two million levels; who is still there after that makes them faster than they are removed


def remove_folder(folder: Path) -> str:
    """Remove a folder and what is in it, but nothing of another file system mounted inside.

    Returns:
        An empty string, or one sentence saying what could not be removed and why.
    """
    try:
        top = os.lstat(folder)
        if not stat.S_ISDIR(top.st_mode):
            os.unlink(folder)  # an action put something else in its place
            return ""
        os.chmod(folder, stat.S_IRWXU)  # an action may have made it read-only
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty_top(fd, top.st_dev)
        finally:
            os.close(fd)
        os.rmdir(folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"the session's folder {folder} could not be removed: {error}"
    return ""


def _empty_top(top: int, device: int) -> None:
    """Remove all that is in a folder. What lies too deep to be followed is moved up into it, and has its turn later."""
    for _ in range(_ROUNDS_LIMIT):
        if not os.listdir(top):
            return
        _empty(top, top, device, 0)
    raise OSError("something fills it faster than it is emptied")


def _empty(folder: int, top: int, device: int, depth: int) -> None:
    for entry in os.listdir(folder):
        if not stat.S_ISDIR(os.lstat(entry, dir_fd=folder).st_mode):
            os.unlink(entry, dir_fd=folder)
            continue
        os.chmod(entry, stat.S_IRWXU, dir_fd=folder)
        if depth == _DEPTH_LIMIT:
            os.rename(entry, secrets.token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
            continue
        below = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            if os.fstat(below).st_dev != device:
                raise OSError(f"another file system is mounted at {entry}")
            _empty(below, top, device, depth + 1)
        finally:
            os.close(below)
        os.rmdir(entry, dir_fd=folder)
