# SPDX-License-Identifier: Apache-2.0
"""The key commands of se-server and se-remote, and the one place where their errors become exit codes."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import KeyExistsError, KeyFileError, KeyNotFoundError, KeysError
from scenario_execution_keys.keyfile import parse_key_file
from scenario_execution_keys.keypair import (
    FINGERPRINT_PREFIX,
    PUBLIC_PREFIX,
    SECRET_PREFIX,
    Z85_CHARS,
    KeyPair,
    PublicKey,
)
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import LOOPBACK, client_name_for


class KeysGroup(click.Group):
    """A group of commands that ends with an error's own exit code; its name is the program's."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeysError as error:
            click.echo(f"{self.name}: {error}", err=True)
            ctx.exit(error.exit_code)


keys_dir_option = click.option(
    "--keys-dir",
    envvar=paths.KEYS_DIR_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the keys, instead of the one in your configuration folder.",
)
_replace_option = click.option("--replace", is_flag=True, help="Exchange the key that is there already.")


def read_public_key(text: str) -> PublicKey:
    """The public key in a pasted text, or in the ``.key`` file that the text names.

    Raises:
        KeyTextError: If it is no public key.
        KeyNotFoundError, KeyFileError, KeyAccessError: If it names a file that is missing, bad, secret or unreadable.
    """
    if text.strip().lower().startswith((PUBLIC_PREFIX, SECRET_PREFIX, FINGERPRINT_PREFIX)):
        return PublicKey.parse(text)
    path = Path(text)
    looks_like_path = text.endswith((paths.PUBLIC_SUFFIX, paths.SECRET_SUFFIX)) and len(text) != Z85_CHARS
    if not text.strip() or not (looks_like_path or _is_there(path)):
        return PublicKey.parse(text)
    mend = "Give the .key file, or the line that `se-server key` or `se-remote key` prints"
    if text.endswith(paths.SECRET_SUFFIX):
        raise KeyFileError("this is a secret key file, which must never leave its machine", mend, path=path)
    found = parse_key_file(files.read_any(path, mend=mend), path=path, mend=mend)
    if found.secret is not None:
        raise KeyFileError("this file holds a secret key, which must never leave its machine", mend, path=path)
    return found.public


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or (before Python 3.12) with a NUL: no path, then
        return False


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
        "For another machine: run `se-remote keygen` there, enrol what it prints here, and there run: "
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


def _login_name() -> str:
    try:
        return client_name_for(getpass.getuser())
    except (KeyError, OSError):  # a container's user without an entry in passwd; OSError since Python 3.13
        return f"uid-{os.getuid()}"


def _enrol_self(store: KeyStore, key: PublicKey) -> None:
    enrolled = store.authorised_clients().by_key.get(key)
    client = enrolled or store.enrol(_login_name(), key)
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
            steps.append(store.command(f'se-server enrol {_login_name()} "$({store.command("se-remote key")})"'))
        if store.known_server("localhost", 1) != server.public:  # any port will do, the entry is for loopback
            steps.append(store.command(f'se-remote trust {LOOPBACK} "$({store.command("se-server key")})"'))
    except KeysError:
        return None  # something is wrong with what is there; its own command will say what
    return " && ".join(steps) or None


@click.command("key")
@keys_dir_option
def server_key(keys_dir: Path | None) -> None:
    """Print this server's public key, to be trusted by its clients."""
    public = KeyStore.open(keys_dir).server_pair().public
    _show(public, "se-server", f"Next, on a client, run: se-remote trust HOST {public.text}")


@click.command("enrol")
@click.argument("name")
@click.argument("key")
@_replace_option
@keys_dir_option
def server_enrol(name: str, key: str, replace: bool, keys_dir: Path | None) -> None:
    """Admit the client with the public KEY and call it NAME. KEY may also be a .key file."""
    store = KeyStore.open(keys_dir)
    client = store.enrol(name, read_public_key(key), replace=replace)
    click.echo(
        f"{client.name} is enrolled with the key {client.key.fingerprint} in {store.clients_folder}; "
        "a running server takes notice by itself.\n"
        f"Next, on the machine of {client.name}: se-remote trust HOST KEY, "
        f"KEY as `{store.command('se-server key')}` prints it here"
    )


# ---------------------------------------------------------------------- se-remote


@click.command("keygen")
@keys_dir_option
def client_keygen(keys_dir: Path | None) -> None:
    """Make the key pair that your scenarios show to servers."""
    store = KeyStore.open(keys_dir)
    public = store.create_client_pair().public
    click.echo(
        f"Made your client key pair {public.fingerprint} in {store.pair_files(paths.CLIENT).secret_path}.\n"
        f"Next, on the server, run: se-server enrol {_login_name()} {public.text}"
    )


@click.command("key")
@keys_dir_option
def client_key(keys_dir: Path | None) -> None:
    """Print your public key, to be enrolled on a server."""
    public = KeyStore.open(keys_dir).client_pair().public
    _show(public, "se-remote", f"Next, on the server, run: se-server enrol {_login_name()} {public.text}")


@click.command("trust")
@click.argument("endpoint")
@click.argument("key")
@_replace_option
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


SERVER_COMMANDS: tuple[click.Command, ...] = (server_keygen, server_key, server_enrol)
CLIENT_COMMANDS: tuple[click.Command, ...] = (client_keygen, client_key, client_trust)
