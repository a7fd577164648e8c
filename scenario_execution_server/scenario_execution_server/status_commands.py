# SPDX-License-Identifier: Apache-2.0
"""`se-server status`: how the running servers of this user are, as they say over their control sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.files.figures import amount
from scenario_execution_server.control import ASK_WITHIN_S, ask_all, ask_each, process_of, runtime_folder
from scenario_execution_server.errors import NoServerError
from scenario_execution_server.journal import escaped

STATUS = {"ask": "status"}


@click.command("status")
@click.option("--endpoint", metavar="TEXT", help="Only servers with an endpoint that contains TEXT, as :7613.")
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document with a list of servers.")
def status(endpoint: str | None, as_json: bool) -> None:
    """Say how your running servers on this machine are."""
    servers, silent = ask_each(STATUS)
    wanted = [one for one in servers if endpoint is None or any(endpoint in place for place in one["endpoints"])]
    if as_json:
        click.echo(json.dumps({"servers": wanted}, indent=2))
    else:
        click.echo("\n\n".join(_described(server) for server in wanted), nl=bool(wanted))
    if silent and (not wanted or endpoint is None):
        raise _silent(silent)
    if not wanted:
        which = f" at {endpoint}" if endpoint is not None else ""
        raise NoServerError(
            f"none of your servers runs on this machine{which} (looked in {runtime_folder()})",
            "Run: scenario_execution_server --curve",
        )


def _silent(paths: Sequence[Path]) -> NoServerError:
    """What to say about servers that are there and do not answer; where they listen, only they could tell."""
    who = " and ".join(f"the one with pid {process_of(path)} ({path})" for path in paths)
    what = f"of your servers on this machine, {who} is there and does not answer within {ASK_WITHIN_S:g} s"
    pid = process_of(paths[0])
    mend = f"If `ps -o stat= -p {pid}` shows T, it is stopped: run kill -CONT {pid}. Else run: kill -KILL {pid}"
    return NoServerError(what, f"{mend}, and start it again")


def live_clients(store: KeyStore) -> Mapping[str, Mapping[str, Any]]:
    """What running servers with this key store know about their clients, for `se-server clients`."""
    merged: dict[str, dict[str, Any]] = {}
    for server in ask_all(STATUS):
        if server.get("keys") != str(store.directory):
            continue
        for name, about in server.get("clients", {}).items():
            before = merged.get(name)
            newer = before is None or (about.get("last_seen") or "") >= (before.get("last_seen") or "")
            sessions = about.get("sessions", 0) + (before or {}).get("sessions", 0)
            merged[name] = {**(about if newer or before is None else before), "sessions": sessions}
    return merged


def listening(store: KeyStore) -> list[str]:
    """Where servers with this key store listen for enrolled clients now, as ``HOST:PORT``; HOST may be ``*``."""
    ours = (one for one in ask_all(STATUS) if one.get("keys") == str(store.directory) and one["server_key"])
    found = [one["endpoints"] for one in ours]
    return [place.removeprefix("tcp://") for places in found for place in places if place.startswith("tcp://")]


def _described(server: Mapping[str, Any]) -> str:
    audit = server["audit"]
    if audit["path"] is None:
        log = "none (--no-audit)"
    elif audit["trouble"]:
        log = f"{audit['path']} CANNOT BE WRITTEN: {audit['trouble']}; {audit['lost']} entries lost"
    else:
        log = audit["path"] + (f"; {audit['lost']} entries lost" if audit["lost"] else "")
    refusals = ", ".join(f"{reason} {count}" for reason, count in sorted(server["refusals"].items())) or "none"
    rows = {
        "server": f"{', '.join(server['endpoints'])}  (pid {server['pid']}, version {server['version']})",
        "key": server["server_key"] or "none, nothing is encrypted",
        **_next_key(server),
        "self-test": server["self_test"],
        "authenticator": server["authenticator"],
        "up": f"{_span(server['uptime_s'])}, since {server['started'][:19]}Z",
        "refusals": refusals,
        "folders kept": str(len(server["folders_kept"])) if server["folders_kept"] else "none",
        "audit log": log,
        "sessions": f"{len(server['sessions'])} of {server['max_sessions']}",
    }
    lines = [f"{name + ':':<15}{escaped(text)}" for name, text in rows.items()]
    for session in server["sessions"]:
        who = f"{session['client']} {session['fingerprint'] or '(no key)'} from {session['address']}"
        worker = f"worker {session['worker_pid']}" if session["worker_pid"] else "no worker yet"
        lines.append(
            escaped(f"  {session['session'][:8]}  {who}  {_span(session['age_s'])}  {worker}  {session['state']}")
        )
    for kept in server["folders_kept"]:
        what = f"{kept['client']}, {amount(kept['size_bytes'])}, {_span(kept['age_s'])} old"
        lines.append(escaped(f"  kept      {what}, until {kept['until']}: {kept['path']}"))
    return "\n".join(lines)


def _next_key(server: Mapping[str, Any]) -> dict[str, str]:
    if server["next_server_key"] is None:
        return {}
    told = ", ".join(server["next_server_key_told"]) or "nobody yet"
    return {"next key": f"{server['next_server_key']} from {server['next_server_key_from']}; told: {told}"}


def _span(seconds: float) -> str:
    """A span as people say it: the two largest units."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
