# SPDX-License-Identifier: Apache-2.0
"""Numbered delivery: every DATA body arrives once and in order, also across a connection that broke and came back."""

from __future__ import annotations

from collections import deque

# What one side may have sent without the other confirming it. Beats confirm at least once a second, so this is reached
# only by a peer that reads more slowly than 64 MiB/s writes; then the sender has to be held back instead of growing.
UNCONFIRMED_LIMIT_BYTES = 64 * 1024 * 1024


class NumberedStream:
    """Both directions of one session's DATA frames, seen from one side.

    The sender keeps each body until the other side has confirmed its number; the receiver accepts exactly the next
    number. What a broken connection swallowed is sent again, what arrives twice is dropped, so nothing is ever executed
    twice.
    """

    def __init__(self) -> None:
        self._unconfirmed: deque[tuple[int, bytes | memoryview]] = deque()
        self._unconfirmed_bytes = 0
        self._last_sent = 0
        self._last_received = 0

    @property
    def received(self) -> int:
        """The number to confirm: all up to it have arrived."""
        return self._last_received

    @property
    def is_full(self) -> bool:
        """Whether the other side confirms too slowly, so that nothing more should be sent for now."""
        return self._unconfirmed_bytes >= UNCONFIRMED_LIMIT_BYTES

    def number(self, body: bytes | memoryview) -> int:
        """Keep *body* until it is confirmed, and return the number it travels under."""
        self._last_sent += 1
        self._unconfirmed.append((self._last_sent, body))
        self._unconfirmed_bytes += len(body)
        return self._last_sent

    def accept(self, seq: int) -> bool:
        """Whether the body numbered *seq* is the next one; False for a repetition and for one behind a gap."""
        if seq != self._last_received + 1:
            return False
        self._last_received = seq
        return True

    def is_gap(self, seq: int) -> bool:
        """Whether something before *seq* is missing."""
        return seq > self._last_received + 1

    def confirm(self, ack: int) -> bool:
        """Forget what the other side has received; False if it confirms what was never sent."""
        if ack > self._last_sent:
            return False
        while self._unconfirmed and self._unconfirmed[0][0] <= ack:
            _, body = self._unconfirmed.popleft()
            self._unconfirmed_bytes -= len(body)
        return True

    def unconfirmed(self) -> list[tuple[int, bytes | memoryview]]:
        """Number and body of what has to be sent again on a new connection, oldest first."""
        return list(self._unconfirmed)
