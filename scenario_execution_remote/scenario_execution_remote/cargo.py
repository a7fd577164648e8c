# SPDX-License-Identifier: Apache-2.0
"""What is to be put on a server by hand: found as it was typed, and without keys."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_keys.paths import where_keys_are

from .errors import CarryingError
from .files.folder import Folder
from .files.names import NameRefusedError
from .files.selection import Selection

_UNNAMED = ("", "..")  # the last part of `.` and `..`, which say where something is and not what it is called


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """A file, or a folder with what of it travels.

    Attributes:
        folder: Where it lies.
        own_name: What it is called there.
        name: What it is called on the server: as it was typed, also if that is a link to it.
        entries: Name, from *folder* on, and size of it and of everything in it, folders before what is in them.
        typed: As it was typed.
    """

    folder: Path
    own_name: str
    name: str
    entries: tuple[tuple[str, int], ...]
    typed: Path

    @property
    def is_what(self) -> tuple[Path, str]:
        """What it is here, however it was typed."""
        return self.folder, self.own_name

    def there(self, name: str) -> str:
        """What *name*, one of the entries, is called on the server."""
        return self.name + name[len(self.own_name) :]


def find(typed: Iterable[Path], keys_dir: Path | None = None) -> tuple[list[Cargo], list[str]]:
    """What was typed, before anything of it is opened for reading: a pipe would keep its reader waiting.

    Args:
        typed: Files and folders; links are followed here, and nowhere below.
        keys_dir: Where else keys are.

    Returns:
        What travels, and why the rest does not, in a sentence each.

    Raises:
        CarryingError: something is not there, nothing of it all may travel, or two of them have the same name.
        OSError: it cannot be looked at.
    """
    secret = where_keys_are(keys_dir)
    left: list[str] = []
    found = [_cargo(path, secret, left) for path in typed]
    cargo = [one for one in found if one.entries]
    if not cargo:
        raise CarryingError(f"nothing of it can be put on a server. {'; '.join(left)}. Name other files")
    return _without_twins(cargo), left


def _without_twins(cargo: Iterable[Cargo]) -> list[Cargo]:
    """Each thing once, also if it was typed twice.

    Raises:
        CarryingError: two things would be put under the same name, and the second would replace the first.
    """
    by_name: dict[str, Cargo] = {}
    for one in cargo:
        first = by_name.setdefault(one.name, one)
        if first.is_what != one.is_what:
            both = f"{_quoted(first.typed)} and {_quoted(one.typed)}"
            raise CarryingError(
                f"{both} would both be put under the name {_quoted(Path(one.name))}, one over the other; "
                "nothing is put",
                advice="rename one, or put a link to it, which is put under the name of the link",
                next_command=f"ln -s {_quoted(one.typed)} {_quoted(Path(f'{one.name}-2'))}",
            )
    return list(by_name.values())


def _quoted(path: Path) -> str:
    """As a shell takes it."""
    return shlex.quote(str(path))


def _cargo(typed: Path, secret: list[str], left: list[str]) -> Cargo:
    real = typed.resolve()
    if not os.path.lexists(real):
        raise CarryingError(f"{typed} is not there")
    folder = Folder(real.parent)
    try:
        named = Selection(folder, secret=secret).named(real.name, left)
        entries = tuple((name, look.size_bytes) for name, look in named)
    except NameRefusedError as refusal:
        left.append(str(refusal))
        entries = ()
    finally:
        folder.close()
    name = real.name if typed.name in _UNNAMED else typed.name
    return Cargo(folder=real.parent, own_name=real.name, name=name, entries=entries, typed=typed)
