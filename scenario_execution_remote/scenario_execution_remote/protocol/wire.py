# SPDX-License-Identifier: Apache-2.0
"""The bytes of every message and value; the only module that knows msgpack, and where hostile bytes stop.

Values keep their Python type: tuple and list, int and float, bytes, sets, integers of any size, lone surrogates, dicts
with any key. Nothing is ever unpickled or looked up by a name that came over the wire.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgpack

from scenario_execution_remote.protocol import messages
from scenario_execution_remote.protocol.values import Handle, Reference

_TUPLE, _SET, _FROZENSET, _INTEGER, _REFERENCE, _HANDLE = 1, 2, 3, 4, 5, 6
_NESTING_LIMIT = 100  # values nested deeper than this are refused; C msgpack stops at 511, Python recursion earlier
_TEXT = {"unicode_errors": "surrogatepass"}  # the engine's unicode_escape can produce lone surrogates
_PLAIN: tuple[Callable[[Any], Any], ...] = (str, float, dict, list, bytes)
_INTEGER_DIGITS_LIMIT = 4300  # Python's own limit for int <-> str, so that no number takes quadratic time

# The number of a message on the wire is its place here: append, never reorder. A place is never used twice.
_MESSAGES: tuple[type, ...] = (
    messages.Hello, messages.Welcome, messages.Refused, messages.Ended,
    messages.Create, messages.Setup, messages.Tick, messages.Execute, messages.Stop, messages.Shutdown,
    messages.EndScenario, messages.EndSession, messages.Answer,
    messages.Result, messages.Log, messages.Output, messages.Feedback, messages.Ask, messages.Write,
    messages.Query, messages.RegisteredKey, messages.Registered,
)  # fmt: skip

FROM_CLIENT = frozenset(typing.get_args(messages.Call)) | {messages.Answer}
TO_WORKER = FROM_CLIENT | {messages.EndSession}
FROM_WORKER = frozenset(typing.get_args(messages.FromWorker))


class WireError(ValueError):
    """The bytes are not the message that belongs here; the sentence says what is wrong with them."""


class CannotTravelError(TypeError):
    """A value has no form on the wire.

    Attributes:
        path: Where in the message the value stands, for example ``arguments['poses'][2]``.
    """

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        super().__init__(f"{path} {why}")


class _Unpackable(Exception):
    def __init__(self, value: object) -> None:
        self.value = value


Foreign = Callable[[object], object]
"""Maps an object without a form on the wire to one that has it (a Reference or a Handle), or returns it unchanged."""


# -- values -------------------------------------------------------------------------------------------------------------


def _pack(value: object, foreign: Foreign | None) -> bytes:
    def default(odd: Any) -> Any:
        if isinstance(odd, tuple):
            return msgpack.ExtType(_TUPLE, _pack(list(odd), foreign))
        if isinstance(odd, int):  # beyond 64 bits, or a subclass such as an IntEnum, which travels as its number
            plain = int(odd)
            return plain if -(2**63) <= plain < 2**64 else msgpack.ExtType(_INTEGER, _integer_bytes(plain))
        for kind in _PLAIN:
            if isinstance(odd, typing.cast(type, kind)):  # a subclass travels as what it is a kind of
                return kind(odd)
        if isinstance(odd, bytearray):
            return bytes(odd)
        if isinstance(odd, (set, frozenset)):
            code = _SET if isinstance(odd, set) else _FROZENSET
            return msgpack.ExtType(code, _pack(list(odd), foreign))
        if isinstance(odd, Reference):
            return msgpack.ExtType(_REFERENCE, _pack(odd.key, None))
        if isinstance(odd, Handle):
            return msgpack.ExtType(_HANDLE, _pack([odd.number, odd.origin, odd.text], None))
        replaced = foreign(odd) if foreign is not None else odd
        if replaced is odd:
            raise _Unpackable(odd)
        return default(replaced)

    packed: bytes = msgpack.packb(value, default=default, strict_types=True, use_bin_type=True, **_TEXT)
    return packed


def _integer_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() // 8) + 1, "big", signed=True)


def _ext_hook(depth: int) -> Callable[[int, bytes], object]:
    if depth > _NESTING_LIMIT:
        raise WireError(f"values are nested more than {_NESTING_LIMIT} deep")

    def hook(code: int, data: bytes) -> object:
        if code == _INTEGER:
            if len(data) * 2.41 > _INTEGER_DIGITS_LIMIT:  # 2.41 decimal digits in a byte
                raise WireError("an integer is longer than Python itself accepts")
            return int.from_bytes(data, "big", signed=True)
        content = _unpack(data, depth + 1)
        if code == _REFERENCE and isinstance(content, str):
            return Reference(content)
        if code == _HANDLE and isinstance(content, list) and [type(item) for item in content] == [int, str, str]:
            return Handle(content[0], content[1], content[2])
        if not isinstance(content, list):
            raise WireError(f"extension {code} does not hold a list")
        if code == _TUPLE:
            return tuple(content)
        if code in (_SET, _FROZENSET):
            return set(content) if code == _SET else frozenset(content)
        raise WireError(f"extension {code} is unknown")

    return hook


def _unpack(data: bytes | memoryview, depth: int = 0) -> Any:
    return msgpack.unpackb(data, ext_hook=_ext_hook(depth), raw=False, strict_map_key=False, **_TEXT)


def _path_of(value: object, culprit: object, path: str) -> str | None:
    """The way from *value* to *culprit*, searched only once something has already failed."""
    if value is culprit:
        return path
    children: Iterable[tuple[str, object]]
    if is_dataclass(value) and not isinstance(value, type):
        children = ((f"{path}.{field.name}" if path else field.name, getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, Mapping):
        if any(key is culprit for key in value):
            return f"{path}, key"
        children = ((f"{path}[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        children = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        return None
    for child_path, child in children:
        found = _path_of(child, culprit, child_path)
        if found is not None:
            return found
    return None


# -- messages -----------------------------------------------------------------------------------------------------------

_Check = Callable[[Any], Any]


def _checker(hint: Any) -> _Check:
    """A function that returns a decoded field as its declared type, or raises WireError."""
    if hint is Any:
        return lambda value: value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        check = _checker(inner)
        return lambda value: None if value is None else check(value)
    if origin is list:
        check_item = _checker(arguments[0])
        return lambda value: [check_item(item) for item in _exactly(list)(value)]
    if origin is dict:
        check_key, check_value = _checker(arguments[0]), _checker(arguments[1])
        return lambda value: {check_key(key): check_value(item) for key, item in _exactly(dict)(value).items()}
    if is_dataclass(hint):
        return _Shape(typing.cast(type, hint)).build
    if hint is float:
        return lambda value: float(_exactly(int, float)(value))
    return _exactly(hint)


def _exactly(*kinds: type) -> _Check:
    def check(value: Any) -> Any:
        if type(value) not in kinds:  # not isinstance: True is no number here
            raise WireError(f"{kinds[-1].__name__} expected, {type(value).__name__} found")
        return value

    return check


class _Shape:
    """How one dataclass becomes a list of its fields, and back."""

    def __init__(self, cls: type) -> None:
        hints = typing.get_type_hints(cls)
        self.cls = cls
        self.names = [field.name for field in fields(cls)]
        self.checks = [_checker(hints[name]) for name in self.names]
        self.nested = [name for name in self.names if _holds_dataclass(hints[name])]

    def flatten(self, value: Any) -> list[Any]:
        flat = [getattr(value, name) for name in self.names]
        for name in self.nested:
            inner = getattr(value, name)
            if inner is not None:
                flat[self.names.index(name)] = _Shape(type(inner)).flatten(inner)
        return flat

    def build(self, items: Any) -> Any:
        if type(items) is not list or len(items) != len(self.names):
            raise WireError(f"{self.cls.__name__} takes a list of {len(self.names)} fields")
        built = {}
        for name, check, item in zip(self.names, self.checks, items, strict=False):
            try:
                built[name] = check(item)
            except WireError as error:
                raise WireError(f"{self.cls.__name__}.{name}: {error}") from None
        return self.cls(**built)


def _holds_dataclass(hint: Any) -> bool:
    return is_dataclass(hint) or any(is_dataclass(argument) for argument in typing.get_args(hint))


_SHAPES = [_Shape(cls) for cls in _MESSAGES]
_NUMBERS = {cls: number for number, cls in enumerate(_MESSAGES)}


def encode(message: Any, foreign: Foreign | None = None) -> bytes:
    """The bytes of one message; the bytes of several, joined, are a valid body too.

    Args:
        message: One of the dataclasses in ``messages``.
        foreign: See :data:`Foreign`.

    Raises:
        CannotTravelError: a value inside has no form on the wire; names the path to it.
    """
    number = _NUMBERS[type(message)]
    try:
        return _pack([number, *_SHAPES[number].flatten(message)], foreign)
    except _Unpackable as problem:
        path = _path_of(message, problem.value, "") or "a value"
        kind = type(problem.value)
        raise CannotTravelError(
            path,
            f"is a {kind.__module__}.{kind.__qualname__}, which cannot be sent to another process; "
            "numbers, text, bytes, None, lists, tuples, sets, dicts and variables can",
        ) from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise CannotTravelError(f"a {type(message).__name__}", f"is nested too deep or too large: {error}") from None


def decode(body: bytes | memoryview, accepted: frozenset[type]) -> list[Any]:
    """The messages in *body*, in order.

    Args:
        body: What :func:`encode` made, once or several times.
        accepted: The message types that may come from this side.

    Raises:
        WireError: whatever else the bytes are. No other exception leaves this function.
    """
    decoded = []
    try:
        unpacker = msgpack.Unpacker(
            ext_hook=_ext_hook(0), raw=False, strict_map_key=False, max_buffer_size=max(len(body), 1), **_TEXT
        )
        unpacker.feed(body)
        for items in unpacker:
            if type(items) is not list or not items or type(items[0]) is not int:
                raise WireError("a message is a list that begins with its number")
            number = items[0]
            if not 0 <= number < len(_MESSAGES) or _MESSAGES[number] not in accepted:
                raise WireError(f"message {number} does not belong here")
            decoded.append(_SHAPES[number].build(items[1:]))
        if unpacker.tell() != len(body):
            raise WireError("the last message is cut off")
        if _may_hold_timestamp(body):
            _refuse_timestamps(decoded)
    except WireError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, MemoryError, msgpack.UnpackException) as error:
        raise WireError(f"this is not msgpack as it is used here: {error!r:.200}") from None
    return decoded


def decode_one(body: bytes | memoryview, cls: type) -> Any:
    """The single message of type *cls* in *body*.

    Raises:
        WireError: it is anything else.
    """
    decoded = decode(body, frozenset({cls}))
    if len(decoded) != 1:
        raise WireError(f"one {cls.__name__} expected, {len(decoded)} messages found")
    return decoded[0]


def _may_hold_timestamp(body: bytes | memoryview) -> bool:
    raw = bytes(body)
    return b"\xd6\xff" in raw or b"\xd7\xff" in raw or b"\xc7\x0c\xff" in raw


def _refuse_timestamps(value: Any) -> None:
    """msgpack turns extension -1 into its own Timestamp before any hook is asked; nobody here sends one."""
    if isinstance(value, msgpack.Timestamp):
        raise WireError("a msgpack timestamp does not belong here")
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            _refuse_timestamps(getattr(value, field.name))
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_timestamps(key)
            _refuse_timestamps(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _refuse_timestamps(item)


# -- version 1 ----------------------------------------------------------------------------------------------------------


def decode_map(data: bytes | memoryview) -> dict[str, Any]:
    """A version 1 message: one msgpack map with text keys.

    Raises:
        WireError: it is anything else.
    """
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise WireError(f"not msgpack: {error!r:.200}") from None
    if type(value) is not dict or not all(type(key) is str for key in value):
        raise WireError("a version 1 message is a map with text keys")
    return value


def encode_map(value: dict[str, Any]) -> bytes:
    """The bytes of a version 1 message."""
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed
