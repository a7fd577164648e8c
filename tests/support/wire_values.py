# SPDX-License-Identifier: Apache-2.0
"""Values and messages of every kind that travels, for tests: strategies made from the types, and strict comparison."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import strategies as st

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.values import Handle, Reference

ALL_MESSAGES = wire.MESSAGES

texts = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates among them
integers = st.integers() | st.integers(min_value=-(2**300), max_value=2**300)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(allow_nan=False),
    texts,
    st.binary(max_size=8),
    st.builds(Reference, texts),
    st.builds(Handle, st.integers(min_value=0, max_value=2**70), texts, texts),
)
hashables = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(hashables, inner, max_size=3),
        st.sets(hashables, max_size=3),
        st.frozensets(hashables, max_size=3),
    ),
    max_leaves=12,
)


def exact(value: Any) -> Any:
    """Something that compares equal only for values of equal types throughout: 1 is not True, nor 1.0, nor (1,) [1]."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [exact(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(exact(item)) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return kind, [exact(getattr(value, field.name)) for field in fields(value)]
    return kind, hex(value) if type(value) is int else repr(value)  # of a long number the decimal digits take too long


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    if hint is Any:
        return values
    if hint == bytes | memoryview:  # on the wire it is the same
        hint = bytes
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return st.one_of([st.none() if one is type(None) else _strategy(one) for one in arguments])
    if typing.get_origin(hint) is list:
        return st.lists(_strategy(arguments[0]), max_size=2)
    if typing.get_origin(hint) is dict:
        return st.dictionaries(_strategy(arguments[0]), _strategy(arguments[1]), max_size=2)
    if is_dataclass(hint):
        return messages_of(typing.cast(type, hint))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: integers,
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: texts,
        bytes: st.binary(max_size=8),
        bool: st.booleans(),
    }
    return plain[hint]


def messages_of(cls: type) -> st.SearchStrategy[Any]:
    """Any message of this type, each field being what its annotation says."""
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: _strategy(hints[field.name]) for field in fields(cls)})


def hello(silence_s: float = 5.0) -> messages.Hello:
    return messages.Hello(program="test", versions={"python": "3"}, silence_s=silence_s)


def welcome() -> messages.Welcome:
    return messages.Welcome(program="server", versions={}, watchdog_s=10.0, shutdown_timeout_s=5.0, next_key=None)


def value_through_the_wire(value: Any, foreign: wire.Foreign | None = None) -> Any:
    """What arrives of a value that is sent as a blackboard write."""
    body = wire.encode(messages.Write(key="/x", value=value, unset=False), foreign)
    (write,) = wire.decode(body, wire.FROM_WORKER)
    return write.value
