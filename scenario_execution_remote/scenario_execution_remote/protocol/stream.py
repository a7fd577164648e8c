# SPDX-License-Identifier: Apache-2.0
"""Numbered delivery: every DATA body arrives once and in order, also across a connection that broke and came back."""

from __future__ import annotations

from collections import deque
from itertools import islice

from scenario_execution_remote.protocol.frames import Body

# What may be on its way unconfirmed. The server's queue for one client holds 256 messages (its QUEUED_MESSAGES): twice
# the window, as after a repetition, and the frames without a number fit in, so that ZeroMQ never has to drop one.
WINDOW_FRAMES = 100
# A round trip over Wi-Fi takes 20 ms: 100 MB/s. On a bad link (1 MB/s) a beat behind it is two seconds late, and a
# session is lost after five.
WINDOW_BYTES = 2 * 1024 * 1024

# The receiver confirms at half the window, so that the sender never has to stop for a receiver that keeps up.
CONFIRM_AFTER_FRAMES = WINDOW_FRAMES // 2
CONFIRM_AFTER_BYTES = WINDOW_BYTES // 2

# What one side keeps for a peer that does not confirm, before it stops taking more. Times the number of sessions this
# is the front's memory; 16 MiB are minutes of a talkative action's output, or two of the largest bodies.
KEPT_LIMIT_BYTES = 16 * 1024 * 1024
_COST_OF_ONE_BYTES = 200  # of keeping a body, besides its bytes: without it a million empty ones would cost nothing


class NumberedStream:
    """Both directions of one session's DATA frames, seen from one side.

    The sender keeps each body until the other side has confirmed its number, and has no more than a window of them on
    their way; the receiver accepts exactly the next number. What a broken connection swallowed is sent again, what
    arrives twice is dropped, so nothing is ever executed twice.
    """

    def __init__(self) -> None:
        self._kept: deque[Body] = deque()  # not confirmed yet, oldest first
        self._kept_bytes = 0
        self._on_the_way_count = 0  # so many of the kept ones have been handed out since the last rewind
        self._on_the_way_bytes = 0
        self._last_put = 0
        self._ever_sent = 0
        self._received = 0
        self._unreported_frames = 0
        self._unreported_bytes = 0

    # -- sending -----------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """The number of the last body handed out for sending; those before it have been too, or are confirmed."""
        return self._last_put - len(self._kept) + self._on_the_way_count

    @property
    def has_waiting(self) -> bool:
        """Whether there are bodies that are not handed out yet."""
        return self._on_the_way_count < len(self._kept)

    @property
    def is_full(self) -> bool:
        """Whether the other side confirms too slowly, so that nothing more should be put in for now."""
        return self._kept_bytes >= KEPT_LIMIT_BYTES

    def put(self, body: Body) -> None:
        """Take *body* to be sent; kept until it is confirmed."""
        self._last_put += 1
        self._kept.append(body)
        self._kept_bytes += len(body) + _COST_OF_ONE_BYTES

    def put_through(self, body: Body) -> tuple[int, int] | None:
        """Take *body* and, if nothing waits before it and the window has room, hand it out at once, as is usual.

        Returns:
            Its number, to be sent now, and the one to confirm with it, see :meth:`confirmed`; None if it waits for
            :meth:`due`.
        """
        count, size_bytes = self._on_the_way_count, len(body)
        is_first = count == len(self._kept)
        self._last_put += 1  # as `put` and `due` do it, without their calls: this is in the way of every tick
        self._kept.append(body)
        self._kept_bytes += size_bytes + _COST_OF_ONE_BYTES
        if not is_first or (count and (count >= WINDOW_FRAMES or self._on_the_way_bytes >= WINDOW_BYTES)):
            return None
        self._on_the_way_count = count + 1
        self._on_the_way_bytes += size_bytes
        if self._last_put > self._ever_sent:
            self._ever_sent = self._last_put
        self._unreported_frames = self._unreported_bytes = 0
        return self._last_put, self._received

    def due(self, *, regardless: bool = False) -> list[tuple[int, Body]]:
        """Number and body of what is to be sent now, oldest first; each once, until :meth:`rewind`.

        Args:
            regardless: Whether to hand out all there is, as nothing will be confirmed any more.
        """
        handed_out: list[tuple[int, Body]] = []
        if self._on_the_way_count >= len(self._kept):  # as mostly, and asked for each frame that comes or goes
            return handed_out
        for body in islice(self._kept, self._on_the_way_count, None):
            if not (regardless or self._has_room()):
                break
            self._on_the_way_count += 1
            self._on_the_way_bytes += len(body)
            handed_out.append((self.sent, body))
        self._ever_sent = max(self._ever_sent, self.sent)
        return handed_out

    def confirm(self, ack: int) -> bool:
        """Forget what the other side has received; False if it confirms what was never sent."""
        if ack > self._ever_sent:
            return False
        while self._kept and self._last_put - len(self._kept) < ack:
            size_bytes = len(self._kept.popleft())
            self._kept_bytes -= size_bytes + _COST_OF_ONE_BYTES
            if self._on_the_way_count:  # else it arrived before a rewind, and need not be handed out again
                self._on_the_way_count -= 1
                self._on_the_way_bytes -= size_bytes
        return True

    def rewind(self) -> None:
        """Hand out again whatever is not confirmed: it may be lost."""
        self._on_the_way_count = self._on_the_way_bytes = 0

    def _has_room(self) -> bool:
        """Whether another body may be on its way; a first one always may, whatever its size."""
        return self._on_the_way_count == 0 or (
            self._on_the_way_count < WINDOW_FRAMES and self._on_the_way_bytes < WINDOW_BYTES
        )

    # -- receiving ---------------------------------------------------------------------------------

    @property
    def received(self) -> int:
        """The number to confirm: all up to it have arrived."""
        return self._received

    @property
    def owes_confirmation(self) -> bool:
        """Whether so much has come in since the last :meth:`confirmed` that the other side waits for it soon."""
        return self._unreported_frames >= CONFIRM_AFTER_FRAMES or self._unreported_bytes >= CONFIRM_AFTER_BYTES

    def is_gap(self, seq: int) -> bool:
        """Whether something before *seq* is missing."""
        return seq > self._received + 1

    def take_next(self, seq: int, ack: int, size_bytes: int) -> bool:
        """Take a body and the confirmation that came with it, if nothing has to be sent because of them.

        Returns:
            Whether it is the next one, and neither a body of ours nor a confirmation is due, as mostly. If not, nothing
            has changed: :meth:`confirm`, :meth:`is_gap` and :meth:`accept` have to be asked.
        """
        if (
            seq != self._received + 1
            or ack > self._ever_sent
            or self._on_the_way_count != len(self._kept)
            or self._unreported_frames + 1 >= CONFIRM_AFTER_FRAMES
            or self._unreported_bytes + size_bytes >= CONFIRM_AFTER_BYTES
        ):
            return False
        if self._kept:
            self.confirm(ack)
        self._received = seq
        self._unreported_frames += 1
        self._unreported_bytes += size_bytes
        return True

    def accept(self, seq: int, size_bytes: int) -> bool:
        """Whether the body numbered *seq* is the next one; False for a repetition and for one behind a gap."""
        if seq != self._received + 1:
            return False
        self._received = seq
        self._unreported_frames += 1
        self._unreported_bytes += size_bytes
        return True

    def confirmed(self) -> int:
        """The number to confirm, in a frame that is going out now."""
        self._unreported_frames = self._unreported_bytes = 0
        return self._received
