# SPDX-License-Identifier: Apache-2.0
"""The command `se-remote status`: whose sessions run on a server, for clients that it lets know that."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import zmq

from scenario_execution_keys.command_line import keys_dir_option
from scenario_execution_keys.store import KeyStore

from .asking import ask, program_here
from .errors import RemoteProtocolError, fault
from .inquiry import ends_with_its_error, json_option, server_key_option, shown, target_of, timeout_option
from .protocol import messages
from .transport import connect


@click.command("status")
@click.argument("endpoint")
@json_option
@server_key_option
@timeout_option
@keys_dir_option
@ends_with_its_error
def status_command(endpoint: str, as_json: bool, server_key: str, timeout_s: float, keys_dir: Path | None) -> None:
    """Say how the server at ENDPOINT is, and whose sessions run there.

    Its operator has to permit that: se-server permit NAME --admin. The operator has `se-server status`.
    """
    place, security = target_of(endpoint, server_key, KeyStore.open(keys_dir))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        connection = connect(
            place, own=security.own, spare=security.spare, server_key=security.server_key,
            next_key=None if security.pins is None else security.pins.next_key,
            deadline_s=time.monotonic() + timeout_s, context=context,
        )  # fmt: skip
        if security.pins is not None and (remark := security.pins.proved(connection.server_key)) is not None:
            click.echo(f"se-remote: {remark.text}", err=True)
        try:
            answer = ask(
                connection, messages.Inspect(program=program_here()), messages.Inspected,
                what="a question", refused=lambda code, text: fault(code, text),
            )  # fmt: skip
        finally:
            connection.close()
    finally:
        context.destroy(linger=0)
    try:
        found = json.loads(answer.status)
        text = json.dumps(found, indent=2) if as_json else "\n".join(map(shown, _described(found)))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RemoteProtocolError(f"the server at {place} describes itself with nonsense: {error!r}") from None
    click.echo(text)


def _described(server: Mapping[str, Any]) -> list[str]:
    rows = {
        "server": f"{', '.join(server['endpoints'])}  (version {server['version']})",
        "up": f"since {server['started'][:19]}Z",
        "refusals": ", ".join(f"{reason} {count}" for reason, count in sorted(server["refusals"].items())) or "none",
        "sessions": f"{len(server['sessions'])} of {server['max_sessions']}",
    }
    lines = [f"{name + ':':<10} {text}" for name, text in rows.items()]
    for session in server["sessions"]:
        who = f"{session['client']} {session['fingerprint'] or '(no key)'} from {session['address']}"
        lines.append(f"  {session['session'][:8]}  {who}  {session['age_s']:.0f} s  {session['state']}")
    return lines
