# SPDX-License-Identifier: Apache-2.0
"""What `se-remote ls`, `get`, `put` and `rm` ask of a client's own files on the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFiles:
    """Say what lies on the server for this client below ``path``, or what there is if that is empty. Answered by
    :class:`Listing`."""

    call: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The outcome of a :class:`ListFiles`.

    Attributes:
        call: Number of the call this answers.
        entries: One list for each: its name, with a slash at the end for a folder; ``result``, ``folder``, ``file`` or
            ``link``; its size in bytes; when it was changed, in seconds since 1970; and when it is removed, or None.
    """

    call: int
    entries: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Send ``path`` of what lies there, and all that is below it, as artifacts of mount 0. The value of the result is
    how many of them could not be read."""

    call: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFiles:
    """Remove ``path`` of what lies there, and all that is below it. The value of the result is how many files that
    were, and their bytes."""

    call: int
    path: str


STORE_BUSY = "StoreBusyError"  # the `type_name` of a fault, see below


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """Take the artifacts that follow, of mount 0, up to :class:`CloseStore`, into this client's own files. The value of
    the result is where these are on the server. A fault whose ``type_name`` is ``StoreBusyError`` says that another
    session of this client is doing so, and that it may be asked again."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseStore:
    """No more follow. The value of the result is what went wrong, in a sentence each."""

    call: int


ByHand = ListFiles | Fetch | RemoveFiles | OpenStore | CloseStore
