# SPDX-License-Identifier: Apache-2.0
"""What an error of the server's disk means to a client, and what can be done about it. No I/O."""

from __future__ import annotations

import errno

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NEXT_STEP = (
    "remove what you do not need there any more with `se-remote rm`, or have its operator make room or choose another "
    "disk with --files-dir"
)


def words_for_disk_error(error: OSError) -> str:
    """What went wrong; if that is a lack of room, with the next step."""
    if error.errno in _NO_ROOM:
        return f"the server's disk has no room for it ({error.strerror}); {NEXT_STEP}"
    return str(error)
