# SPDX-License-Identifier: Apache-2.0
"""Our next key, handed over to one server: announced under the key that it knows, confirmed under the new one."""

from __future__ import annotations

import time

import zmq

from scenario_execution_keys.keypair import KeyPair, PublicKey

from .asking import ask, program_here
from .endpoint import Endpoint
from .errors import NotEnrolledError, RotationError
from .pins import Pins
from .protocol import messages
from .transport import connect

CONNECT_S = 5.0  # per server; a person waits for it, a bad link needs a few seconds, and who is away is told later

Context = zmq.Context[zmq.Socket[bytes]]


def announce(endpoint: Endpoint, known: KeyPair, following: KeyPair, server: Pins, context: Context) -> str:
    """Have the server admit *following* beside the pair that it knows; returns our name there. Harmless to repeat.

    What the server says of its own next key is put down on the way.

    Raises:
        HandshakeError: It cannot be reached, is not the one that is pinned, admits neither pair, or refuses.
    """
    try:
        return _say(endpoint, known, following.public, server, context)
    except NotEnrolledError as refused:
        # Perhaps it has the new key already: from a rotation that was cut short, or because somebody enrolled it.
        try:
            return _say(endpoint, following, following.public, server, context)
        except NotEnrolledError:
            raise refused from None


def confirm(endpoint: Endpoint, following: KeyPair, server: Pins, context: Context) -> str:
    """Come in with the next pair, which makes the server retire the one before; returns our name there.

    Raises:
        HandshakeError: It cannot be reached, or does not admit it.
    """
    return _say(endpoint, following, following.public, server, context)


def _say(endpoint: Endpoint, own: KeyPair, key: PublicKey, server: Pins, context: Context) -> str:
    deadline_s = time.monotonic() + CONNECT_S
    connection = connect(
        endpoint, own=own, server_key=server.key, next_key=server.next_key, deadline_s=deadline_s, context=context
    )  # fmt: skip
    try:
        server.proved(connection.server_key)
        enrolled = ask(
            connection, messages.Enrol(program=program_here(), key=key.z85), messages.Enrolled,
            what="the next key", refused=lambda _code, text: RotationError(endpoint.text, text),
        )  # fmt: skip
        server.told(enrolled.next_key)
        return enrolled.name
    finally:
        connection.close()
