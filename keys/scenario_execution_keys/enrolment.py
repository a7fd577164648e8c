# SPDX-License-Identifier: Apache-2.0
"""The commands of se-server that decide who may come in: they change files, and a running server takes notice."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from scenario_execution_keys.errors import PermissionValueError
from scenario_execution_keys.permissions import show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import Client


class LiveView(Protocol):
    """What a running server knows about its clients, for `se-server clients`; nobody has to offer it."""

    def __call__(self, store: KeyStore) -> Mapping[str, Mapping[str, Any]]:
        """By client name: ``last_seen`` and ``address`` (texts or None) and ``sessions`` (how many run)."""
        ...


live_views: list[LiveView] = []
"""Who can be asked about running servers. `se-server` appends itself; the first that answers with something counts."""


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
    options = {**options, "observe": options["observe"] or None, "admin": options["admin"] or None}
    permissions = permissions_from(**options)
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

    An option replaces what stood there: --allow is the whole list of globs. --allow '*', --from any, --until never and
    --sessions any take a restriction away.
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
    store.revoke(name)
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
        click.echo(_table(rows))
    elif not refused:
        click.echo(f"Nobody is enrolled. Run: {store.command('se-server invite NAME')}")
    for entry in found.refused:
        click.echo(f"{entry.name} does not count: {entry.error}", err=True)


def _row(client: Client, live: Mapping[str, Any]) -> dict[str, Any]:
    may = client.permissions
    return {
        "name": client.name,
        "fingerprint": client.key.fingerprint,
        "enrolled": client.metadata.get("enrolled"),
        "expires": show_instant(may.until) if may.until is not None else None,
        "permissions": may.to_metadata(),
        "summary": may.summary(),
        "last_seen": live.get("last_seen"),
        "address": live.get("address"),
        "sessions": live.get("sessions"),
    }


_COLUMNS = ("name", "fingerprint", "enrolled", "expires", "last_seen", "address", "sessions", "summary")
_HEADS = ("NAME", "FINGERPRINT", "ENROLLED", "EXPIRES", "LAST SEEN", "FROM", "SESSIONS", "MAY")
_UNKNOWN = {"expires": "never"}


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [_HEADS, *(tuple(_cell(row, column) for column in _COLUMNS) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    return _UNKNOWN.get(column, "-") if value is None else str(value)


def _may(client: Client) -> str:
    may = client.permissions
    return may.summary() + (f", until {show_instant(may.until)}" if may.until is not None else "")


ENROLMENT_COMMANDS: tuple[click.Command, ...] = (server_enrol, server_permit, server_revoke, server_clients)
