# SPDX-License-Identifier: Apache-2.0
"""The choice between CURVE and no encryption, which follows from what is pinned and from nothing the network says."""

from __future__ import annotations

from dataclasses import dataclass, field

from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.rotation import spare_pair
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import OwnKeyError
from scenario_execution_remote.pins import Pins


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How to speak to a server.

    Attributes:
        own: Our key pair; None without encryption.
        server_key: The server's pinned public key; None without encryption.
        pins: The server's keys for a session, and where they are put down; None without encryption.
        spare: The pair we had before, for a server that was not told of the new one yet; None almost always.
        warning: A sentence for the log if what travels can be read and changed by others, else None.
    """

    own: KeyPair | None
    server_key: PublicKey | None
    pins: Pins | None = field(default=None, compare=False)
    spare: KeyPair | None = None
    warning: str | None = None


def security_for(endpoint: Endpoint, settings: RemoteSettings, store: KeyStore) -> Security:
    """Decide how to speak to *endpoint*.

    The key in the scenario comes first, then the known servers. A pinned server is always spoken to with CURVE.

    Raises:
        OwnKeyError: the server is pinned and our own key pair is missing, exposed or broken.
        KeysError: the list of known servers cannot be read; guessing "not pinned" then would be a downgrade.
    """
    server_key: PublicKey | None = None
    next_key: PublicKey | None = None
    if settings.server_key:
        server_key = PublicKey.parse(settings.server_key)
    elif not endpoint.is_unix:  # known servers are known by host and port; a unix socket is guarded by its permissions
        pin = store.pin_for(endpoint.host, endpoint.port)
        if pin is not None:
            server_key, next_key = pin.key, pin.next_key
    if server_key is None:
        if endpoint.is_loopback or endpoint.is_unix:
            return Security(own=None, server_key=None)
        return Security(
            own=None,
            server_key=None,
            warning=(
                f"the connection to {endpoint} is neither encrypted nor authenticated: others on the network can read "
                f"and change what is executed; pin the server's key: se-remote trust {endpoint} sepub-..."
            ),
        )
    pins = Pins(store, endpoint.text, server_key, next_key, is_in_scenario=bool(settings.server_key))
    try:
        return Security(own=store.client_pair(), server_key=server_key, pins=pins, spare=spare_pair(store))
    except KeysError as error:
        raise OwnKeyError(
            endpoint.text,
            f"the server at {endpoint} is pinned to {server_key.fingerprint}, so this client needs its own key pair: "
            f"{error.what}",
            next_command=error.mend,
        ) from error
