# SPDX-License-Identifier: Apache-2.0
"""Waiting for what has no event of its own, always with a deadline."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

LOOK_AGAIN_MS = 5  # what is waited for takes tens of milliseconds: looking this often costs a test nothing


def wait_until(predicate: Callable[[], object], deadline_s: float = 10.0) -> None:
    """Return as soon as `predicate` is true; fail the test after `deadline_s` seconds: many times what it takes."""
    give_up_at = time.monotonic() + deadline_s
    while not predicate():
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not true within {deadline_s} s: {getattr(predicate, '__name__', predicate)}")
        select.poll().poll(LOOK_AGAIN_MS)
