# SPDX-License-Identifier: Apache-2.0
"""What the kernel grants to the server's own process and not to its workers: many descriptors, and no core dump.

The fork server gives workers back what the server was started with, see ``worker.fork_server``.
"""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress

# Half-open peers take one each for 3 s; more than a million are a network's whole capacity.
_DESCRIPTORS_WANTED = 1 << 20
# Too small for a file, as 0 is; and the one size at which Linux hands a dump to no program that collects them either.
_NO_CORE_BYTES = 1
_PR_SET_DUMPABLE = 4  # prctl(2)


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may have; not its workers, because some programs use select()."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def forbid_core_dumps() -> None:
    """Leave no core dump of this process, in whose memory the server's secret key is; not of its workers, whose dumps
    are of use to who writes actions.

    The process stays one that its user may look into: who can do that can read the key's file as well.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (_NO_CORE_BYTES, hard or _NO_CORE_BYTES))
    except ValueError:  # it was started with a hard limit of 0, and without the privilege to raise that
        _forbid_dumps_of_any_size()


def _forbid_dumps_of_any_size() -> None:
    """By the flag of the process, which also keeps its own user from looking into it, as into /proc/PID/fd."""
    with suppress(OSError, AttributeError):  # no Linux
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)
