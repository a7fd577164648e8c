# SPDX-License-Identifier: Apache-2.0
"""The bytes of every message and value; the only module that knows msgpack, and where hostile bytes stop.

Values keep their Python type: tuple and list, int and float, bytes, sets, integers of any size, lone surrogates, dicts
with any key. Nothing is ever unpickled or looked up by a name that came over the wire.
"""

from __future__ import annotations

import enum
import functools
import re
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import msgpack

from scenario_execution_remote.protocol import messages
from scenario_execution_remote.protocol.bulk import bin_header, is_bulky, leading_chunks
from scenario_execution_remote.protocol.culprits import NESTING_LIMIT, NOBODY, place_of
from scenario_execution_remote.protocol.frames import BODY_LIMIT_BYTES, Scattered
from scenario_execution_remote.protocol.shapes import Shape
from scenario_execution_remote.protocol.shapes import WireError as WireError
from scenario_execution_remote.protocol.values import Handle, Reference


class _Mark(enum.IntEnum):
    """Extensions without content. As the first element of an array they say what the array is, if not a list."""

    TUPLE = 1
    SET = 2
    FROZENSET = 3
    REFERENCE = 4  # followed by the key
    HANDLE = 5  # followed by number, origin and text


_INTEGER = 6  # extension: an integer beyond 64 bits, two's complement, big-endian
_MARKS = {mark: msgpack.ExtType(int(mark), b"") for mark in _Mark}
_MARK_NUMBERS = {int(mark): mark for mark in _Mark}
# Arrays and maps in what the front reads. Real messages have a dozen; each costs a call of ours, so that a megabyte of
# them would hold up the front, and everybody with it, for half a second.
PLAIN_CONTAINERS_LIMIT = 10_000

_TEXT = {"unicode_errors": "surrogatepass"}  # the engine's unicode_escape can produce lone surrogates

_SIMPLE_LIMIT_BYTES = 1024 * 1024  # a larger body is rarely simple, and would mostly be packed or unpacked twice

# A subclass travels as what it is a kind of. Each by the base class's own method: str() of an enum member that is a str
# is its name, not its value.
_PLAIN: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (float, float.__float__),
    (dict, dict),
    (list, list),
    (bytes, bytes),
    (bytearray, bytes),
)

_NUMBER_KINDS = frozenset("biuf")  # numpy's letters for truth values, integers with and without a sign, and floats

# msgpack turns extension -1 into its own Timestamp before any hook is asked. These are its encodings, as fixext and as
# ext of each length that a timestamp can have.
_TIMESTAMP = re.compile(rb"[\xd6\xd7\x04\x08\x0c]\xff", re.DOTALL)

# The number of a message on the wire is its place here: append, never reorder. A place is never used twice.
MESSAGES: tuple[type, ...] = (
    messages.Hello, messages.Welcome, messages.Refused, messages.Ended,
    messages.Create, messages.Setup, messages.Tick, messages.Execute, messages.Stop, messages.Shutdown,
    messages.EndScenario, messages.EndSession, messages.Answer,
    messages.Result, messages.Log, messages.Output, messages.Feedback, messages.Ask, messages.Write,
    messages.Query, messages.RegisteredKey, messages.Registered, messages.TickAll, messages.Ticked, messages.Alive,
    messages.Permit, messages.ListActions, messages.Actions,
    messages.Enrol, messages.Enrolled,
    messages.Mount, messages.Taken, messages.Declined,
    messages.Collected, messages.Artifact, messages.Chunk, messages.ArtifactEnd,
    messages.Started, messages.Deed,
    messages.FileTerms,
    messages.Offer, messages.Awaited, messages.Wanted, messages.Staged,
    messages.ListFiles, messages.Fetch, messages.RemoveFiles, messages.OpenStore, messages.CloseStore, messages.Listing,
    messages.Notice, messages.Inspect, messages.Inspected,
)  # fmt: skip

FROM_CLIENT = frozenset((*typing.get_args(messages.Call), *typing.get_args(messages.OfFiles), messages.Answer))
FROM_FRONT = frozenset(typing.get_args(messages.FromFront))
FROM_WORKER = frozenset(typing.get_args(messages.FromWorker))
FOR_FRONT = frozenset(typing.get_args(messages.ForFront))


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


# -- values, going out --------------------------------------------------------------------------


def _pack(value: object, foreign: Foreign | None) -> bytes:
    # A function in here that calls itself would be a circle, which only the collector ends: one for each message.
    default = functools.partial(_form_of, foreign=foreign)
    packed: bytes = msgpack.packb(value, default=default, strict_types=True, use_bin_type=True, **_TEXT)
    return packed


class _SimplePacker:
    """Packs what needs no hook, as most messages: with one packer for all, as a new one costs four times the packing.

    Whoever finds it taken packs the long way: another thread, or this one, as packing may have garbage collected, and
    what is collected may have something to say.
    """

    def __init__(self) -> None:
        self._free = [_new_packer()]

    def pack(self, value: object) -> bytes | None:
        """The bytes; None if there is anything in it that takes a hook, or that cannot be packed, or just not now."""
        try:
            packer = self._free.pop()
        except IndexError:
            return None
        packed: bytes | None = None
        try:
            packed = packer.pack(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            pass
        finally:  # of a large message it would keep the memory for ever
            self._free.append(_new_packer() if packed is None or len(packed) > _SIMPLE_LIMIT_BYTES else packer)
        return packed


def _new_packer() -> Any:
    return msgpack.Packer(strict_types=True, use_bin_type=True, **_TEXT)


def _form_of(odd: Any, foreign: Foreign | None) -> Any:
    """What stands on the wire for a value that msgpack does not know."""
    if isinstance(odd, tuple):
        return [_MARKS[_Mark.TUPLE], *odd]
    if isinstance(odd, int):  # beyond 64 bits, or a subclass such as an IntEnum, which travels as its number
        plain = int.__int__(odd)
        return plain if -(2**63) <= plain < 2**64 else msgpack.ExtType(_INTEGER, _integer_bytes(plain))
    for kind, make in _PLAIN:
        if isinstance(odd, kind):
            return make(odd)
    if isinstance(odd, (set, frozenset)):
        return [_MARKS[_Mark.SET if isinstance(odd, set) else _Mark.FROZENSET], *odd]
    if isinstance(odd, Reference):
        return [_MARKS[_Mark.REFERENCE], odd.key]
    if isinstance(odd, Handle):
        return [_MARKS[_Mark.HANDLE], odd.number, odd.origin, odd.text]
    number = _number_in(odd)
    if number is not odd:
        return _form_of(number, foreign) if type(number) is int else number  # it may be a long one
    replaced = foreign(odd) if foreign is not None else odd
    if replaced is odd:
        raise _Unpackable(odd)
    return _form_of(replaced, foreign)


def _number_in(odd: Any) -> object:
    """The number or truth value that a scalar of numpy stands for, or of a library like it; else *odd* itself.

    Known by what such a type has, as nothing here imports numpy. An array without dimensions has the same, and can be
    written to; a time counts its units and is no number.
    """
    kind = type(odd)
    if not (hasattr(kind, "dtype") and hasattr(kind, "item")) or hasattr(kind, "__setitem__"):
        return odd
    try:
        value = odd.item() if odd.ndim == 0 and odd.dtype.kind in _NUMBER_KINDS else odd
    except Exception:  # noqa: BLE001 - it is another library's class, and merely looks like one of numpy
        return odd
    return value if type(value) in (bool, int, float) else odd


def _integer_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() // 8) + 1, "big", signed=True)


# -- values, coming in --------------------------------------------------------------------------


class _Reader:
    """msgpack's hooks for one body.

    Args:
        plain: Whether the body carries no values of a scenario: then maps have text keys, the only extension is the
            long integer, and there are not many arrays and maps. What the front reads is plain, because nobody can
            craft texts that collide in a dict, nor a megabyte that takes half a second to unpack.
    """

    def __init__(self, plain: bool) -> None:
        self._is_plain = plain
        self._marks_open = 0
        self._container_count = 0

    @property
    def options(self) -> dict[str, Any]:
        """For msgpack's unpackers."""
        hooks = {"ext_hook": self._extension, "list_hook": self._array, "object_pairs_hook": self._map}
        options = hooks | {"raw": False, "strict_map_key": self._is_plain, **_TEXT}
        if self._is_plain:
            options |= {"list_hook": self._plain_array, "object_pairs_hook": self._plain_map}
            options["max_map_len"] = PLAIN_CONTAINERS_LIMIT
        return options

    def finish(self) -> None:
        """Raise WireError if a mark stood anywhere but at the head of an array."""
        if self._marks_open:
            raise WireError("a mark stands where no array begins")

    def _extension(self, code: int, data: bytes) -> object:
        if code == _INTEGER:
            return int.from_bytes(data, "big", signed=True)
        mark = _MARK_NUMBERS.get(code)
        if mark is None or data or self._is_plain:
            raise WireError(f"an extension {code} of {len(data)} bytes does not belong here")
        self._marks_open += 1
        return mark

    def _array(self, items: list[Any]) -> object:
        if not items or type(items[0]) is not _Mark:
            return items
        self._marks_open -= 1
        mark, content = items[0], items[1:]
        if mark is _Mark.TUPLE:
            return tuple(content)
        if mark is _Mark.SET or mark is _Mark.FROZENSET:
            members = set(content) if mark is _Mark.SET else frozenset(content)
            if len(members) != len(content):
                raise WireError("a set has a member twice")
            return members
        if mark is _Mark.REFERENCE and [type(item) for item in content] == [str]:
            return Reference(content[0])
        if mark is _Mark.HANDLE and [type(item) for item in content] == [int, str, str]:
            return Handle(content[0], content[1], content[2])
        raise WireError(f"a {mark.name.lower()} does not consist of that")

    def _plain_array(self, items: list[Any]) -> object:
        self._count()
        return items

    def _plain_map(self, pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        self._count()
        return self._map(pairs)

    def _count(self) -> None:
        self._container_count += 1
        if self._container_count > PLAIN_CONTAINERS_LIMIT:
            raise WireError(f"more than {PLAIN_CONTAINERS_LIMIT} arrays and maps do not belong here")

    @staticmethod
    def _map(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise WireError("a map has a key twice")
        return found


def _refuse_timestamps(body: bytes | memoryview, value: object) -> None:
    if _TIMESTAMP.search(body) is not None:  # rarely true, and then mostly by chance
        _look_for_timestamp(value)


def _look_for_timestamp(value: object) -> None:
    if isinstance(value, msgpack.Timestamp):
        raise WireError("a msgpack timestamp does not belong here")
    if isinstance(value, dict):
        for key, item in value.items():
            _look_for_timestamp(key)
            _look_for_timestamp(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _look_for_timestamp(item)


# -- messages -----------------------------------------------------------------------------------

_ARRAY = 0x90  # msgpack's array of up to 15 items; the number of a message is the first, and below 128 it is one byte
_SHAPES = [Shape(cls) for cls in MESSAGES]
_NUMBERS = {cls: number for number, cls in enumerate(MESSAGES)}
_simple_packer = _SimplePacker()


def encode(message: Any, foreign: Foreign | None = None) -> bytes:
    """The bytes of one message; see :func:`encode_all`."""
    number = _NUMBERS[type(message)]
    body = _simple_packer.pack([number, *_SHAPES[number].get_all(message)])  # which a message within it is not
    if body is not None and len(body) <= BODY_LIMIT_BYTES:
        return body
    return _fitting(_encode(message, foreign), (message,))


def encode_pieces(several: Iterable[Any]) -> Scattered:
    """The same as :func:`encode_all` makes of messages about files, without a copy of what is large in them.

    Raises:
        CannotTravelError: all together are too large.
    """
    listed = tuple(several)
    parts: list[bytes | memoryview] = []
    small: list[bytes] = []
    for message in listed:
        if is_bulky(message):
            shell = _encode(replace(message, data=b""), None)
            small += (shell[: -len(bin_header(0))], bin_header(len(message.data)))
            parts += (b"".join(small), message.data)
            small = []
        else:
            small.append(_encode(message, None))
    return _fitting(Scattered((*parts, b"".join(small)) if small else tuple(parts)), listed)


def encode_all(several: Iterable[Any], foreign: Foreign | None = None) -> bytes:
    """One body with the bytes of several messages.

    Args:
        several: Dataclasses of ``messages``, in order.
        foreign: See :data:`Foreign`.

    Raises:
        CannotTravelError: a value inside has no form on the wire, or all together are too large; names the path to it.
    """
    listed = tuple(several)
    return _fitting(b"".join([_encode(message, foreign) for message in listed]), listed)


_Body = TypeVar("_Body", bytes, Scattered)


def _fitting(body: _Body, several: tuple[Any, ...]) -> _Body:
    if len(body) > BODY_LIMIT_BYTES:
        raise CannotTravelError(
            " and ".join(f"the {type(message).__name__}" for message in several),
            f"would take {len(body)} bytes; at most {BODY_LIMIT_BYTES} can be sent at once, larger things as files",
        )
    return body


def _encode(message: Any, foreign: Foreign | None) -> bytes:
    number = _NUMBERS[type(message)]
    culprit: object = None
    try:
        items = [number, *_SHAPES[number].flatten(message)]
        return _simple_packer.pack(items) or _pack(items, foreign)
    except _Unpackable as problem:
        culprit = problem.value
        kind = type(culprit)
        why = (
            f"is a {kind.__module__}.{kind.__qualname__}, which cannot be sent to another process; "
            "numbers, text, bytes, None, lists, tuples, sets, dicts and variables can"
        )
    except (ValueError, RecursionError, OverflowError):
        culprit = NOBODY
        why = f"contains itself, is nested more than {NESTING_LIMIT} deep, or is too large for a message"
    raise CannotTravelError(place_of(message, culprit), why)


def decode(body: bytes | memoryview, accepted: frozenset[type], *, plain: bool = False) -> list[Any]:
    """The messages in *body*, in order.

    Args:
        body: What :func:`encode_all` made.
        accepted: The message types that may come from this side.
        plain: Whether it carries no values of a scenario, see :class:`_Reader`.

    Raises:
        WireError: whatever else the bytes are. No other exception leaves this function.
    """
    decoded: list[Any] = []
    if not plain:
        if messages.Chunk in accepted and body[: len(_BEGINNING_OF_CHUNK)] == _BEGINNING_OF_CHUNK:
            chunks, end = leading_chunks(body, _BEGINNING_OF_CHUNK)
            if end == len(body):
                return chunks
            decoded += chunks
            body = memoryview(body)[end:]
        message = _read_simple(body, accepted)
        if message is not None:
            return [*decoded, message]
    reader = _Reader(plain)
    complete_bytes = 0  # asked after each message: of an incomplete one, msgpack counts what it has understood
    try:
        unpacker = msgpack.Unpacker(max_buffer_size=max(len(body), 1), **reader.options)
        unpacker.feed(body)
        for items in unpacker:
            if type(items) is not list or not items or type(items[0]) is not int:
                raise WireError("a message is a list that begins with its number")
            number = items[0]
            if not 0 <= number < len(MESSAGES) or MESSAGES[number] not in accepted:
                raise WireError(f"message {number} does not belong here")
            reader.finish()
            shape = _SHAPES[number]
            if not shape.is_scalar:  # else none gets through, and 64 KiB of a file need not be searched
                _refuse_timestamps(body, items)
            del items[0]
            decoded.append(shape.build(items))
            complete_bytes = unpacker.tell()
        if complete_bytes != len(body):
            raise WireError("the last message is cut off")
    except WireError:
        raise
    except _UNPACK_ERRORS as error:
        raise WireError(f"this is not msgpack as it is used here: {error!r:.200}") from None
    return decoded


# The types of values that no hook would have changed, and in which nothing hides.
_SIMPLE = frozenset((str, int, float, bool, bytes, types.NoneType))


def _read_simple(body: bytes | memoryview, accepted: frozenset[type]) -> Any:
    """The message in *body* if it is one alone, of nothing but simple values and lists of them, as most are: calls that
    tick and their answers. None for any other, whatever it is."""
    if len(body) > _SIMPLE_LIMIT_BYTES:
        return None
    try:
        items = msgpack.unpackb(body, raw=False, strict_map_key=False, **_TEXT)
    except _UNPACK_ERRORS:
        return None
    number = items[0] if type(items) is list and items else None
    if type(number) is not int or not 0 <= number < len(MESSAGES) or MESSAGES[number] not in accepted:
        return None
    del items[0]
    for item in items:
        kind = type(item)
        if kind not in _SIMPLE and not (kind is list and _SIMPLE.issuperset(map(type, item))) and item != {}:
            return None
    return _SHAPES[number].build(items)


def beginning_of(cls: type) -> bytes:
    """The first bytes of a body that holds one message of type *cls*: tells it from others at the price of a look."""
    return bytes((_ARRAY | len(_SHAPES[_NUMBERS[cls]].names) + 1, _NUMBERS[cls]))


_BEGINNING_OF_CHUNK = beginning_of(messages.Chunk)


def kind_of(body: bytes | memoryview) -> type | None:
    """The type of the first message in *body*, without unpacking it; None if there is none."""
    # What stands where the number belongs is not unpacked if it is anything larger.
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(body), 1), max_array_len=0, max_map_len=0)
    unpacker.feed(body)
    try:
        unpacker.read_array_header()
        number = unpacker.unpack()
    except _UNPACK_ERRORS:
        return None
    return MESSAGES[number] if type(number) is int and 0 <= number < len(MESSAGES) else None


# Besides msgpack's own: TypeError for unhashable keys and members, and for a key that is no text in a plain body.
_UNPACK_ERRORS = (ValueError, TypeError, RecursionError, OverflowError, MemoryError, msgpack.UnpackException)


def decode_one(body: bytes | memoryview, cls: type) -> Any:
    """The single message of type *cls* in *body*, which carries no values of a scenario.

    Raises:
        WireError: it is anything else.
    """
    decoded = decode(body, frozenset({cls}), plain=True)
    if len(decoded) != 1:
        raise WireError(f"one {cls.__name__} expected, {len(decoded)} messages found")
    return decoded[0]


# -- version 1 ----------------------------------------------------------------------------------


def decode_map(data: bytes | memoryview) -> dict[str, Any]:
    """A version 1 message: one msgpack map with text keys.

    Raises:
        WireError: it is anything else.
    """
    reader = _Reader(plain=True)
    try:
        value = msgpack.unpackb(data, **(reader.options | {"unicode_errors": "strict"}))
        _refuse_timestamps(data, value)
    except WireError:
        raise
    except _UNPACK_ERRORS as error:
        raise WireError(f"not msgpack: {error!r:.200}") from None
    if type(value) is not dict or not all(type(key) is str for key in value):
        raise WireError("a version 1 message is a map with text keys")
    return value


def encode_map(value: dict[str, Any]) -> bytes:
    """The bytes of a version 1 message; what is not Unicode in its texts is escaped, for its client cannot read it."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="backslashreplace")
    return packed
