# SPDX-License-Identifier: Apache-2.0
"""The page that lists every message with its fields, made from the messages: ``docs/reference/messages.md``.

A test compares the two and says how to make the page anew.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import PROTOCOL_VERSION, Kind

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
_TYPES: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bytes: "bytes",
    bytes | memoryview: "bytes",
    bool: "boolean",
    Any: "[value](protocol.md#values)",
}
_PARTS = (messages.Plugin, messages.Actor, messages.Directories, messages.Fault, messages.Entry, messages.NextKey)


def message_page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Messages",
        "",
        f"Every message of [protocol version {PROTOCOL_VERSION}](protocol.md): its number, and its fields in order.",
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
        yield f"* `{name}`: {_type(hint)}" + (f". {meaning}" if meaning else "")


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


def _type(hint: Any) -> str:
    if hint in _TYPES:
        return _TYPES[hint]
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join("nil" if argument is type(None) else _type(argument) for argument in arguments)
    if typing.get_origin(hint) is list:
        return f"array of {_type(arguments[0])}"
    if typing.get_origin(hint) is dict:
        return f"map of {_type(arguments[0])} to {_type(arguments[1])}"
    if is_dataclass(hint):
        name = typing.cast(type, hint).__name__
        anchor = name.lower() if hint in _PARTS else f"{wire.MESSAGES.index(typing.cast(type, hint))}-{name.lower()}"
        return f"[{name}](#{anchor})"
    raise KeyError(hint)
