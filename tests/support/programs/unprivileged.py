# SPDX-License-Identifier: Apache-2.0
"""Runs a command with nothing that an ordinary user does not have, also when it is root who runs the tests."""

from __future__ import annotations

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24  # what is dropped is not regained by the exec below
PR_SET_NO_NEW_PRIVS = 38

libc = ctypes.CDLL(None)
for capability in range(64):  # there are 41 today; to drop one that does not exist, or again, fails and changes nothing
    libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
