# SPDX-License-Identifier: Apache-2.0
"""A TCP connection that a test can break and mend: a forwarder between client and server."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

CHUNK_BYTES = 64 * 1024


class Proxy:
    """Forwards from a loopback port of its own to another one, in a thread.

    Args:
        port: Where to forward to.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self.connection_count = 0
        self.byte_count = 0  # both ways
        self._lock = threading.Lock()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._is_frozen = False
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        with self._lock:
            self._selector.unregister(self._listener)
            self._listener.close()
            for end in list(self._peers):
                self._drop(end)

    def restore(self, port: int | None = None) -> None:
        """Listen again, and forward to another port if one is given."""
        with self._lock:
            if port is not None:
                self._target = ("127.0.0.1", port)
            self._listener = self._listen(self.port)
        self._wake_out.send(b"x")

    def freeze(self) -> None:
        """Forward nothing, and tell nobody: the way a cable behaves."""
        with self._lock:
            self._is_frozen = True
            for end in self._peers:
                self._selector.unregister(end)

    def thaw(self) -> None:
        """Forward again, what has waited first."""
        with self._lock:
            self._is_frozen = False
            for end in self._peers:
                self._selector.register(end, selectors.EVENT_READ)
        self._wake_out.send(b"x")

    def close(self) -> None:
        self._is_closed = True
        self._wake_out.send(b"x")
        self._thread.join()
        for end in (*self._peers, self._listener, self._wake_in, self._wake_out):
            end.close()
        self._selector.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        self._selector.register(listener, selectors.EVENT_READ)
        return listener

    def _run(self) -> None:
        while not self._is_closed:
            ready = self._selector.select()
            with self._lock:
                for key, _ in ready:
                    end = key.fileobj
                    assert isinstance(end, socket.socket)
                    if end is self._wake_in:
                        end.recv(CHUNK_BYTES)
                    elif end is self._listener:
                        self._accept()
                    elif end in self._peers and not self._is_frozen:
                        self._forward(end)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the client went again
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                return
            self.connection_count += 1
            for end, peer in ((client, server), (server, client)):
                self._peers[end] = peer
                if not self._is_frozen:
                    self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end: socket.socket) -> None:
        try:
            data = end.recv(CHUNK_BYTES)
            if data:
                self._peers[end].sendall(data)
                self.byte_count += len(data)
                return
        except OSError:
            pass
        self._drop(end)

    def _drop(self, end: socket.socket) -> None:
        for one in (end, self._peers.get(end)):
            if one is not None and one in self._peers:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(one)
                del self._peers[one]
                one.close()
