# SPDX-License-Identifier: Apache-2.0
"""Whether the output of a process, asked for from afar, is all there is."""

from __future__ import annotations


class Completeness:
    """What is known of one process's output.

    ``process_log_check`` looks at the output and asks right afterwards whether it is complete. From afar, a message
    goes to and fro in between, and in that time a process may print its last lines and end: they would count as
    never printed. So an output is complete when it has been looked at after the process was known to have ended.
    """

    def __init__(self) -> None:
        self._has_ended = False
        self._has_been_seen = False
        self._is_whole = False

    @property
    def has_ended(self) -> bool:
        """Whether the process was known to have ended; to be remembered when its output is asked for."""
        return self._has_ended

    def seen(self, *, had_ended: bool) -> None:
        """The output is here. `had_ended`: what :attr:`has_ended` was when it was asked for."""
        self._has_been_seen = True
        self._is_whole = had_ended

    def told(self, has_ended: bool) -> bool:
        """The process has ended, or has not; returns whether the output is complete."""
        self._has_ended = has_ended
        return has_ended and (self._is_whole or not self._has_been_seen)
