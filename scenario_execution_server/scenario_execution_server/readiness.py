# SPDX-License-Identifier: Apache-2.0
"""Tells whoever started the server that it listens: a newline on a descriptor, and systemd's READY=1."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

from scenario_execution_server.errors import SettingsError

_STANDARD_STREAMS = 2  # 0, 1 and 2 are shared with others and stay open


class Readiness:
    """One announcement, to be made when the server listens.

    Args:
        ready_fd: Descriptor for the newline, None for none. It is kept from child processes, because whoever reads from
            it may wait for its end, too.
        environment: Where ``NOTIFY_SOCKET`` is taken from, and removed, so that no action can speak for the server.

    Raises:
        SettingsError: If `ready_fd` is not open for writing.
    """

    def __init__(self, ready_fd: int | None, environment: MutableMapping[str, str]) -> None:
        self._ready_fd = ready_fd
        self._notify_socket = environment.pop("NOTIFY_SOCKET", "")
        if ready_fd is not None:
            try:
                os.write(ready_fd, b"")
                os.set_inheritable(ready_fd, ready_fd <= _STANDARD_STREAMS)
            except OSError as error:
                raise SettingsError(
                    f"descriptor {ready_fd} cannot be written to: {error.strerror}",
                    "Open it in whatever starts the server, for example: --ready-fd 3 3>ready.fifo",
                    option="--ready-fd",
                ) from None

    def announce(self) -> None:
        """Say that the server listens. That nobody wants to hear it is no reason not to serve."""
        if self._ready_fd is not None:
            with contextlib.suppress(OSError):
                os.write(self._ready_fd, b"\n")
            if self._ready_fd > _STANDARD_STREAMS:
                os.close(self._ready_fd)
            self._ready_fd = None
        self._notify(b"READY=1")

    def stopping(self) -> None:
        """Say that the server has begun to end."""
        self._notify(b"STOPPING=1")

    def _notify(self, state: bytes) -> None:
        if not self._notify_socket:
            return
        address = self._notify_socket
        if address.startswith("@"):
            address = "\0" + address[1:]  # an abstract name, as systemd writes it
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.setblocking(False)
            notifier.sendto(state, address)
