# SPDX-License-Identifier: Apache-2.0
"""A TCP forwarder on loopback that holds every byte back for a while: a long way, without losses.

    python -m benchmarks.delay PORT MILLISECONDS_EACH_WAY
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator

_CHUNK_BYTES = 256 * 1024


def _forward(source: socket.socket, target: socket.socket, delay_s: float) -> None:
    """Pass on what *source* says; two threads, so that what waits does not keep what comes next from being stamped."""
    waiting: deque[tuple[float, bytes]] = deque()
    has_come = threading.Semaphore(0)

    def deliver() -> None:
        while True:
            has_come.acquire()
            due_s, data = waiting.popleft()
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                target.sendall(data)
            except OSError:
                return

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        try:
            data = source.recv(_CHUNK_BYTES)
        except OSError:
            data = b""
        waiting.append((time.monotonic() + delay_s, data))
        has_come.release()
        if not data:
            return


def serve(port: int, delay_s: float) -> None:
    """Forward from a port of its own, which is printed, to *port*, for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_forward, args=(source, target, delay_s), daemon=True).start()


@contextlib.contextmanager
def delayed(endpoint: str, one_way_s: float) -> Iterator[str]:
    """An endpoint that leads to *endpoint* in *one_way_s* seconds each way; itself, if there is no delay to add."""
    if one_way_s == 0:
        yield endpoint
        return
    port = endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.delay", port, str(one_way_s * 1000)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]) / 1000)
