# SPDX-License-Identifier: Apache-2.0
"""Memory of large messages is kept when it is freed."""

from __future__ import annotations

import platform
import resource

import pytest

from scenario_execution_remote.freed_memory import keep_freed_memory

COUNT = 100
LARGE_BYTES = 192 * 1024


@pytest.mark.parametrize("size_bytes", [LARGE_BYTES, 5 * LARGE_BYTES])
def test_the_kernel_does_not_clear_pages_anew_for_each_large_message(size_bytes: int) -> None:
    keep_freed_memory()
    content = b"x" * size_bytes
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(COUNT):
        bytearray(content)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    if platform.libc_ver()[0] == "glibc":
        assert faults < COUNT * size_bytes / resource.getpagesize() / 2
