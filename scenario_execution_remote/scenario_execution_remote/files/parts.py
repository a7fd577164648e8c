# SPDX-License-Identifier: Apache-2.0
"""Files that are not complete: locked by who makes them, so that those of killed processes can be told and removed."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from scenario_execution_remote.files.names import OWN_PREFIX

_NAME = re.compile(re.escape(OWN_PREFIX) + r"(?:([0-9a-f]{8})-)?[0-9a-f]{16}")  # with the beginning of the boot's id
_DEAD_AFTER_S = 86_400.0  # on a network drive, locks of other machines may not be seen: what moves is never that old
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def make_part(folder: int) -> tuple[int, str]:
    """Make a new file in the folder with this descriptor. Returns its own descriptor and its name.

    It counts as dead when the descriptor is closed, by whatever ends the process.

    Raises:
        OSError: as the system says.
    """
    while True:
        name = f"{OWN_PREFIX}{_boot()}-{secrets.token_hex(8)}"
        fd = os.open(name, _MAKE, 0o600, dir_fd=folder)
        with suppress(OSError):  # a file system without locks: nobody gets one, and nothing is removed
            fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, name
        os.close(fd)  # somebody looked between the two, and took it for dead


def clear_parts(folder: int) -> None:
    """Remove what killed processes have left in the folder with this descriptor; nothing below."""
    with suppress(OSError):
        for name in os.listdir(folder):
            found = _NAME.fullmatch(name)
            if found is not None:
                with suppress(OSError):  # it has gone, or is not for us to remove
                    _clear(folder, name, is_seen=found[1] == _boot())


def _clear(folder: int, name: str, *, is_seen: bool) -> None:
    fd = os.open(name, _LOOK, dir_fd=folder)
    try:
        look = os.fstat(fd)
        if stat.S_ISREG(look.st_mode) and (is_seen or time.time() - look.st_mtime > _DEAD_AFTER_S):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(name, dir_fd=folder)
    finally:
        os.close(fd)


@functools.cache
def _boot() -> str:
    """Eight digits for the kernel that keeps our locks, until it is started anew."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    return secrets.token_hex(4)
