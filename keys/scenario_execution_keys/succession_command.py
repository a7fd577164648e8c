# SPDX-License-Identifier: Apache-2.0
"""The command `se-server rotate`, which announces the server's next key, says what is announced, and takes it back."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import click

from scenario_execution_keys.command_line import keys_dir_option
from scenario_execution_keys.pairs import NextPair
from scenario_execution_keys.permissions import parse_when, show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession

DEFAULT_GRACE = "7d"  # whoever runs scenarios does so within a working week; who does not is told what to do


@click.command("rotate")
@click.option(
    "--in", "grace", metavar="SPAN", help=f"How long the present key still counts, as 30d. Default: {DEFAULT_GRACE}."
)
@click.option("--at", "moment", metavar="WHEN", help="From when the next key counts instead: a date or date-time.")
@click.option("--cancel", is_flag=True, help="Keep the present key, and forget the next one.")
@keys_dir_option
def server_rotate(grace: str | None, moment: str | None, cancel: bool, keys_dir: Path | None) -> None:
    """Announce the server's next key to its clients, and switch to it later.

    Clients hear of it in their sessions and accept it by themselves when it counts; running servers switch to it
    without a restart. Where a next key is announced already, --in and --at move its date, and without them nothing is
    changed.
    """
    if sum((grace is not None, moment is not None, cancel)) > 1:
        raise click.UsageError("only one of --in, --at and --cancel can be given")
    store = KeyStore.open(keys_dir)
    succession = ServerSuccession(store)
    if cancel:
        forgotten = succession.cancel()
        click.echo(
            f"The server's key stays {store.server_pair().public.fingerprint}; the next key "
            f"{forgotten.pair.public.fingerprint} is forgotten.\n"
            "Clients that have heard of it hear of that in their next session."
        )
        return
    when = grace if grace is not None else moment
    following = None if when is not None else succession.plan()
    if following is None:
        following = succession.announce(parse_when(when or DEFAULT_GRACE, datetime.now(timezone.utc)))
    _tell(store, following)


def _tell(store: KeyStore, following: NextPair) -> None:
    assert following.counts_from is not None  # a server's always has a date
    public = following.pair.public
    click.echo(
        f"The server's next key is {public.fingerprint}. It counts from {show_instant(following.counts_from)}; until "
        f"then {store.server_pair().public.fingerprint} does.\n"
        "Running servers tell it to every client that has a session until then, and switch by themselves; nothing is "
        "left to do for those clients.\n"
        f"Every other client is refused then, until it has run: se-remote trust --replace HOST {public.text}\n"
        "To see who was told, run: se-server status. "
        f"To take it back, run: {store.command('se-server rotate --cancel')}"
    )
