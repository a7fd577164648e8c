# SPDX-License-Identifier: Apache-2.0
"""Our next key, handed over to one server: announced under the key that it knows, confirmed under the new one."""

from __future__ import annotations

import secrets
import time
from importlib.metadata import version

import zmq

from scenario_execution_keys.keypair import KeyPair, PublicKey

from .courtesies import harmless
from .endpoint import Endpoint
from .errors import NotEnrolledError, RemoteProtocolError, RotationError
from .pins import Pins
from .protocol import messages, wire
from .protocol.frames import SESSION_ID_BYTES, Frame, FrameError, Kind, decode_frame
from .transport import connect

CONNECT_S = 5.0  # per server; a person waits for it, a bad link needs a few seconds, and who is away is told later
ANSWER_S = 10.0  # the server writes a file; its disk may be busy

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
        program = f"se-remote with scenario-execution-remote {version('scenario-execution-remote')}"
        body = wire.encode(messages.Enrol(program=program, key=key.z85))
        session = secrets.token_bytes(SESSION_ID_BYTES)
        connection.socket.send(Frame(kind=Kind.HELLO, session=session, body=body).encode())
        if not connection.socket.poll(int(ANSWER_S * 1000)):
            raise RotationError(endpoint.text, f"no answer came within {ANSWER_S:g} s")
        enrolled = _answer(endpoint, connection.socket.recv())
        server.told(enrolled.next_key)
        return enrolled.name
    finally:
        connection.close()


def _answer(endpoint: Endpoint, data: bytes) -> messages.Enrolled:
    try:
        frame = decode_frame(data)
        if frame.kind is Kind.WELCOME:
            enrolled: messages.Enrolled = wire.decode_one(frame.body, messages.Enrolled)
            return enrolled
        if frame.kind is Kind.REFUSED:
            refused: messages.Refused = wire.decode_one(frame.body, messages.Refused)
            raise RotationError(endpoint.text, harmless(refused.text))
    except (FrameError, wire.WireError) as error:
        raise RemoteProtocolError(f"the server at {endpoint} answers the next key with nonsense: {error}") from None
    raise RemoteProtocolError(f"the server at {endpoint} answers the next key with {frame.kind.name}")
