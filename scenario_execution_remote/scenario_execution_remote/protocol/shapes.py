# SPDX-License-Identifier: Apache-2.0
"""How a message becomes the list of its fields, and such a list the message or an error: by its annotations, read once.

The way of every tick leads through here: what is usual is looked up, and everything else is asked behind that.
"""

from __future__ import annotations

import math
import operator
import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

_Check = Callable[[Any], Any]
_KINDS: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "text",
    bytes: "bytes",
    bytes | memoryview: "bytes",
    bool: "boolean",
}


class WireError(ValueError):
    """The bytes are not the message that belongs here; the sentence says what is wrong with them."""


def worded(hint: Any, other: Callable[[Any], str]) -> str:
    """What a field of this annotation is on the wire, in words.

    Args:
        hint: The annotation.
        other: Finds words for values of any type, and for messages and their parts.
    """
    kind, arguments, origin = _KINDS.get(hint), typing.get_args(hint), typing.get_origin(hint)
    if kind is not None:
        return kind
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return f"{worded(inner, other)} or nil"
    if origin in (list, dict):
        # "array of text or nil" is one that may be missing, and not one of items that may be
        texts = [worded(argument, other) for argument in arguments]
        inside = [f"({text})" if text.endswith(" or nil") else text for text in texts]
        return f"array of {inside[0]}" if origin is list else f"map of {inside[0]} to {inside[1]}"
    return other(hint)


def _checker(hint: Any) -> _Check:
    """A function that returns a decoded field as its declared type, or raises WireError."""
    if hint is Any:
        return lambda value: value
    if hint == bytes | memoryview:  # views are made here and not by msgpack, see ``bulk``
        return _exactly(bytes)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        check = _checker(inner)
        return lambda value: None if value is None else check(value)
    if origin is list:
        is_list, check_item = _exactly(list), _checker(arguments[0])
        return lambda value: [check_item(item) for item in is_list(value)]
    if origin is dict:
        check_key, check_value = _checker(arguments[0]), _checker(arguments[1])
        return lambda value: {check_key(key): check_value(item) for key, item in _exactly(dict)(value).items()}
    if is_dataclass(hint):
        return Shape(typing.cast(type, hint)).build
    return _finite if hint is float else _exactly(hint)


def _taken_as_is(hint: Any) -> frozenset[type]:
    """The types whose values, of whatever size, are right for *hint* without a further look."""
    if hint in (int, str, bytes, bool, types.NoneType):
        return frozenset((hint,))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return frozenset().union(*map(_taken_as_is, typing.get_args(hint)))
    return frozenset()


def _taken_in_list(hint: Any) -> frozenset[type]:
    """The same for what lies in a list, if *hint* is one."""
    return _taken_as_is(typing.get_args(hint)[0]) if typing.get_origin(hint) is list else frozenset()


def _exactly(kind: type) -> _Check:
    def check(value: Any) -> Any:
        if type(value) is not kind:  # not isinstance: True is no number here
            raise WireError(f"{kind.__name__} expected, {type(value).__name__} found")
        return value

    return check


def _finite(value: Any) -> float:
    if type(value) not in (int, float):
        raise WireError(f"float expected, {type(value).__name__} found")
    if not math.isfinite(value):
        raise WireError(f"a number expected, {value} found")
    return float(value)


class Shape:
    """How one dataclass becomes a list of its fields, and back.

    Args:
        cls: The dataclass.

    Attributes:
        cls: The same.
        names: Of its fields, in their order.
        is_scalar: Whether nothing that has something in it gets through ``build``.
        get_all: The fields of such a message in their order, and messages within as they are.
    """

    def __init__(self, cls: type) -> None:
        hints = typing.get_type_hints(cls)
        self.cls = cls
        self.names = [field.name for field in fields(cls)]
        self._fields = [
            (name, _taken_as_is(hints[name]), _taken_in_list(hints[name]), _checker(hints[name])) for name in self.names
        ]
        self.is_scalar = all(taken for _, taken, _, _ in self._fields)  # of an exact type, and of no other
        nested = [_shape_within(hints[name]) for name in self.names]
        self._nested = [(place, shape) for place, shape in enumerate(nested) if shape is not None]
        self.get_all = operator.attrgetter(*self.names) if len(self.names) > 1 else self._get_few

    def _get_few(self, value: Any) -> tuple[Any, ...]:
        return tuple(getattr(value, name) for name in self.names)  # of one alone, attrgetter would make no tuple

    def flatten(self, value: Any) -> list[Any]:
        """The fields of *value* in their order, and a message in one of them as such a list itself."""
        flat = list(self.get_all(value))
        for place, shape in self._nested:
            item = flat[place]
            if item is not None:
                flat[place] = [shape.flatten(one) for one in item] if type(item) is list else shape.flatten(item)
        return flat

    def build(self, items: Any) -> Any:
        """The message of these fields.

        Raises:
            WireError: they are not its fields; names the one that is not.
        """
        if type(items) is not list or len(items) != len(self.names):
            raise WireError(f"{self.cls.__name__} takes a list of {len(self.names)} fields")
        built = {}
        for (name, taken, taken_within, check), item in zip(self._fields, items, strict=True):
            kind = type(item)
            if kind in taken or (kind is list and taken_within and taken_within.issuperset(map(type, item))):
                built[name] = item  # numbers of actions, by the hundred in every tick: looked at in one go
                continue
            try:
                built[name] = check(item)
            except WireError as error:
                raise WireError(f"{self.cls.__name__}.{name}: {error}") from None
        return self.cls(**built)


def _shape_within(hint: Any) -> Shape | None:
    for candidate in (hint, *typing.get_args(hint)):
        if is_dataclass(candidate):
            return Shape(typing.cast(type, candidate))
    return None
