# SPDX-License-Identifier: Apache-2.0
"""Wakes a thread that waits for descriptors, from any other thread."""

from __future__ import annotations

import socket


class Bell:
    """A descriptor that is readable from the first ring on, until it is silenced."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)

    def fileno(self) -> int:
        """What to wait for."""
        return self._near.fileno()

    def ring(self) -> None:
        """Have whoever waits look; from any thread, and also when nobody will any more."""
        try:
            self._far.send(b"x")
        except OSError:  # full: it rings already; closed: nobody waits
            pass

    def silence(self) -> None:
        """Before looking, so that a ring meanwhile is heard."""
        try:
            self._near.recv(4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Nobody waits any more."""
        self._near.close()
        self._far.close()
