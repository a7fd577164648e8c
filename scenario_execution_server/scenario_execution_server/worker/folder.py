# SPDX-License-Identifier: Apache-2.0
"""Removing a session's folder, whatever actions left in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_DEPTH_LIMIT = 200  # each level holds one descriptor and one Python frame; both limits are usually 1000 or more


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
        device = top.st_dev
        _remove(folder.name, os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY), device, 0)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"the session's folder {folder} could not be removed: {error}"
    return ""


def _remove(name: str, parent_fd: int, device: int, depth: int) -> None:
    """Remove one folder by name; owns ``parent_fd`` at depth 0 only."""
    try:
        if depth > _DEPTH_LIMIT:
            raise OSError(f"more than {_DEPTH_LIMIT} folders inside each other at {name}")
        os.chmod(name, stat.S_IRWXU, dir_fd=parent_fd)  # an action may have made it read-only
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent_fd)
        try:
            if os.fstat(fd).st_dev != device:
                raise OSError(f"another file system is mounted at {name}")
            for entry in os.listdir(fd):
                if stat.S_ISDIR(os.lstat(entry, dir_fd=fd).st_mode):
                    _remove(entry, fd, device, depth + 1)
                else:
                    os.unlink(entry, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent_fd)
    finally:
        if depth == 0:
            os.close(parent_fd)
