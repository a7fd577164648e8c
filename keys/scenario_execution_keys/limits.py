# SPDX-License-Identifier: Apache-2.0
"""How much of files a client may carry and leave, as words in a key file or an option. No I/O.

::

    word        means
    total=SIZE  so many bytes in one session, both ways together
    count=N     so many files in one session, both ways together
    rate=SIZE   so many bytes a second, of all sessions together; what is more is slowed down, not refused
    stored=SIZE so many bytes on the server between sessions

A SIZE is a number, with k, M, G or T behind it for powers of 1000. A word that is absent says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from scenario_execution_keys.errors import PermissionValueError

_SIZE = re.compile(r"([0-9]{1,15})([kMGT]?)")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS = (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3))
EXAMPLE = "total=20G count=10000 rate=50M stored=5G"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimits:
    """Each is None if nothing is said about it.

    Attributes:
        total: Bytes in one session.
        count: Files in one session.
        rate: Bytes a second, of all sessions of a client together.
        stored: Bytes on the server between sessions: what it has put there, what is kept for it, what it need not send.
    """

    total: int | None = None
    count: int | None = None
    rate: int | None = None
    stored: int | None = None

    @classmethod
    def parse(cls, words: Iterable[str]) -> FileLimits:
        """The limits that *words* say.

        Raises:
            PermissionValueError: If there is none, one is unknown or said twice, or its value is none.
        """
        found: dict[str, int] = {}
        for word in words:
            name, equals, value = word.partition("=")
            size = _SIZE.fullmatch(value)
            is_known = name in _NAMES and name not in found and bool(equals)
            if not is_known or size is None or (name == "count" and size[2]) or (name == "rate" and not int(size[1])):
                raise PermissionValueError(f"{word!r} limits nothing; {EXAMPLE} would", option="files")
            found[name] = int(size[1]) * _FACTORS[size[2]]
        if not found:
            raise PermissionValueError(f"there is no limit; {EXAMPLE} are some", option="files")
        return cls(**found)

    @property
    def text(self) -> str:
        """The words that say the same."""
        given = {name: value for name in _NAMES if (value := getattr(self, name)) is not None}
        return " ".join(f"{name}={value if name == 'count' else _size(value)}" for name, value in given.items())

    def raised(self, name: str, needed: int) -> FileLimits:
        """These, but *name* so that there is room for what is *needed* twice, as a round number."""
        digits = 10 ** (len(str(2 * needed)) - 1)
        return replace(self, **{name: -(-2 * needed // digits) * digits})

    def else_as(self, other: FileLimits) -> FileLimits:
        """These, and where they say nothing, those of *other*."""
        own = {name: getattr(self, name) for name in _NAMES}
        return FileLimits(**{name: getattr(other, name) if value is None else value for name, value in own.items()})


_NAMES = tuple(field.name for field in fields(FileLimits))


def bytes_of(text: str) -> int | None:
    """The SIZE that *text* is; None if it is none."""
    size = _SIZE.fullmatch(text)
    return None if size is None else int(size[1]) * _FACTORS[size[2]]


def _size(value: int) -> str:
    for unit, factor in _UNITS:
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)
