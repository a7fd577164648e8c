# SPDX-License-Identifier: Apache-2.0
"""A ZeroMQ context for tests that connect for real; a socket left open in it fails the test that left it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    left_open = [socket for socket in context._sockets if not socket.closed]
    context.destroy(linger=0)
    assert left_open == []
