# SPDX-License-Identifier: Apache-2.0
"""Whether a client and a server know the same messages: a digest of them, which both say, and the sentence if not."""

from __future__ import annotations

import functools
import hashlib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from scenario_execution_remote.protocol import wire
from scenario_execution_remote.protocol.shapes import worded

MESSAGES = "messages"  # what the digest is called among the versions of Hello and Welcome
MEND = "Install client and server from one release, or from one commit."
_DIGEST_BYTES = 8  # against mistakes, not against anybody: who lies about it is not understood, which harms nobody else
_CLIENT, _SERVER = "scenario-execution-remote", "scenario-execution-server"


def described(cls: type) -> str:
    """A message or a part of one, as it stands on the wire: its name, and in order its fields with what they are."""
    hints = typing.get_type_hints(cls)
    return f"{cls.__name__}({', '.join(f'{one.name} {worded(hints[one.name], _other)}' for one in fields(cls))})"


def _other(hint: Any) -> str:
    return "value" if hint is Any else described(hint)


def digest_of(numbered: Iterable[tuple[int, type]]) -> str:
    """A short digest, in hexadecimal, of messages and their numbers."""
    lines = "".join(f"{number} {described(cls)}\n" for number, cls in sorted(numbered, key=lambda one: one[0]))
    return hashlib.sha256(lines.encode()).digest()[:_DIGEST_BYTES].hex()


@functools.cache
def digest_here() -> str:
    """That of all messages which clients and servers of this installation exchange."""
    inside = wire.FROM_FRONT | wire.FOR_FRONT
    return digest_of((number, cls) for number, cls in enumerate(wire.MESSAGES) if cls not in inside)


def disagreement(client: Mapping[str, str], server: Mapping[str, str]) -> str | None:
    """Why a client and a server with these versions would not understand each other; None if they do.

    Args:
        client: As its Hello has them.
        server: As its Welcome has them.
    """
    if client.get(MESSAGES) == server.get(MESSAGES):
        return None
    why = "their messages are not the same"
    for side, versions in (("client", client), ("server", server)):
        if MESSAGES not in versions:
            why = f"the {side} does not say which messages it knows, as older ones do not"
    here, there = client.get(_CLIENT, "none"), server.get(_SERVER, "none")
    return f"The client has {_CLIENT} {here}, the server {_SERVER} {there}, and {why}. {MEND}"
