# SPDX-License-Identifier: Apache-2.0
"""The commands of se-server that decide who may come in: they change files, and a running server takes notice."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import click

from scenario_execution_keys.command_line import (
    changes_from,
    keys_dir_option,
    permission_changes,
    permission_options,
    permissions_from,
    read_public_key,
    read_standard_input,
    replace_option,
)
from scenario_execution_keys.errors import KeyNotFoundError, PermissionValueError
from scenario_execution_keys.invitation import ENDPOINTS_LIMIT, endpoint_scope
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.pending import PendingKeys
from scenario_execution_keys.permissions import Permissions, parse_when, show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import Client

DEFAULT_PORT = 7613  # that of `remote()` and of the server; a test compares the three


def _flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """An option that was not given says nothing, rather than no."""
    return {**options, "observe": options["observe"] or None, "admin": options["admin"] or None}


class LiveView(Protocol):
    """What a running server knows about its clients, for `se-server clients`; nobody has to offer it."""

    def __call__(self, store: KeyStore) -> Mapping[str, Mapping[str, Any]]:
        """By client name: ``last_seen`` and ``address`` (texts or None) and ``sessions`` (how many run)."""
        ...


live_views: list[LiveView] = []
"""Who can be asked about running servers. `se-server` appends itself; the first that answers with something counts."""


EndpointView = Callable[[KeyStore], list[str]]
"""Where running servers with a key store listen, as ``HOST:PORT``; ``*`` is every address of this machine."""

endpoint_views: list[EndpointView] = []
"""Who can be asked for that, when an invitation has to say where the server is. `se-server` appends itself."""


@click.command("enrol")
@click.argument("name")
@click.argument("key")
@permission_options
@replace_option
@keys_dir_option
def server_enrol(name: str, key: str, replace: bool, keys_dir: Path | None, **options: Any) -> None:
    """Admit the client with the public KEY and call it NAME.

    KEY may also be a .key file, or - for standard input. Without options it may run every action, from anywhere, for
    ever.
    """
    store = KeyStore.open(keys_dir)
    permissions = permissions_from(**_flags(options))
    client = store.enrol(name, read_public_key(read_standard_input(key)), replace=replace, permissions=permissions)
    click.echo(
        f"{client.name} is enrolled with the key {client.key.fingerprint} in {store.clients_folder}; "
        "a running server takes notice by itself.\n"
        f"It may: {_may(client)}.\n"
        f"Next, on the machine of {client.name}: se-remote trust HOST KEY, "
        f"KEY as `{store.command('se-server key')}` prints it here"
    )


@click.command("permit")
@click.argument("name")
@permission_changes
@keys_dir_option
def server_permit(name: str, keys_dir: Path | None, **options: Any) -> None:
    """Change what the client NAME may do; what no option speaks of stays.

    An option replaces what stood there: --allow is the whole list of globs. --allow '*', --from any, --until never,
    --sessions any and --files any take a restriction away.
    """
    store = KeyStore.open(keys_dir)
    changes = changes_from(**options)
    if not changes:
        raise PermissionValueError(
            "nothing to change was given", f"Run: {store.command(f'se-server permit {name}')} --help", option="permit"
        )
    client = store.permit(name, changes)
    click.echo(f"{client.name} may: {_may(client)}.\nA running server takes notice by itself.")


@click.command("revoke")
@click.argument("name")
@keys_dir_option
def server_revoke(name: str, keys_dir: Path | None) -> None:
    """Admit the client NAME no longer, and have a running server end what it runs."""
    store = KeyStore.open(keys_dir)
    was_invited = Invitations(store).withdraw(name)
    try:
        store.revoke(name)
    except KeyNotFoundError:
        if not was_invited:
            raise
        click.echo(f"The invitation of {name} is withdrawn.")
        return
    click.echo(
        f"{name} is not enrolled any more. A running server ends its sessions within a second.\n"
        f"To see who is left, run: {store.command('se-server clients')}"
    )


@click.command("clients")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
@keys_dir_option
def server_clients(as_json: bool, keys_dir: Path | None) -> None:
    """List who is enrolled, with permissions, and with what a running server knows about them."""
    store = KeyStore.open(keys_dir)
    found = store.authorised_clients()
    live: Mapping[str, Mapping[str, Any]] = next((view for ask in live_views if (view := ask(store))), {})
    rows = [_row(client, live.get(client.name, {})) for client in found.by_key.values()]
    refused = [{"name": entry.name, "why": entry.error.what, "next": entry.error.mend} for entry in found.refused]
    if as_json:
        click.echo(json.dumps({"clients": rows, "refused": refused}, indent=2))
        return
    if rows:
        click.echo(_table(rows, _CLIENT_COLUMNS))
    elif not refused:
        click.echo(f"Nobody is enrolled. Run: {store.command('se-server invite NAME')}")
    for entry in found.refused:
        click.echo(f"{entry.name} does not count: {entry.error}", err=True)


def _row(client: Client, live: Mapping[str, Any]) -> dict[str, Any]:
    may = client.permissions
    return {
        "name": client.name,
        "fingerprint": client.key.fingerprint,
        "next_fingerprint": client.next_key.fingerprint if client.next_key is not None else None,
        "enrolled": client.metadata.get("enrolled"),
        "expires": show_instant(may.until) if may.until is not None else None,
        "permissions": may.to_metadata(),
        "summary": may.summary(),
        "last_seen": live.get("last_seen"),
        "address": live.get("address"),
        "sessions": live.get("sessions"),
    }


_CLIENT_COLUMNS = {
    "name": "NAME",
    "fingerprint": "FINGERPRINT",
    "enrolled": "ENROLLED",
    "expires": "EXPIRES",
    "last_seen": "LAST SEEN",
    "address": "FROM",
    "sessions": "SESSIONS",
    "summary": "MAY",
}
_PENDING_COLUMNS = {"fingerprint": "FINGERPRINT", "address": "FROM", "first_seen": "SINCE", "last_seen": "LAST SEEN"}
_UNKNOWN = {"expires": "never"}


def _table(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> str:
    cells = [tuple(columns.values()), *(tuple(_cell(row, column) for column in columns) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    return _UNKNOWN.get(column, "-") if value is None else str(value)


def _may(client: Client) -> str:
    may = client.permissions
    return may.summary() + (f", until {show_instant(may.until)}" if may.until is not None else "")


@click.command("invite")
@click.argument("name")
@click.option("--ttl", default="15m", show_default=True, metavar="SPAN", help="How long the line is good.")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Where the client finds this server; may be repeated. Default: where one with these keys listens now, else "
    f"this machine's name and port {DEFAULT_PORT}.",
)
@permission_options
@replace_option
@keys_dir_option
def server_invite(
    name: str, ttl: str, endpoints: tuple[str, ...], replace: bool, keys_dir: Path | None, **options: Any
) -> None:
    """Print one line that enrols whoever pastes it into `se-remote join`, once, as NAME.

    No server need run for that, but one has to when the line is used. The line is a secret until then.
    """
    store = KeyStore.open(keys_dir)
    permissions = permissions_from(**_flags(options)) or Permissions()
    until = parse_when(ttl, datetime.now(timezone.utc), option="--ttl", mend="See: se-server invite --help")
    found = [place for ask in endpoint_views for place in ask(store)] if not endpoints else []
    wanted = [_with_port(text) for text in endpoints or map(_reachable, found[:ENDPOINTS_LIMIT] or ["*"])]
    invitation = Invitations(store).create(name, wanted, until, permissions, replace=replace)
    click.echo(invitation.text)
    guessed = "" if endpoints else " (as it listens now; --endpoint says better)" if found else _GUESSED
    click.echo(
        f"se-server: {name} may: {permissions.summary()}. The line is good once, "
        f"until {show_instant(invitation.until)}, "
        f"for a client that finds this server at {' or '.join(invitation.endpoints)}{guessed}.\n"
        "Next, on that client, run: se-remote join LINE",
        err=True,
    )


_GUESSED = " (guessed, no server of this key store runs; --endpoint says better)"


def _reachable(listening: str) -> str:
    """Where a client finds what listens there; what listens everywhere is found under the machine's name."""
    host, colon, port = listening.rpartition(":")
    if not colon:
        return socket.gethostname()
    return f"{socket.gethostname()}:{port}" if host in ("*", "0.0.0.0", "[::]") else listening


def _with_port(endpoint: str) -> str:
    scope = endpoint_scope(endpoint)
    return scope.text if scope.port is not None else f"{scope.text}:{DEFAULT_PORT}"


@click.command("pending")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document.")
@keys_dir_option
def server_pending(as_json: bool, keys_dir: Path | None) -> None:
    """List the keys that were refused and wait for an answer, the latest first."""
    store = KeyStore.open(keys_dir)
    entries = PendingKeys(store).all()
    rows = [
        {
            "fingerprint": entry.key.fingerprint,
            "key": entry.key.text,
            "address": entry.address,
            "first_seen": entry.first_seen,
            "last_seen": entry.last_seen,
            "denied": entry.is_denied,
        }
        for entry in entries
    ]
    if as_json:
        click.echo(json.dumps({"pending": rows}, indent=2))
        return
    waiting = [row for row in rows if not row["denied"]]
    if not waiting:
        click.echo("No refused key waits for an answer.")
        return
    click.echo(_table(waiting, _PENDING_COLUMNS))
    click.echo(
        f"If you know a fingerprint, run: {store.command('se-server approve FINGERPRINT --name NAME')}", err=True
    )


@click.command("approve")
@click.argument("who")
@click.option("--name", help="What to call the client; by default after the address it came from.")
@permission_options
@keys_dir_option
def server_approve(who: str, name: str | None, keys_dir: Path | None, **options: Any) -> None:
    """Enrol a client that was refused. WHO is its fingerprint, or the name it would get.

    The beginning of the fingerprint will do, from the sixth character after sefp- on.
    """
    store = KeyStore.open(keys_dir)
    pending = PendingKeys(store)
    entry = pending.find(who)
    permissions = permissions_from(**_flags(options))
    client = store.enrol(name or entry.proposal, entry.key, permissions=permissions)
    pending.forget(entry)
    click.echo(
        f"{client.name} is enrolled with the key {client.key.fingerprint} and may: {_may(client)}.\n"
        "A client that waits for it comes in by itself."
    )


@click.command("deny")
@click.argument("who")
@keys_dir_option
def server_deny(who: str, keys_dir: Path | None) -> None:
    """Do not enrol a client that was refused, and list it no longer. WHO as for approve, which takes it back."""
    pending = PendingKeys(KeyStore.open(keys_dir))
    entry = pending.find(who)
    pending.deny(entry)
    click.echo(f"{entry.key.fingerprint} stays refused and is not listed any more.")


ENROLMENT_COMMANDS: tuple[click.Command, ...] = (
    server_enrol,
    server_permit,
    server_revoke,
    server_clients,
    server_invite,
    server_pending,
    server_approve,
    server_deny,
)
