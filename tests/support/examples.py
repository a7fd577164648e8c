# SPDX-License-Identifier: Apache-2.0
"""How many examples a test with generated values tries: few where a person waits, more on the CI machine."""

from __future__ import annotations

import os

from hypothesis import settings

_IS_CI = bool(os.environ.get("CI"))
# No deadline: two busy cores make any single example slow. Other examples each time, which adds up; but on the CI
# machine the same ones, so that a change is not blamed for what an earlier one did.
thrifty = settings(deadline=None, max_examples=100 if _IS_CI else 30, derandomize=_IS_CI, database=None)
