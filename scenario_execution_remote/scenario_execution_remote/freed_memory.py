# SPDX-License-Identifier: Apache-2.0
"""Has the C library keep the memory that large messages free, instead of giving it back and asking for it again."""

from __future__ import annotations

_SIZE_BYTES = 4 * 1024 * 1024  # twice as much is kept at most: several sessions have as much on their way


def keep_freed_memory() -> None:
    """Keep a few megabytes from now on, in this process; repeating costs microseconds.

    A message of a large file is above the size from which glibc maps memory for each allocation anew, and the kernel
    clears it page by page: most of what passing such messages on cost the front. glibc takes the largest mapping that
    was freed as that size from then on. Elsewhere this does nothing.
    """
    bytes(_SIZE_BYTES)  # mapped, never touched, and freed
