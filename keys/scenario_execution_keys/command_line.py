# SPDX-License-Identifier: Apache-2.0
"""What the key commands share: the place where errors become exit codes, and how options become values."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import click

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import KeyFileError, KeysError
from scenario_execution_keys.keyfile import parse_key_file
from scenario_execution_keys.keypair import FINGERPRINT_PREFIX, PUBLIC_PREFIX, SECRET_PREFIX, Z85_CHARS, PublicKey
from scenario_execution_keys.limits import EXAMPLE, FileLimits
from scenario_execution_keys.permissions import (
    Permissions,
    parse_actions,
    parse_networks,
    parse_sessions,
    parse_when,
    show_instant,
)

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


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
replace_option = click.option("--replace", is_flag=True, help="Exchange the key that is there already.")


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


# ---------------------------------------------------------------------- permissions

_PERMISSIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--allow", multiple=True, metavar="GLOB", help="Actions it may run, as 'nav_*'; may be repeated."),
    click.option("--from", "from_", multiple=True, metavar="CIDR", help="Networks it may come from; may be repeated."),
    click.option("--until", metavar="WHEN", help="When it ends: a span such as 90d, or a date-time."),
    click.option("--sessions", metavar="N", help="How many sessions it may have at a time."),
    click.option("--files", multiple=True, metavar="LIMIT", help=f"What it may carry and leave, as {EXAMPLE}."),
)


def permission_options(command: Decorated) -> Decorated:
    """The options of `enrol` that restrict a client, for whoever makes one."""
    flags = (
        click.option("--observe", is_flag=True, help="It may connect and look, and run nothing."),
        click.option("--admin", is_flag=True, help="It may ask for the server's status: whose sessions run there."),
    )
    for option in reversed(_PERMISSIONS + flags):
        command = option(command)
    return command


def permission_changes(command: Decorated) -> Decorated:
    """The same for `permit`, where each can be taken back as well."""
    flags = (
        click.option("--observe/--no-observe", default=None, help="It may connect and look, and run nothing."),
        click.option(
            "--admin/--no-admin", default=None, help="It may ask for the server's status: whose sessions run there."
        ),
    )
    for option in reversed(_PERMISSIONS + flags):
        command = option(command)
    return command


def changes_from(
    allow: tuple[str, ...],
    from_: tuple[str, ...],
    until: str | None,
    sessions: str | None,
    files: tuple[str, ...],
    observe: bool | None,
    admin: bool | None,
) -> dict[str, str | None]:
    """What the options of a command line change, by name in the key file; None takes an option away.

    ``--allow '*'``, ``--from any``, ``--until never``, ``--sessions any`` and ``--files any`` take a restriction away.

    Raises:
        PermissionValueError: If a value is none of its option.
    """
    changes: dict[str, str | None] = {}
    if allow:
        globs = parse_actions(allow)
        changes["actions"] = None if globs is None else " ".join(globs)
    if from_:
        changes["from"] = None if from_ == ("any",) else " ".join(map(str, parse_networks(from_)))
    if until is not None:
        now = datetime.now(timezone.utc)
        changes["until"] = None if until == "never" else show_instant(parse_when(until, now))
    if sessions is not None:
        changes["sessions"] = None if sessions == "any" else str(parse_sessions(sessions))
    if files:
        changes["files"] = None if files == ("any",) else FileLimits.parse(" ".join(files).split()).text
    if observe is not None:
        changes["observe"] = "yes" if observe else None
    if admin is not None:
        changes["admin"] = "yes" if admin else None
    return changes


def permissions_from(**options: Any) -> Permissions | None:
    """The permissions that options ask for; None if none was given.

    Raises:
        PermissionValueError: If a value is none of its option, or two contradict each other.
    """
    changes = changes_from(**options)
    given = {name: value for name, value in changes.items() if value is not None}
    return Permissions.from_metadata(given) if given else None


def read_standard_input(text: str) -> str:
    """`text`, or for ``-`` the first line of standard input: the way for what should not stand in a command line."""
    return sys.stdin.readline(_LONGEST_LINE).strip() if text == "-" else text


_LONGEST_LINE = 4096  # characters; an invitation with several endpoints has some hundreds
