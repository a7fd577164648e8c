# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
import zmq

from scenario_execution_remote.errors import ConnectAbortedError
from scenario_execution_remote.patience import Patience

LONG_S = 10.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def seconds_of(patience: Patience, pause_s: float) -> float:
    begin_s = time.monotonic()
    patience.pause(pause_s)
    return time.monotonic() - begin_s


def test_a_pause_lasts_as_long_as_was_said_whether_or_not_it_could_be_cut_short(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    for abort_fd in (None, pair[0].fileno()):
        assert 0.05 <= seconds_of(Patience("robot", time.monotonic() + LONG_S, abort_fd), 0.05) < LONG_S


def test_a_pause_ends_with_the_deadline() -> None:
    assert seconds_of(Patience("robot", time.monotonic() + 0.02, None), LONG_S) < LONG_S / 2


def test_nothing_is_left_after_the_deadline_and_never_less() -> None:
    assert Patience("robot", time.monotonic() - 1, None).left_s == 0.0


def test_the_caller_cuts_any_wait_short(pair: tuple[socket.socket, socket.socket]) -> None:
    patience = Patience("robot", time.monotonic() + LONG_S, pair[0].fileno())
    pair[1].send(b"x")
    with pytest.raises(ConnectAbortedError, match="robot"):
        patience.pause(LONG_S)
    with pytest.raises(ConnectAbortedError):
        patience.wait(pair[0].fileno(), zmq.POLLIN, time.monotonic() + LONG_S)


def test_what_is_ready_is_told_at_once_even_behind_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    patience = Patience("robot", time.monotonic() - 1, None)
    assert not patience.wait(pair[0].fileno(), zmq.POLLIN, time.monotonic() + LONG_S)
    pair[1].send(b"x")
    assert patience.wait(pair[0].fileno(), zmq.POLLIN, time.monotonic() + LONG_S)
