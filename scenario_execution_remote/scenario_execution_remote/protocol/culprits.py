# SPDX-License-Identifier: Apache-2.0
"""Where in a message the value stands that cannot travel, as a person would write it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

NESTING_LIMIT = 500  # levels; the oldest msgpack we allow packs 511, newer ones 1024, and none of them reads more
_PATH_CHARACTERS = 200  # of the path to a culprit; whoever nests deeper finds the place by its beginning
NOBODY = object()  # in place of a value, where none but the whole is to blame


def place_of(message: Any, culprit: object) -> str:
    """The way to *culprit* in *message*, for example ``arguments['poses'][2]``; or what the message is, if that is all
    that can be said."""
    try:
        path = _path_to_trouble(message, culprit, "", ())
    except RecursionError:  # close to the limit already when the message was to be sent
        path = None
    if not path:
        return f"the {type(message).__name__}"
    return path if len(path) <= _PATH_CHARACTERS else f"{path[:_PATH_CHARACTERS]}..."


def _path_to_trouble(value: object, culprit: object, path: str, above: tuple[int, ...]) -> str | None:
    """The way from *value* to *culprit*, or to where it contains itself or is nested too deep.

    Searched only once packing has already failed, and in the same order, so that this ends as soon as that did.
    """
    if value is culprit or id(value) in above or len(above) > NESTING_LIMIT:
        return path
    for child_path, child in _children(value, path):
        found = _path_to_trouble(child, culprit, child_path, (*above, id(value)))
        if found is not None:
            return found
    return None


def _children(value: object, path: str) -> Iterator[tuple[str, object]]:
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield f"{path}.{field.name}" if path else field.name, getattr(value, field.name)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{path}, key", key
            yield f"{path}[{_key_text(key)}]", item
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item


def _key_text(key: object) -> str:
    if type(key) in (str, bytes, float, bool, type(None)) or type(key) is int and abs(key) < 2**64:
        return f"{key!r:.40}"
    return f"<{type(key).__qualname__}>"  # the repr of an action's object is the action's code, of a long number slow
