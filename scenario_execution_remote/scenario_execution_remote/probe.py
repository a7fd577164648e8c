# SPDX-License-Identifier: Apache-2.0
"""A look at who listens: one plain connection, 11 bytes out, at most 64 in, and never longer than a second."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time

import zmq

from scenario_execution_remote.addresses import Address
from scenario_execution_remote.diagnosis import Probe, Reach
from scenario_execution_remote.greeting import GREETING_BYTES, GREETING_PROBE, LINE_PROBE, is_complete, read_greeting
from scenario_execution_remote.patience import Patience

PROBE_S = 1.0  # one round trip and a SYN that was lost once: 1 s is the first retransmission (RFC 6298)
QUIET_S = 0.25  # a ZMTP peer has greeted by now on any link a scenario can run over; ask as a line-based client then
PAUSE_S = 0.1  # the rest of a banner comes with its beginning

_REACH = {
    errno.ECONNREFUSED: Reach.REFUSED,
    errno.ENOENT: Reach.NO_FILE,
    errno.ENOTDIR: Reach.NO_FILE,
    errno.ENOTSOCK: Reach.NOT_A_SOCKET,
    errno.EPROTOTYPE: Reach.NOT_A_SOCKET,  # a datagram socket
    errno.EACCES: Reach.NO_PERMISSION,
    errno.EPERM: Reach.NO_PERMISSION,
    errno.ETIMEDOUT: Reach.UNANSWERED,
    errno.EAGAIN: Reach.UNANSWERED,  # unix: the server does not accept what is queued
    errno.EINPROGRESS: Reach.UNANSWERED,
}


def look_at(address: Address, patience: Patience, most_s: float = PROBE_S) -> Probe:
    """Find out who is there, in at most *most_s* seconds.

    Raises:
        ConnectAbortedError: the caller wants to stop.
    """
    until_s = time.monotonic() + most_s
    with socket.socket(address.family, socket.SOCK_STREAM) as plain:
        plain.setblocking(False)
        code = plain.connect_ex(address.place)
        if code == errno.EINPROGRESS and patience.wait(plain.fileno(), zmq.POLLOUT, until_s):
            code = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return Probe(reach=_reach(address, code), detail=os.strerror(code).lower())
        data, closed = _listen(plain, patience, until_s)
    return Probe(reach=Reach.REACHED, greeting=read_greeting(data), closed=closed)


def _reach(address: Address, code: int) -> Reach:
    if code == errno.ECONNREFUSED and address.family == socket.AF_UNIX:
        try:
            mode = os.stat(str(address.place)).st_mode
        except OSError:
            return Reach.NO_FILE  # it was there a moment ago
        return Reach.REFUSED if stat.S_ISSOCK(mode) else Reach.NOT_A_SOCKET
    return _REACH.get(code, Reach.OTHER)


def _listen(plain: socket.socket, patience: Patience, until_s: float) -> tuple[bytes, bool]:
    """What the peer says first, and whether it hung up."""
    data = b""
    has_asked_again = False
    try:
        plain.send(GREETING_PROBE)
        while not is_complete(data):
            if data[:1] == b"\xff" or has_asked_again and not data:
                heard_until_s = until_s  # the rest of a ZMTP greeting, and an answer, take a round trip
            else:
                heard_until_s = min(until_s, time.monotonic() + (PAUSE_S if data else QUIET_S))
            if patience.wait(plain.fileno(), zmq.POLLIN, heard_until_s):
                chunk = plain.recv(GREETING_BYTES - len(data))
                if not chunk:
                    return data, True
                data += chunk
            elif data or has_asked_again or time.monotonic() >= until_s:
                break
            else:
                plain.send(LINE_PROBE)
                has_asked_again = True
    except (ConnectionError, BlockingIOError):  # reset instead of closed; what was said before counts
        return data, True
    return data, False
