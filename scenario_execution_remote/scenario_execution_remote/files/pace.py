# SPDX-License-Identifier: Apache-2.0
"""How much of a file may be on its way, so that ticks and beats behind it do not wait. No I/O, no clock.

Everything of a session travels in one stream. What of a file is in it delays whatever comes behind, so its sender keeps
to a window, and the window follows the link: it grows while what is sent is taken promptly, and shrinks as soon as
it queues. What is late although nothing else is on its way does not queue: the other side is far, or busy.
"""

from __future__ import annotations

from collections import deque

# What digests and holes are counted in, and the least that is on its way: a tick waits behind one of them for half a
# millisecond at 1 Gbit/s and for 65 ms at 1 MB/s.
BLOCK_BYTES = 64 * 1024
# Below the 2 MiB that a session may have unconfirmed on its way (stream.WINDOW_BYTES), so that there is always room
# for a tick's answer. It queues for 25 ms at 60 MB/s: on a slower link the window stays smaller.
WINDOW_LIMIT_BYTES = 24 * BLOCK_BYTES
# Each message costs every thread on its way a turn, which is most of what we cost; and its confirmation another one.
# What is on its way while one is dealt with are the others.
MESSAGES_IN_WINDOW = 4
_START_BYTES = 4 * BLOCK_BYTES
QUEUEING_LIMIT_S = 0.025  # a quarter of the usual tick: half of it may be waited, and an answer needs some itself
REPORT_AFTER_BYTES = BLOCK_BYTES  # what a receiver says no later than that it has taken: a window may be that small
# As long as more is there already, this much: a report for each message of a large file, and not for each block.
REPORT_AT_MOST_BYTES = WINDOW_LIMIT_BYTES // MESSAGES_IN_WINDOW
_LEARNT = 0.5  # of a delay that is not ours: two in a row are believed
COST_OF_ONE_BYTES = 256  # of a message besides its data, so that ten thousand empty files are not free


def report_after(is_more_there: bool) -> int:
    """How much a receiver has dealt with, at least, when it says so; see the numbers above."""
    return REPORT_AT_MOST_BYTES if is_more_there else REPORT_AFTER_BYTES


class Pace:
    """What one sender may have on its way; costs are in bytes."""

    def __init__(self) -> None:
        self._window = _START_BYTES
        self._sent = 0
        self._taken = 0
        # total sent up to here, when, and whether nothing else was on its way then
        self._on_the_way: deque[tuple[int, float, bool]] = deque()
        self._shortest_s = float("inf")

    @property
    def window_bytes(self) -> int:
        """What may be on its way now."""
        return self._window

    @property
    def message_bytes(self) -> int:
        """How much to put into one message: a share of the window in whole blocks, so that several are on their way."""
        share = self._window // MESSAGES_IN_WINDOW
        return max(BLOCK_BYTES, share - share % BLOCK_BYTES)

    @property
    def is_all_taken(self) -> bool:
        """Whether nothing is on its way."""
        return self._sent == self._taken

    def has_taken(self, total: int) -> bool:
        """Whether the other side has dealt with so much since the beginning."""
        return self._taken >= total

    def may_send(self) -> bool:
        """Whether something more may be sent; something always may if nothing is on its way."""
        return self._sent - self._taken < self._window

    def sent(self, cost: int, now_s: float) -> None:
        """Something of this cost was sent."""
        is_alone = self.is_all_taken
        self._sent += cost
        self._on_the_way.append((self._sent, now_s, is_alone))

    def taken(self, cost: int, now_s: float) -> None:
        """The other side has dealt with this much more.

        Raises:
            ValueError: that is more than was sent.
        """
        if cost < 0 or self._taken + cost > self._sent:
            raise ValueError(f"{cost} bytes were taken, but only {self._sent - self._taken} are on their way")
        self._taken += cost
        delay_s, is_alone = None, False
        while self._on_the_way and self._on_the_way[0][0] <= self._taken:
            _, sent_s, is_alone = self._on_the_way.popleft()
            delay_s = now_s - sent_s
        if delay_s is None:
            return
        if is_alone and delay_s > self._shortest_s:
            self._shortest_s += (delay_s - self._shortest_s) * _LEARNT
        self._shortest_s = min(self._shortest_s, delay_s)
        step = -self.message_bytes if delay_s - self._shortest_s > QUEUEING_LIMIT_S else BLOCK_BYTES
        self._window = min(max(self._window + step, BLOCK_BYTES), WINDOW_LIMIT_BYTES)
