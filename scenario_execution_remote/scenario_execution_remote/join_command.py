# SPDX-License-Identifier: Apache-2.0
"""The command `se-remote join`: from a pasted line to a client that is enrolled and trusts its server."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import zmq

from scenario_execution_keys.command_line import keys_dir_option, read_standard_input
from scenario_execution_keys.errors import KeyNotFoundError
from scenario_execution_keys.invitation import Invitation
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.store import KeyStore

from .errors import RemoteError
from .joining import join


@click.command("join")
@click.argument("line")
@keys_dir_option
def join_command(line: str, keys_dir: Path | None) -> None:
    """Enrol this client with the LINE that `se-server invite` has printed, and trust that server.

    With - the line is read from standard input, where no other user of this machine can see it.
    """
    store = KeyStore.open(keys_dir)
    invitation = Invitation.parse(read_standard_input(line))
    own = _own_pair(store)
    for place in invitation.endpoints:
        store.trust(place, invitation.server)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        endpoint, name = join(invitation, own, context)
    except RemoteError as error:
        click.echo(f"se-remote: {error}", err=True)
        sys.exit(error.exit_code)
    finally:
        context.destroy(linger=0)
    who = f"enrolled as {name}" if name is not None else "enrolled already"
    click.echo(
        f"This client, key {own.public.fingerprint}, is {who} on {endpoint}, "
        f"whose key {invitation.server.fingerprint} is pinned.\n"
        f'Next: remote("{endpoint}") in a scenario.'
    )


def _own_pair(store: KeyStore) -> KeyPair:
    try:
        return store.client_pair()
    except KeyNotFoundError:
        pair = store.create_client_pair()
        click.echo(f"Made your client key pair {pair.public.fingerprint} in {store.pair_files('client').secret_path}.")
        return pair
