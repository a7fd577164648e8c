# SPDX-License-Identifier: Apache-2.0
"""The page that lists every message with its fields, made from the messages: ``docs/reference/messages.md``.

A test compares the two and says how to make the page anew.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.agreement import digest_here
from scenario_execution_remote.protocol.frames import PROTOCOL_VERSION, Kind
from scenario_execution_remote.protocol.shapes import worded

_FRAMES: dict[type, Kind] = {
    messages.Hello: Kind.HELLO,
    messages.Enrol: Kind.HELLO,
    messages.Welcome: Kind.WELCOME,
    messages.Enrolled: Kind.WELCOME,
    messages.Refused: Kind.REFUSED,
    messages.Ended: Kind.ENDED,
    messages.Notice: Kind.NOTICE,
    messages.Inspect: Kind.HELLO,
    messages.Inspected: Kind.WELCOME,
}
_PARTS = (messages.Plugin, messages.Actor, messages.Directories, messages.Fault, messages.Entry, messages.NextKey)


def message_page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Messages",
        "",
        f"Every message of [protocol version {PROTOCOL_VERSION}](protocol.md): its number, and its fields in order.",
        f"The [digest](protocol.md#the-same-messages) of those that clients and servers exchange is `{digest_here()}`.",
        "This page is made from the code by `scenario_execution_remote.protocol.reference`; a test compares the two.",
    ]
    groups = {
        "In frames of their own, between client and server": frozenset(_FRAMES),
        "In DATA, from the client to the worker": wire.FROM_CLIENT - wire.FROM_WORKER,
        "In DATA, from the worker to the client": wire.FROM_WORKER - wire.FROM_CLIENT,
        "In DATA, from whoever has a file to whoever gets it, and back": wire.FROM_CLIENT & wire.FROM_WORKER,
        "Inside the server, between front and worker": wire.FROM_FRONT | wire.FOR_FRONT,
    }
    for title, group in groups.items():
        lines += ["", f"## {title}"]
        for number, cls in enumerate(wire.MESSAGES):
            if cls in group:
                lines += _section(f"{number} {cls.__name__}", cls)
    lines += [
        "",
        "## Parts of messages",
        "",
        "Arrays of their fields, without a number. So is a whole message that is a field of another one.",
    ]
    for cls in _PARTS:
        lines += _section(cls.__name__, cls)
    return "\n".join(lines) + "\n"


def _section(title: str, cls: type) -> Iterator[str]:
    text, meanings = _explained(cls)
    frame = f"In {_FRAMES[cls].name}. " if cls in _FRAMES else ""
    yield from ("", f"### {title}", "", frame + text)
    hints = typing.get_type_hints(cls)
    if hints:
        yield ""
    for name, hint in hints.items():
        meaning = meanings.get(name)
        yield f"* `{name}`: {worded(hint, _linked)}" + (f". {meaning}" if meaning else "")


def _explained(cls: type) -> tuple[str, dict[str, str]]:
    """What the docstring says about the message, and about each field."""
    # without its indentation, which Python 3.13 takes away by itself
    text, _, attributes = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:")
    meanings = {}
    for name, meaning in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE):
        meanings[name] = _markdown(meaning)
    return _markdown(text), meanings


def _markdown(text: str) -> str:
    return re.sub(r"``([^`]*)``", r"`\1`", re.sub(r":\w+:`([^`]*)`", r"`\1`", " ".join(text.split())))


def _linked(hint: Any) -> str:
    """A link to what is said of values, of a message or of a part."""
    if hint is Any:
        return "[value](protocol.md#values)"
    cls = typing.cast(type, hint)
    anchor = cls.__name__.lower() if cls in _PARTS else f"{wire.MESSAGES.index(cls)}-{cls.__name__.lower()}"
    return f"[{cls.__name__}](#{anchor})"
