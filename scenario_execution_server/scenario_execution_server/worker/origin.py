# SPDX-License-Identifier: Apache-2.0
"""Whose word a payload on a worker's channel is: the front's own, or its client's, which the front passes on unread.

One byte in front of each payload says so. The front writes it and a client cannot, so a client can say nothing in the
front's name: neither end the session in its own way nor permit itself an action. No I/O.
"""

from __future__ import annotations

import enum

from scenario_execution_remote.protocol import wire


class Origin(bytes, enum.Enum):
    """Who said it."""

    FRONT = b"F"
    CLIENT = b"C"


_ACCEPTED = {Origin.FRONT.value[0]: wire.FROM_FRONT, Origin.CLIENT.value[0]: wire.FROM_CLIENT}


def taken_apart(payload: bytes | memoryview) -> tuple[frozenset[type], memoryview]:
    """What its origin may say, and the body.

    Raises:
        ValueError: the payload has no origin; only a front of another version would send that.
    """
    accepted = _ACCEPTED.get(payload[0]) if payload else None
    if accepted is None:
        raise ValueError("the payload does not begin with an Origin")
    return accepted, memoryview(payload)[1:]
