# SPDX-License-Identifier: Apache-2.0
"""The addresses of an endpoint, looked up here: libzmq would try only one, and block its I/O thread on the look-up."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass
from typing import Any

import zmq

from scenario_execution_remote.diagnosis import Finding, unresolved
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.patience import Patience

MOST_ADDRESSES = 4  # IPv6 and IPv4 of two interfaces; a name with more is a load balancer, and any of them will do

# What no later attempt changes: the name does not exist, or has no address of a kind we can use.
_FINAL = {socket.EAI_NONAME, socket.EAI_FAMILY, socket.EAI_SERVICE}
if hasattr(socket, "EAI_NODATA"):
    _FINAL.add(socket.EAI_NODATA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One place to connect to.

    Attributes:
        family: ``AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
        place: What ``socket.connect`` wants.
        zmq_text: What ``zmq.Socket.connect`` wants.
    """

    family: int
    place: str | tuple[Any, ...]
    zmq_text: str


def addresses_of(endpoint: Endpoint, patience: Patience) -> list[Address] | Finding:
    """Look up where *endpoint* is, in the order the system prefers; a finding if that cannot be said.

    Raises:
        ConnectAbortedError: the caller wants to stop.
    """
    if endpoint.is_unix:
        return [Address(family=socket.AF_UNIX, place=endpoint.path, zmq_text=endpoint.zmq_address())]
    try:
        return _look_up(endpoint, socket.AI_NUMERICHOST)  # the usual case, and the lookup that never waits
    except socket.gaierror:
        pass
    answers: list[list[Address] | socket.gaierror] = []
    done, finished = os.pipe()
    # getaddrinfo cannot be interrupted and takes up to half a minute when name servers are silent. If nobody waits for
    # its answer any more, the thread ends by itself, unheard.
    threading.Thread(target=_ask, args=(endpoint, answers, finished), name="resolver", daemon=True).start()
    try:
        patience.wait(done, zmq.POLLIN, patience.deadline_s)
    finally:
        os.close(done)
    if not answers:
        return unresolved(endpoint, "no name server answers", is_final=False)
    answer = answers[0]
    if isinstance(answer, socket.gaierror):
        return unresolved(endpoint, str(answer.strerror), is_final=answer.errno in _FINAL)
    return answer


def _ask(endpoint: Endpoint, answers: list[list[Address] | socket.gaierror], finished: int) -> None:
    try:
        answers.append(_look_up(endpoint, 0))
    except socket.gaierror as error:
        answers.append(error)
    except UnicodeError as error:  # Python's IDNA codec, on labels that no name server would accept either
        answers.append(socket.gaierror(socket.EAI_NONAME, str(error)))
    finally:
        os.close(finished)  # makes the other end readable


def _look_up(endpoint: Endpoint, flags: int) -> list[Address]:
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=flags)
    addresses: list[Address] = []
    for family, _, _, _, place in found:
        host = place[0]
        if family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(host, str):
            continue
        text = f"tcp://[{host}]:{endpoint.port}" if family == socket.AF_INET6 else f"tcp://{host}:{endpoint.port}"
        address = Address(family=family, place=place, zmq_text=text)
        if address not in addresses:
            addresses.append(address)
    if not addresses:
        raise socket.gaierror(socket.EAI_FAMILY, "no IPv4 or IPv6 address")
    return addresses[:MOST_ADDRESSES]
