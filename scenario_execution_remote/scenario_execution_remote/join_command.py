# SPDX-License-Identifier: Apache-2.0
"""The command `se-remote join`: from a pasted line to a client that is enrolled and trusts its server."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import click
import zmq

from scenario_execution_keys.command_line import keys_dir_option, read_standard_input
from scenario_execution_keys.commands import login_name
from scenario_execution_keys.errors import KeyNotFoundError
from scenario_execution_keys.invitation import Invitation
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import ServerScope, check_client_name, client_name_for

from .errors import RemoteError
from .joining import join
from .pins import Pins
from .ssh import SCHEME, Login, exchange_keys


@click.command("join")
@click.argument("line")
@click.option("--name", help="With ssh: what to be called there. Default: USER@HOST of this machine.")
@click.option("--endpoint", metavar="HOST[:PORT]", help="With ssh: where the server listens. Default: the same host.")
@keys_dir_option
def join_command(line: str, name: str | None, endpoint: str | None, keys_dir: Path | None) -> None:
    """Enrol this client with the LINE that `se-server invite` has printed, and trust that server.

    With - the line is read from standard input, where no other user of this machine can see it. In place of a line,
    ssh://[USER@]HOST[:PORT] does the same over an ssh login: `se-server` is run there with that user's keys.
    """
    store = KeyStore.open(keys_dir)
    if line.startswith(SCHEME):
        _join_over_ssh(store, Login.parse(line), name or _own_name(), endpoint)
    else:
        _join_with_line(store, line)


def _join_over_ssh(store: KeyStore, login: Login, name: str, endpoint: str | None) -> None:
    check_client_name(name)
    own = _own_pair(store)
    scope = ServerScope.parse(endpoint if endpoint is not None else login.host)
    try:
        server = exchange_keys(login, name, own.public)
    except RemoteError as error:
        click.echo(f"se-remote: {error}", err=True)
        sys.exit(error.exit_code)
    store.trust(scope.text, server)
    click.echo(
        f"This client, key {own.public.fingerprint}, is enrolled as {name} on {login.host}, "
        f"and {scope} is pinned to the key {server.fingerprint}.\n"
        f'Next: remote("{scope}") in a scenario, once `scenario_execution_server --curve` runs there.'
    )


def _own_name() -> str:
    return client_name_for(f"{login_name()}@{socket.gethostname()}")


def _join_with_line(store: KeyStore, line: str) -> None:
    invitation = Invitation.parse(read_standard_input(line))
    own = _own_pair(store)
    for place in invitation.endpoints:
        store.trust(place, invitation.server)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        pins = Pins(store, invitation.endpoints[0], invitation.server)
        found, name = join(invitation, own, pins, context)
    except RemoteError as error:
        click.echo(f"se-remote: {error}", err=True)
        sys.exit(error.exit_code)
    finally:
        context.destroy(linger=0)
    who = f"enrolled as {name}" if name is not None else "enrolled already"
    click.echo(
        f"This client, key {own.public.fingerprint}, is {who} on {found}, "
        f"whose key {invitation.server.fingerprint} is pinned.\n"
        f'Next: remote("{found}") in a scenario.'
    )


def _own_pair(store: KeyStore) -> KeyPair:
    try:
        return store.client_pair()
    except KeyNotFoundError:
        pair = store.create_client_pair()
        click.echo(f"Made your client key pair {pair.public.fingerprint} in {store.pair_files('client').secret_path}.")
        return pair
