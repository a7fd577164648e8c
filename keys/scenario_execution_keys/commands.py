# SPDX-License-Identifier: Apache-2.0
"""The commands that make, show and trust keys; those about clients are in ``enrolment``."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path

import click

from scenario_execution_keys import paths
from scenario_execution_keys.command_line import KeysGroup, keys_dir_option, read_public_key, replace_option
from scenario_execution_keys.enrolment import ENROLMENT_COMMANDS
from scenario_execution_keys.errors import KeyExistsError, KeyNotFoundError, KeysError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession, announced
from scenario_execution_keys.succession_command import server_rotate
from scenario_execution_keys.trust import LOOPBACK, client_name_for

__all__ = ["CLIENT_COMMANDS", "SERVER_COMMANDS", "KeysGroup", "keys_dir_option"]


# ---------------------------------------------------------------------- se-server


@click.command("keygen")
@keys_dir_option
def server_keygen(keys_dir: Path | None) -> None:
    """Make this server's key pair, and a client pair of yours that may use it on this machine."""
    store = KeyStore.open(keys_dir)
    server_files, client_files = store.pair_files(paths.SERVER), store.pair_files(paths.CLIENT)
    try:
        server_files.check_absent()
        client, made = _client_pair(store)  # first, so that trouble with it leaves no half-made server behind
        server = store.create_server_pair()
    except KeyExistsError as error:
        missing = _missing_steps(store)
        if missing is None:
            raise
        mend = f"To use it from this machine as well, run: {missing}"
        raise KeyExistsError(error.what, mend, path=error.path) from error
    click.echo(f"Made the server's key pair {server.public.fingerprint} in {server_files.secret_path}.")
    if made:
        click.echo(f"Made your client key pair {client.public.fingerprint} in {client_files.secret_path}.")
    _both(
        lambda: _enrol_self(store, client.public),
        lambda: _trust_self(store, server.public),
    )
    click.echo(
        'Next, on this machine: scenario_execution_server --curve, and remote("127.0.0.1") in a scenario.\n'
        f"For another machine: {store.command('se-server invite NAME')}. "
        "Or by hand: run `se-remote keygen` there, enrol what it prints here, and there run: "
        f"se-remote trust HOST {server.public.text}"
    )


def _client_pair(store: KeyStore) -> tuple[KeyPair, bool]:
    """The client pair, and whether it was made just now."""
    try:
        return store.client_pair(), False
    except KeyNotFoundError:
        pass
    try:
        return store.create_client_pair(), True
    except KeyExistsError:
        if not store.pair_files(paths.CLIENT).secret_path.exists():
            raise
        return store.client_pair(), False  # somebody else made it in between


def login_name() -> str:
    """A client name for whoever runs this."""
    try:
        return client_name_for(getpass.getuser())
    except (KeyError, OSError):  # a container's user without an entry in passwd; OSError since Python 3.13
        return f"uid-{os.getuid()}"


def _enrol_self(store: KeyStore, key: PublicKey) -> None:
    enrolled = store.authorised_clients().by_key.get(key)
    client = enrolled or store.enrol(login_name(), key)
    click.echo(f"Your client pair {key.fingerprint} is enrolled on this server as {client.name}.")


def _trust_self(store: KeyStore, key: PublicKey) -> None:
    pin = store.trust(LOOPBACK, key)
    click.echo(f"Your scenarios trust this server on loopback, says {pin.path}.")


def _both(*steps: Callable[[], None]) -> None:
    """Take every step, even if one fails; the first error ends the command, the others are told before."""
    failed: list[KeysError] = []
    for step in steps:
        try:
            step()
        except KeysError as error:
            failed.append(error)
    for other in failed[1:]:
        click.echo(f"se-server: {other}", err=True)
    if failed:
        raise failed[0]


def _missing_steps(store: KeyStore) -> str | None:
    """What an earlier keygen left undone because it was cut short, as commands; None if nothing is missing."""
    steps = []
    try:
        server = store.server_pair()
        try:
            enrolled = store.client_pair().public in store.authorised_clients().by_key
        except KeyNotFoundError:
            enrolled = False
            steps.append(store.command("se-remote keygen"))
        if not enrolled:
            steps.append(store.command(f'se-server enrol {login_name()} "$({store.command("se-remote key")})"'))
        if store.known_server("localhost", 1) != server.public:  # any port will do, the entry is for loopback
            steps.append(store.command(f'se-remote trust {LOOPBACK} "$({store.command("se-server key")})"'))
    except KeysError:
        return None  # something is wrong with what is there; its own command will say what
    return " && ".join(steps) or None


@click.command("key")
@keys_dir_option
def server_key(keys_dir: Path | None) -> None:
    """Print this server's public key, to be trusted by its clients."""
    store = KeyStore.open(keys_dir)
    public = store.server_pair().public
    _show(public, "se-server", f"Next, on a client, run: se-remote trust HOST {public.text}")
    plan = ServerSuccession(store).plan()
    if plan is not None:
        click.echo(f"se-server: the next key is {announced(plan)}", err=True)


# ---------------------------------------------------------------------- se-remote


@click.command("keygen")
@keys_dir_option
def client_keygen(keys_dir: Path | None) -> None:
    """Make the key pair that your scenarios show to servers."""
    make_client_pair(KeyStore.open(keys_dir))


def make_client_pair(store: KeyStore) -> None:
    """Make the client's pair, and say what to do next.

    Raises:
        KeysError: If there is one, or it cannot be written.
    """
    public = store.create_client_pair().public
    click.echo(
        f"Made your client key pair {public.fingerprint} in {store.pair_files(paths.CLIENT).secret_path}.\n"
        f"Next, on the server, run: se-server enrol {login_name()} {public.text}"
    )


@click.command("key")
@keys_dir_option
def client_key(keys_dir: Path | None) -> None:
    """Print your public key, to be enrolled on a server."""
    public = KeyStore.open(keys_dir).client_pair().public
    _show(public, "se-remote", f"Next, on the server, run: se-server enrol {login_name()} {public.text}")


@click.command("trust")
@click.argument("endpoint")
@click.argument("key")
@replace_option
@keys_dir_option
def client_trust(endpoint: str, key: str, replace: bool, keys_dir: Path | None) -> None:
    """Pin the server at ENDPOINT to its public KEY. ENDPOINT: HOST, HOST:PORT, [IPV6]:PORT or loopback."""
    store = KeyStore.open(keys_dir)
    pin = store.trust(endpoint, read_public_key(key), replace=replace)
    endpoint_in_scenario = "127.0.0.1" if pin.scope.host == LOOPBACK else pin.scope.text
    click.echo(
        f"{pin.scope} is pinned to the server key {pin.key.fingerprint} in {pin.path}.\n"
        f'Next: remote("{endpoint_in_scenario}") in a scenario; the server must have enrolled what '
        f"`{store.command('se-remote key')}` prints"
    )


def _show(public: PublicKey, program: str, advice: str) -> None:
    """The key alone on standard output, so that ``$(se-remote key)`` is a key; what people compare beside it."""
    click.echo(public.text)
    click.echo(f"{program}: its fingerprint is {public.fingerprint}. {advice}", err=True)


SERVER_COMMANDS: tuple[click.Command, ...] = (server_keygen, server_key, server_rotate, *ENROLMENT_COMMANDS)
CLIENT_COMMANDS: tuple[click.Command, ...] = (client_keygen, client_key, client_trust)
