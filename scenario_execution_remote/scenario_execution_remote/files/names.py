# SPDX-License-Identifier: Apache-2.0
"""What a file that comes from another machine may be called. Asked by both sides, of every name. No I/O.

A name is relative to the folder that is carried over, with ``/`` between its parts, and text as ``os.fsdecode`` makes
it: bytes that are not UTF-8 travel as lone surrogates.
"""

from __future__ import annotations

import os
import re

OWN_PREFIX = ".scenario-remote-"  # of the markers and unfinished files that this program makes itself
PART_LIMIT_BYTES = 255  # NAME_MAX of every file system in use
NAME_LIMIT_BYTES = 2048  # half of PATH_MAX, so that the folder in front of it fits as well
DEPTH_LIMIT = 64  # folders inside each other; each costs a descriptor's turn, and nobody nests that deep by intention
_SHOWN_CHARACTERS = 120  # of a name in a sentence

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a terminal that shows them obeys them


class NameRefusedError(ValueError):
    """A name may not be used; the sentence shows it, harmlessly spelled, and says why."""

    def __init__(self, name: str, why: str) -> None:
        shown = ascii(name[:_SHOWN_CHARACTERS]) + ("..." if len(name) > _SHOWN_CHARACTERS else "")
        super().__init__(f"the file {shown} is left where it is: {why}")


def checked(name: str) -> tuple[str, ...]:
    """The parts of *name*.

    Raises:
        NameRefusedError: it could lead out of the folder, cannot be used everywhere, or is one of our own.
    """
    if not name:
        raise NameRefusedError(name, "it has no name")
    if name.startswith("/"):
        raise NameRefusedError(name, "its name is absolute")
    parts = tuple(name.split("/"))
    if len(parts) > DEPTH_LIMIT:
        raise NameRefusedError(name, f"it lies more than {DEPTH_LIMIT} folders deep")
    if _bytes_of(name, name) > NAME_LIMIT_BYTES:
        raise NameRefusedError(name, f"its name is longer than {NAME_LIMIT_BYTES} bytes")
    for part in parts:
        if part in ("", ".", ".."):
            raise NameRefusedError(name, "its name has a part that is empty or made of dots")
        if _CONTROL.search(part):
            raise NameRefusedError(name, "its name has control characters")
        if _bytes_of(part, name) > PART_LIMIT_BYTES:
            raise NameRefusedError(name, f"a part of its name is longer than {PART_LIMIT_BYTES} bytes")
        if part.startswith(OWN_PREFIX):
            raise NameRefusedError(name, f"names with {OWN_PREFIX} belong to the transfer itself")
    return parts


def checked_link(name: str, target: str) -> str:
    """The *target* of the symbolic link *name*.

    It may go up from the link's own folder and then down, and not up again: what lies below may be a link itself, and
    ``..`` behind one leads where its target lies.

    Raises:
        NameRefusedError: it could lead out of the folder.
    """
    height = len(checked(name)) - 1
    if not target or target.startswith("/"):
        raise NameRefusedError(name, "it is a link to an absolute path")
    parts = target.split("/")
    while parts and parts[0] == "..":
        parts.pop(0)
        height -= 1
    if height < 0 or ".." in parts:
        raise NameRefusedError(name, "it is a link that leads out of the folder")
    if _CONTROL.search(target) or _bytes_of(target, name) > NAME_LIMIT_BYTES:
        raise NameRefusedError(name, "it is a link to a name that is no good")
    return target


def beside(name: str, origin: str, count: int) -> str:
    """Another name for what came from *origin* while *name* is taken; *count* from 1 tells such names apart."""
    words = re.sub(r"[^A-Za-z0-9.-]+", "-", origin).strip("-.") or "server"
    ending = f"~{words[-100:]}" + (f"-{count}" if count > 1 else "")
    folder, slash, last = name.rpartition("/")
    while len(os.fsencode(last)) > PART_LIMIT_BYTES - len(ending):
        last = last[:-1]
    return f"{folder}{slash}{last}{ending}"


def _bytes_of(text: str, name: str) -> int:
    try:
        return len(os.fsencode(text))
    except UnicodeEncodeError:
        raise NameRefusedError(name, "its name has no form in bytes") from None
