# SPDX-License-Identifier: Apache-2.0
"""The command `se-remote keygen`, which makes the client's pair, and with `--rotate` exchanges it on every server."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import zmq

from scenario_execution_keys.command_line import keys_dir_option
from scenario_execution_keys.commands import make_client_pair
from scenario_execution_keys.errors import KeyNotFoundError
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.rotation import ClientRotation
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import LOOPBACK, KnownServer, ServerScope, find_server

from . import rotating
from .endpoint import Endpoint
from .errors import RemoteError
from .pins import Pins


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A server to tell: where to look for it, which pin covers it, and the keys that it may prove."""

    endpoint: Endpoint
    scope: ServerScope
    pins: Pins


@click.command("keygen")
@click.option("--rotate", is_flag=True, help="Exchange the pair that is there, on all servers that you trust.")
@click.argument("endpoints", nargs=-1, metavar="[ENDPOINT]...")
@keys_dir_option
def keygen_command(rotate: bool, endpoints: tuple[str, ...], keys_dir: Path | None) -> None:
    """Make the key pair that your scenarios show to servers.

    With --rotate a new pair is handed over to the servers at ENDPOINT, by default to all that you trust, in a session
    that the pair there now opens. Servers that are not told keep admitting that one; it is kept for them.
    """
    store = KeyStore.open(keys_dir)
    if not rotate:
        if endpoints:
            raise click.UsageError("ENDPOINT goes with --rotate")
        make_client_pair(store)
        return
    try:
        failed = rotate_client(store, endpoints)
    except RemoteError as error:
        click.echo(f"se-remote: {error}", err=True)
        sys.exit(error.exit_code)
    if failed is not None:
        sys.exit(failed.exit_code)


def rotate_client(store: KeyStore, endpoints: Sequence[str] = ()) -> RemoteError | None:
    """Exchange the client's pair, or go on where this was left; says what was done.

    Args:
        store: The client's key store.
        endpoints: The servers to tell; none for all that are not told.

    Returns:
        Why the first server that could not be told was not told; None if there is none.

    Raises:
        KeysError: A key cannot be read or written, or no server is known.
        EndpointError: One of *endpoints* cannot be one.
    """
    rotation = ClientRotation(store)
    current = rotation.check_own()
    rotation.mend_public(current)
    following, old = rotation.next_pair(), rotation.old_pair()
    known = {pin.scope: pin for pin in store.known_servers()}
    is_late = following is None and old is not None  # the pairs are exchanged, and some server does not know it
    listed = rotation.waiting() if is_late else None
    untold = tuple(scope for scope in (known if listed is None else listed) if scope in known)
    places = _named(store, endpoints) if endpoints else [_place(store, known[scope]) for scope in untold]
    if is_late and not endpoints:
        # Those that were told, and perhaps not that the new key is in its place: it was cut short in between.
        _confirm([_place(store, pin) for scope, pin in known.items() if scope not in untold], current)
    if is_late and not untold and not endpoints:
        rotation.keep_old(current, ())
        click.echo(f"Every server that you trust has your client key {current.public.fingerprint}.")
        return None
    if not places:
        mend = f"Run: {store.command('se-remote trust ENDPOINT KEY')}"
        raise KeyNotFoundError("no server is known that could be told a new key", mend, path=store.servers_folder)
    giver, new = (old, current) if is_late and old is not None else (current, following or rotation.make_next())
    told, failures = _announce(places, giver, new)
    left = tuple(scope for scope in untold if scope not in {place.scope for place in told})
    if told and is_late:
        rotation.keep_old(giver, left)
    elif told:
        rotation.switch(new, left)
    if told:
        _confirm(told, new)
        _tell_success(new, told, untold, left)
    elif is_late:
        click.echo(f"Your client key is {current.public.fingerprint}, and no other server has taken it on.")
    else:
        click.echo(f"Your client key stays {current.public.fingerprint}: no server has taken the new one on.")
    _tell(store, rotation, failures, left if told or is_late else ())
    return next(iter(failures.values()), None)


def _named(store: KeyStore, endpoints: Sequence[str]) -> list[_Place]:
    known = {pin.scope: pin for pin in store.known_servers()}
    places = []
    for text in endpoints:
        endpoint = Endpoint.parse(text)
        pin = None if endpoint.is_unix else find_server(known, endpoint.host, endpoint.port)
        if pin is None:
            mend = f"Run: {store.command(f'se-remote trust {endpoint} KEY')}"
            raise KeyNotFoundError(f"the server at {endpoint} is not pinned", mend, path=store.servers_folder)
        places.append(_place(store, pin, endpoint))
    return places


def _place(store: KeyStore, pin: KnownServer, endpoint: Endpoint | None = None) -> _Place:
    if endpoint is None:
        endpoint = Endpoint.parse("127.0.0.1" if pin.scope.host == LOOPBACK else pin.scope.text)
    return _Place(endpoint=endpoint, scope=pin.scope, pins=Pins(store, endpoint.text, pin.key, pin.next_key))


def _announce(
    places: Sequence[_Place], giver: KeyPair, new: KeyPair
) -> tuple[list[_Place], dict[Endpoint, RemoteError]]:
    told, failures = [], {}
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for place in places:
            try:
                rotating.announce(place.endpoint, giver, new, place.pins, context)
            except RemoteError as error:
                failures[place.endpoint] = error
            else:
                told.append(place)
    finally:
        context.destroy(linger=0)
    return told, failures


def _confirm(places: Sequence[_Place], new: KeyPair) -> None:
    """Have the servers retire the old key. One that is not reached any more does so when we come next."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for place in places:
            try:
                rotating.confirm(place.endpoint, new, place.pins, context)
            except RemoteError as error:
                click.echo(f"se-remote: the old key counts on {place.endpoint} until you come again: {error}", err=True)
    finally:
        context.destroy(linger=0)


def _tell_success(
    new: KeyPair, told: Sequence[_Place], untold: Sequence[ServerScope], left: Sequence[ServerScope]
) -> None:
    """Which servers have the new key, and apart from them those that had it before this rotation was gone on with."""
    fresh = [place.endpoint.text for place in told if place.scope in untold]
    again = [place.endpoint.text for place in told if place.scope not in untold]
    if fresh:
        click.echo(f"Your client key is {new.public.fingerprint} now, on {', '.join(fresh)}.")
    if again:
        was = f"Your client key was {new.public.fingerprint} already on {', '.join(again)}: nothing has changed there."
        waiting = " No further key is made before the rotation that made this one is finished." if left else ""
        click.echo(was + waiting)


def _tell(
    store: KeyStore, rotation: ClientRotation, failures: dict[Endpoint, RemoteError], left: Sequence[ServerScope]
) -> None:
    for endpoint, error in failures.items():
        click.echo(f"Not told: {endpoint}. {error}")
    if left:
        places = " ".join("127.0.0.1" if scope.host == LOOPBACK else scope.text for scope in left)
        click.echo(
            f"The old key is kept in {rotation.old_path} and used for: {places}.\n"
            f"To give them up, run: rm {shlex.quote(str(rotation.old_path))}\n"
            f"To tell them, once they answer, run: {store.command('se-remote keygen --rotate')} {places}"
        )
    elif failures:
        click.echo(f"To try again, run: {store.command('se-remote keygen --rotate')} {' '.join(map(str, failures))}")
