# SPDX-License-Identifier: Apache-2.0
"""From an invitation to an enrolled client: hand our public key over under the one-use key, then come in with it."""

from __future__ import annotations

import time

import zmq

from scenario_execution_keys.invitation import Invitation
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.permissions import show_instant

from .asking import ask, program_here
from .endpoint import Endpoint
from .errors import HandshakeError, InvitationError, NotEnrolledError, ServerUnreachableError
from .pins import Pins
from .protocol import messages
from .transport import Connection, connect

CONNECT_S = 10.0  # per endpoint; a person waits for it, and a machine on a bad link needs a few seconds
NOTICED_S = 1.5  # a server takes notice of a new invitation within a second

Context = zmq.Context[zmq.Socket[bytes]]


def join(invitation: Invitation, own: KeyPair, pins: Pins, context: Context) -> tuple[Endpoint, str | None]:
    """Enrol our public key as *invitation* says, and make sure that it is admitted.

    Args:
        invitation: What was pasted.
        own: Our permanent pair; its secret half stays here.
        pins: Is told of the server's next key.
        context: For the connections.

    Returns:
        Where the server was found, and the name we have there; None if we were enrolled before.

    Raises:
        InvitationError: The server does not accept the invitation, or not our key; says why as far as it is known.
        HandshakeError: The server cannot be reached, or is not the one that invites.
    """
    unreachable: HandshakeError | None = None
    for text in invitation.endpoints:
        endpoint = Endpoint.parse(text)
        try:
            enrolled = _enrol(endpoint, invitation, own.public, context)
            pins.told(enrolled.next_key)
        except ServerUnreachableError as error:
            unreachable = error
            continue
        except NotEnrolledError:
            # Used up; perhaps by us, when an answer was lost on its way.
            try:
                check_admitted(endpoint, own, invitation.server, context)
            except NotEnrolledError:
                raise InvitationError(endpoint.text, f"its end was {show_instant(invitation.until)}") from None
            return endpoint, None
        check_admitted(endpoint, own, invitation.server, context)
        return endpoint, enrolled.name
    assert unreachable is not None  # an invitation names at least one endpoint
    raise unreachable


def check_admitted(endpoint: Endpoint, own: KeyPair, server: PublicKey, context: Context) -> None:
    """Come in once with our own key.

    Raises:
        HandshakeError: We are not admitted, or the server cannot be reached.
    """
    deadline_s = time.monotonic() + CONNECT_S
    connect(endpoint, own=own, server_key=server, deadline_s=deadline_s, context=context).close()


def _enrol(endpoint: Endpoint, invitation: Invitation, key: PublicKey, context: Context) -> messages.Enrolled:
    """Hand *key* over."""
    connection = _come_in(endpoint, invitation, context)
    try:
        return ask(
            connection, messages.Enrol(program=program_here(), key=key.z85), messages.Enrolled,
            what="the invitation", refused=lambda _code, text: InvitationError(endpoint.text, text),
        )  # fmt: skip
    finally:
        connection.close()


def _come_in(endpoint: Endpoint, invitation: Invitation, context: Context) -> Connection:
    own, server = invitation.pair, invitation.server
    try:
        deadline_s = time.monotonic() + CONNECT_S
        return connect(endpoint, own=own, server_key=server, deadline_s=deadline_s, context=context)
    except NotEnrolledError:
        # Perhaps it was pasted before the server has looked at its files again.
        deadline_s = time.monotonic() + NOTICED_S
        return connect(
            endpoint, own=own, server_key=server, deadline_s=deadline_s, context=context, on_refused=lambda _error: None
        )
