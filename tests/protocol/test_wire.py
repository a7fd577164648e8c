# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import collections
import enum
import math
import struct
import time
import tracemalloc
import types
import typing
from dataclasses import is_dataclass
from typing import Any
from unittest import mock

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import BODY_LIMIT_BYTES
from scenario_execution_remote.protocol.values import Handle, Reference
from tests.support.examples import thrifty
from tests.support.wire_values import exact, messages_of, value_through_the_wire, values

EVERYTHING = frozenset(wire.MESSAGES)
TICK = messages.Tick(
    call=7, action=3, arguments={"pose": (1.5, -2), "tags": {"a"}}, now_s=0.25, period_s=None, after=None
)
TICK_NUMBER = wire.MESSAGES.index(messages.Tick)
WRITE_NUMBER = wire.MESSAGES.index(messages.Write)


class Level(enum.IntEnum):
    HIGH = 3


class Colour(str, enum.Enum):
    RED = "red"


Point = collections.namedtuple("Point", "x y")


class Meters(float):
    pass


class Scalar:
    """What a number of numpy has."""

    ndim: Any = 0
    dtype: Any = property(lambda self: types.SimpleNamespace(kind=self.kind))

    def __init__(self, kind: str, value: Any) -> None:
        self.kind = kind
        self.value = value

    def __repr__(self) -> str:
        return f"Scalar({self.kind}, {self.value})"

    def item(self) -> Any:
        return self.value


class Flat(Scalar):
    """What an array without dimensions has besides."""

    def __setitem__(self, key: Any, value: Any) -> None:
        raise NotImplementedError


class Broken(Scalar):
    ndim = property(lambda self: 1 // 0)


def packed(*items: Any) -> bytes:
    data: bytes = msgpack.packb(list(items))
    return data


def write_of(value_bytes: bytes) -> bytes:
    """A blackboard write with raw msgpack as its value."""
    return b"\x94" + bytes([WRITE_NUMBER]) + msgpack.packb("/x") + value_bytes + b"\xc2"


def decode(body: bytes) -> list[Any]:
    return wire.decode(body, EVERYTHING)


# -- what goes through ---------------------------------------------------------------------------


@thrifty
@given(value=values)
def test_a_value_arrives_as_what_it_was_to_the_last_type(value: Any) -> None:
    assert exact(value_through_the_wire(value)) == exact(value)


@thrifty
@given(message=st.one_of([messages_of(cls) for cls in wire.MESSAGES]))
def test_a_message_of_any_type_arrives_as_it_was(message: Any) -> None:
    (arrived,) = decode(wire.encode(message))
    assert exact(arrived) == exact(message)


@pytest.mark.parametrize(
    "value",
    [
        (),
        [(), [], {}, set(), frozenset(), "", b""],
        ("running", 2),
        [("a", 1), {"mode": ("fast", 3)}],
        {("a", (1,)): [("b",)]},
        {frozenset({(1, 2)}): {("x",)}},
        {1: "one", "1": "text", b"1": "bytes", None: "none", 2.5: "float", False: "no"},
        [True, 1, 1.0, 0, False, -0.0],
        [2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000, -(10**5000)],
        [math.inf, -math.inf, 5e-324],
        "gr\u00fcn \ud800 \U0001f916 \0",
        {"\udcff": "\udcff"},
        [None, [None]],
        Reference("/scenario/x"),
        {"at": [Handle(7, "worker", "<object>")]},
    ],
)
def test_what_actions_are_given_arrives_as_it_was(value: Any) -> None:
    assert exact(value_through_the_wire(value)) == exact(value)


def test_not_a_number_is_still_none() -> None:
    assert math.isnan(value_through_the_wire(math.nan))


def test_the_order_of_a_dict_is_kept() -> None:
    assert list(value_through_the_wire({"z": 1, "a": 2, "m": 3})) == ["z", "a", "m"]


@pytest.mark.parametrize(
    ("value", "arrives_as"),
    [
        (Level.HIGH, 3),
        (Colour.RED, "red"),
        (Point(1, (2,)), (1, (2,))),
        (Meters(1.5), 1.5),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.UserString("x").data, "x"),
        (bytearray(b"raw"), b"raw"),
        pytest.param(memoryview(b"raw"), b"raw", id="memoryview"),  # its repr has its address
        (Scalar("i", 7), 7),
        (Scalar("u", 2**64), 2**64),
        (Scalar("f", 0.5), 0.5),
        (Scalar("b", True), True),
        ([Scalar("b", False), {Scalar("i", 1): (Scalar("f", 2.0),)}], [False, {1: (2.0,)}]),
        ([Level.HIGH, {Colour.RED: Point(0, 0)}], [3, {"red": (0, 0)}]),
    ],
    ids=repr,
)
def test_a_subclass_travels_as_what_it_is_a_kind_of(value: Any, arrives_as: Any) -> None:
    assert exact(value_through_the_wire(value)) == exact(arrives_as)


@pytest.mark.parametrize(
    "value",
    [Flat("i", 7), Scalar("m", 7), Scalar("c", 1j), Scalar("i", Meters(1)), Broken("i", 7), Scalar],
    ids=["array", "time", "complex", "odd", "broken", "class"],
)
def test_what_only_resembles_a_number_stays_where_it_is(value: Any) -> None:
    assert value_through_the_wire(value, lambda _value: "stayed") == "stayed"


def test_several_messages_are_one_body_in_order() -> None:
    log = messages.Log(level="info", text="x")
    assert decode(wire.encode_all([TICK, log, TICK])) == [TICK, log, TICK]


def test_no_message_at_all_is_an_empty_body() -> None:
    assert decode(wire.encode_all([])) == []


def test_a_memoryview_is_read_like_bytes() -> None:
    assert wire.decode(memoryview(b"x" + wire.encode(TICK))[1:], EVERYTHING) == [TICK]


def test_the_type_of_a_message_is_seen_without_unpacking_it() -> None:
    assert wire.kind_of(wire.encode(TICK)) is messages.Tick
    assert wire.kind_of(wire.encode(TICK)[:2]) is messages.Tick


@pytest.mark.parametrize("body", [b"", b"\x91", b"\xc0", b"\x91\xcc\xfa", b"\x91\xff", b"\x91\xc3", b"\x80", b"\xc1"])
def test_what_is_no_message_has_no_type(body: bytes) -> None:
    assert wire.kind_of(body) is None


# -- what cannot go out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "value"),
        ([1, object()], "value[1]"),
        ({"poses": [0, (object(),)]}, "value['poses'][1][0]"),
        ({("a", Ellipsis): 1}, "value, key[1]"),
        ({"f": print}, "value['f']"),
        ({10**5000: [object()]}, "value[<int>][0]"),
        ({(1, 2): object()}, "value[<tuple>]"),
        (2j, "value"),
    ],
)
def test_what_has_no_form_on_the_wire_is_named_with_its_place(value: Any, path: str) -> None:
    with pytest.raises(wire.CannotTravelError) as caught:
        value_through_the_wire(value)
    assert str(caught.value).startswith(f"{path} is a ")


def test_a_culprit_in_a_nested_dataclass_is_found() -> None:
    plugin = messages.Plugin(key=object())  # type: ignore[arg-type]
    create = messages.Create(
        call=1, action=1, scenario=1, plugin=plugin, init_arguments={}, name="", label=None, context=None, actor=None,
        directories=messages.Directories(scenario_file=None, output=None), debug=False,
    )  # fmt: skip
    with pytest.raises(wire.CannotTravelError, match=r"^plugin\.key is a builtins\.object"):
        wire.encode(create)


def test_a_list_that_contains_itself_is_named_with_its_place() -> None:
    inner: list[Any] = [1]
    value = {"a": [0, ({"b": inner},)]}
    inner.append(value)
    with pytest.raises(wire.CannotTravelError, match=r"^value\['a'\]\[1\]\[0\]\['b'\]\[1\] contains itself"):
        value_through_the_wire(value)


def test_the_same_object_twice_is_no_circle() -> None:
    shared = [1]
    assert value_through_the_wire([shared, (shared, shared)]) == [[1], ([1], [1])]


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}], ids=["list", "tuple", "dict"])
def test_what_is_nested_far_too_deep_is_refused_here_and_not_there(wrap: Any) -> None:
    value: Any = None
    for _ in range(5000):
        value = wrap(value)
    with pytest.raises(wire.CannotTravelError, match="nested more than 500 deep"):
        value_through_the_wire(value)


def test_five_hundred_levels_are_fine() -> None:
    value: Any = None
    for level in range(500):
        value = (value,) if level % 2 else [value]
    assert value_through_the_wire(value) == value


def test_what_is_larger_than_a_server_accepts_is_refused_here_and_not_there() -> None:
    with pytest.raises(wire.CannotTravelError, match=f"the Write would take [0-9]+ bytes; at most {BODY_LIMIT_BYTES}"):
        value_through_the_wire(bytes(BODY_LIMIT_BYTES))
    half = messages.Write(key="/x", value=bytes(BODY_LIMIT_BYTES // 2), unset=False)
    with pytest.raises(wire.CannotTravelError, match="the Write and the Write would take"):
        wire.encode_all([half, half])


def test_foreign_objects_go_out_as_what_stands_for_them() -> None:
    class Variable:
        pass

    def foreign(value: object) -> object:
        return Reference("/v") if isinstance(value, Variable) else value

    variable = Variable()
    sent = [variable, {variable: (variable,)}]
    assert value_through_the_wire(sent, foreign) == [Reference("/v"), {Reference("/v"): (Reference("/v"),)}]
    with pytest.raises(wire.CannotTravelError, match=r"^value\[1\]"):
        value_through_the_wire([variable, object()], foreign)


@thrifty
@given(message=st.one_of([messages_of(cls) for cls in wire.MESSAGES]))
def test_a_message_is_packed_without_hooks_as_with_them(message: Any) -> None:
    with mock.patch.object(wire._SimplePacker, "pack", lambda _self, _value: None):
        long_way = wire.encode(message)
    assert wire.encode(message) == wire.encode_all([message]) == long_way


def test_a_message_that_is_packed_while_another_one_is_comes_out_whole() -> None:
    said = messages.Log(level="info", text="x")
    packer = wire._simple_packer._free.pop()  # taken by another thread, or by this one, see there
    assert decode(wire.encode(said)) == [said]
    assert wire._simple_packer._free == []
    wire._simple_packer._free.append(packer)
    assert decode(wire.encode(said)) == [said]
    assert wire._simple_packer._free == [packer]


def test_the_memory_of_a_large_message_is_not_kept_for_the_next_one() -> None:
    before = wire._simple_packer._free[0]
    wire.encode(messages.Log(level="info", text="x"))
    assert wire._simple_packer._free == [before]
    wire.encode(messages.Log(level="info", text="x" * (wire._SIMPLE_LIMIT_BYTES + 1)))
    assert len(wire._simple_packer._free) == 1 and wire._simple_packer._free != [before]


# -- hostile bytes -------------------------------------------------------------------------------


def test_no_truncated_message_is_one() -> None:
    body = wire.encode(TICK)
    for length in range(1, len(body)):
        with pytest.raises(wire.WireError):
            decode(body[:length])


def test_a_second_message_that_is_cut_off_spoils_the_first() -> None:
    body = wire.encode(TICK)
    for length in range(len(body) + 1, 2 * len(body)):
        with pytest.raises(wire.WireError):
            decode((body + body)[:length])


def test_flipped_bits_make_another_message_or_are_refused_and_nothing_else_happens() -> None:
    body = wire.encode(TICK)
    for bit in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            decode(bytes(flipped))
        except wire.WireError:
            pass


@thrifty
@given(body=st.binary(max_size=200))
def test_any_bytes_are_a_body_or_refused_and_nothing_else_happens(body: bytes) -> None:
    for plain in (False, True):
        try:
            wire.decode(body, EVERYTHING, plain=plain)
        except wire.WireError:
            pass


@thrifty
@given(
    body=st.one_of(
        st.one_of([messages_of(cls) for cls in wire.MESSAGES]).map(wire.encode),
        st.binary(max_size=60).map(write_of),
        st.lists(st.one_of(st.integers(0, 60), st.text(max_size=2), st.just([]), st.just({}), st.none())).map(
            lambda items: packed(*items)
        ),
    )
)
def test_the_short_way_through_a_simple_body_leads_where_the_long_one_does(body: bytes) -> None:
    assert outcome(body) == outcome(memoryview(body))
    with mock.patch.object(wire, "_read_simple", lambda _body, _accepted: None):
        long_way = outcome(body)
    assert outcome(body) == long_way


def outcome(body: bytes | memoryview) -> str:
    """The messages in *body* to the last type, or why there are none."""
    try:
        return repr(wire.decode(body, EVERYTHING))
    except wire.WireError as error:
        return str(error)


@thrifty
@given(value=st.binary(max_size=60))
def test_any_bytes_in_place_of_a_value_are_one_or_refused(value: bytes) -> None:
    try:
        decode(write_of(value))
    except wire.WireError:
        pass


@pytest.mark.parametrize(
    "body",
    [
        b"\xc0",
        b"\x05",
        b"\x80",
        b"\x90",
        b"\x93\xc7\x00\x01\x01\x02",
        packed("Tick", 1),
        packed(True, 1),
        packed(-1, 1),
        packed(10_000, 1),
        packed(TICK_NUMBER),
        packed(TICK_NUMBER, 1, 2, None, None, None),
        packed(TICK_NUMBER, 1, 2, None, None, None, None, None),
        packed([TICK_NUMBER], 1),
    ],
    ids=bytes.hex,
)
def test_what_is_no_list_of_a_number_and_so_many_fields_is_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        decode(body)


def sample(hint: Any) -> Any:
    """Something right for a field, as it stands on the wire."""
    if is_dataclass(hint):
        return [sample(inner) for inner in typing.get_type_hints(hint).values()]
    if hint is Any or type(None) in typing.get_args(hint):
        return None
    if hint == bytes | memoryview:
        return b""
    plain: type = typing.get_origin(hint) or hint
    return plain()


def fits(value: Any, hint: Any) -> bool:
    """Whether *value* is right for a field, written down once more and in another way."""
    arguments = typing.get_args(hint)
    if hint is Any or value is None and type(None) in arguments:
        return True
    if type(None) in arguments:
        return any(fits(value, argument) for argument in arguments if argument is not type(None))
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(fits(item, arguments[0]) for item in value)
    if typing.get_origin(hint) is dict:
        return (
            isinstance(value, dict)
            and all(fits(key, arguments[0]) for key in value)
            and all(fits(item, arguments[1]) for item in value.values())
        )
    if is_dataclass(hint):
        return False
    if hint == bytes | memoryview:
        return type(value) is bytes
    return type(value) is hint or hint is float and type(value) is int


@pytest.mark.parametrize("cls", wire.MESSAGES, ids=lambda cls: cls.__name__)
def test_a_field_of_the_wrong_type_is_refused_by_name(cls: type) -> None:
    hints = typing.get_type_hints(cls)
    right = [wire.MESSAGES.index(cls), *(sample(hint) for hint in hints.values())]
    assert len(decode(msgpack.packb(right))) == 1
    for place, (name, hint) in enumerate(hints.items(), start=1):
        for wrong in ("text", b"bytes", True, 17, 2.5, None, [17], [None], {17: 17}, {"key": 17}):
            body = msgpack.packb([*right[:place], wrong, *right[place + 1 :]])
            if fits(wrong, hint):
                assert len(decode(body)) == 1
            else:
                with pytest.raises(wire.WireError, match=rf"^{cls.__name__}\.{name}: "):
                    decode(body)


def test_a_number_is_no_truth_and_truth_no_number() -> None:
    good = packed(WRITE_NUMBER, "/x", 1, False)
    assert decode(good)
    for bad in (packed(WRITE_NUMBER, "/x", 1, 0), packed(TICK_NUMBER, True, 1, None, None, None, None)):
        with pytest.raises(wire.WireError, match="expected, "):
            decode(bad)


def test_a_whole_number_will_do_where_seconds_are_due_but_not_infinity() -> None:
    (tick,) = decode(packed(TICK_NUMBER, 1, 2, None, 3, None, None))
    assert exact(tick.now_s) == exact(3.0)
    huge = b"\x97" + bytes([TICK_NUMBER]) + b"\x01\x02\xc0" + b"\xc8\x01\x00\x06" + b"\x7f" * 256 + b"\xc0\xc0"
    endless = [packed(TICK_NUMBER, 1, 2, None, never, None, None) for never in (math.inf, math.nan)]
    for bad in (*endless, huge):
        with pytest.raises(wire.WireError):
            decode(bad)


def test_a_message_that_may_not_come_from_there_is_refused() -> None:
    with pytest.raises(wire.WireError, match="does not belong here"):
        wire.decode(wire.encode(TICK), wire.FROM_WORKER)
    with pytest.raises(wire.WireError, match="does not belong here"):
        wire.decode(wire.encode(messages.Log(level="info", text="")), wire.FROM_CLIENT)


@pytest.mark.parametrize(
    "value",
    [
        b"\xc7\x00\x01",  # a mark by itself
        b"\x92\x01\xc7\x00\x01",  # not at the head
        b"\x81\xc7\x00\x01\x01",  # as a key
        b"\x91\x92\xc7\x00\x01\xc7\x00\x02",  # two of them
        b"\x92\xc7\x01\x01\x00\x01",  # with content
        b"\x92\xc7\x00\x07\x01",  # unknown
        b"\x92\xd4\x00\x00\x01",  # unknown, of another form
        b"\x92\xc7\x00\x02\x80",  # a set of maps
        b"\x93\xc7\x00\x02\x01\x01",  # a set with a member twice
        b"\x93\xc7\x00\x03\x01\xc3",  # likewise, as Python sees it
        b"\x91\xc7\x00\x04",  # a reference without a key
        b"\x92\xc7\x00\x04\x01",  # with a number as key
        b"\x93\xc7\x00\x05\x01\xa0",  # a handle without text
        b"\x94\xc7\x00\x05\xc3\xa0\xa0",  # numbered True
        b"\x81\x90\x01",  # a list as key
        b"\x81\x80\x01",  # a map as key
        b"\x81\x92\xc7\x00\x01\x90\x01",  # a list in a tuple as key
        b"\x82\xa1a\x01\xa1a\x02",  # a key twice
        b"\x82\x01\x01\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\x02",  # 1 and 1.0
        b"\xa1\xff",  # no UTF-8
        b"\xc1",  # never used
        b"\xdd\xff\xff\xff\xff",  # length bombs
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x06",
        b"\xdb\xff\xff\xff\xff",
    ],
    ids=bytes.hex,
)
def test_a_malformed_value_is_refused(value: bytes) -> None:
    with pytest.raises(wire.WireError):
        decode(write_of(value))


@pytest.mark.parametrize(
    "timestamp",
    [
        b"\xd6\xff" + bytes(4),
        b"\xd7\xff" + bytes(8),
        b"\xc7\x04\xff" + bytes(4),
        b"\xc7\x08\xff" + bytes(8),
        b"\xc7\x0c\xff" + bytes(12),
        b"\xc8\x00\x04\xff" + bytes(4),
        b"\xc8\x00\x0c\xff" + bytes(12),
        b"\xc9\x00\x00\x00\x08\xff" + bytes(8),
        b"\xc9\x00\x00\x00\x0c\xff" + bytes(12),
    ],
    ids=bytes.hex,
)
@pytest.mark.parametrize(
    "around",
    [b"%s", b"\x91%s", b"\x92\xc7\x00\x01%s", b"\x92\xc7\x00\x02%s", b"\x81%s\x01", b"\x81\x01%s"],
    ids=["bare", "list", "tuple", "set", "key", "value"],
)
def test_a_timestamp_is_refused_however_it_is_written_and_wherever_it_stands(timestamp: bytes, around: bytes) -> None:
    with pytest.raises(wire.WireError):
        decode(write_of(around.replace(b"%s", timestamp)))


def test_bytes_that_look_like_a_timestamp_are_bytes() -> None:
    value = [b"\xd6\xff" + bytes(4), {"a": "\x04\u00ff"}, -1, [4, -1], (12, -1)]
    assert exact(value_through_the_wire(value)) == exact(value)


NESTED = {
    "lists": b"\x91" * 100_000,
    "tuples": b"\x92\xc7\x00\x01" * 100_000,
    "maps": b"\x81\x01" * 100_000,
    "keys": b"\x81" * 100_000,
}


@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED)
def test_a_nesting_bomb_is_refused(value: bytes) -> None:
    with pytest.raises(wire.WireError):
        decode(write_of(value + b"\xc0"))


BOMBS = {
    "empty lists": b"\xdd" + struct.pack("!I", 100_000) + b"\x90" * 100_000,
    "keys": b"\xdf" + struct.pack("!I", 60_000) + b"".join(struct.pack("!BIB", 0xCE, n, 1) for n in range(60_000)),
    "one key": b"\xdf" + struct.pack("!I", 200_000) + b"\x01\x01" * 200_000,
    "one member": b"\xdd" + struct.pack("!I", 300_001) + b"\xc7\x00\x02" + b"\x01" * 300_000,
    "digits": b"\xc9" + struct.pack("!I", 1_000_000) + b"\x06" + b"\x7f" * 1_000_000,
}


@pytest.mark.parametrize("value", BOMBS.values(), ids=BOMBS)
def test_what_is_large_takes_no_more_than_its_share_of_time(value: bytes) -> None:
    began_s = time.process_time()
    try:
        decode(write_of(value))
    except wire.WireError:
        pass
    # Eight megabytes, the most that comes in at once, may keep one worker busy for seconds, not for minutes.
    assert time.process_time() - began_s < 1.0


def test_a_plain_body_has_neither_marks_nor_keys_that_are_not_text() -> None:
    ended = messages.Ended(reason="bye", text="", is_home=True)
    assert wire.decode(wire.encode(ended), EVERYTHING, plain=True) == [ended]
    for value in (b"\x92\xc7\x00\x01\x01", b"\x81\x01\x01", b"\x81\xc3\x01"):
        assert decode(write_of(value))
        with pytest.raises(wire.WireError):
            wire.decode(write_of(value), EVERYTHING, plain=True)


@pytest.mark.parametrize(
    "body",
    [
        b"\x81\xa1x\xdd\x00\x0f\xff\x00" + b"\x90" * 0x0FFF00,
        b"\x81\xa1x\xdd\x00\x0f\xff\x00" + b"\x80" * 0x0FFF00,
        b"\x81\xa1x\xdd\x00\x01\x00\x00" + b"\x91\x91\x91\x90" * 0x10000,
        b"\x81\xa1x\xdf\x00\x01\x00\x00" + b"".join(b"\xa4%04x\xc0" % key for key in range(0x10000)),
    ],
    ids=["arrays", "maps", "arrays in arrays", "one long map"],
)
def test_a_megabyte_of_arrays_and_maps_is_not_unpacked_in_the_front(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_map(body)
    in_a_message = bytes((0x91 + 1, wire.MESSAGES.index(messages.Ended))) + body
    with pytest.raises(wire.WireError, match="more than 10000 arrays and maps|exceeds max_map_len"):
        wire.decode(in_a_message, EVERYTHING, plain=True)


def test_what_kind_a_body_is_of_is_told_without_unpacking_what_stands_in_place_of_its_number() -> None:
    body = b"\x92\xdd\x00\x0f\xff\x00" + b"\x90" * 0x0FFF00
    tracemalloc.start()
    try:
        assert wire.kind_of(body) is None
        assert tracemalloc.get_traced_memory()[1] < 10 * len(body)  # a million lists take sixty times as much
    finally:
        tracemalloc.stop()


def test_numbers_that_collide_in_a_dict_cannot_be_sent_to_the_front() -> None:
    prime = 2**61 - 1  # a multiple of it hashes to 0, and a dict of them takes quadratic time
    colliding = {number * prime: 0 for number in range(1, 300)}
    write = messages.Write(key="/x", value=colliding, unset=False)
    with pytest.raises(wire.WireError):
        wire.decode(wire.encode(write), EVERYTHING, plain=True)


def test_one_message_of_one_type_is_asked_for_and_nothing_else_will_do() -> None:
    ended = messages.Ended(reason="bye", text="", is_home=True)
    assert wire.decode_one(wire.encode(ended), messages.Ended) == ended
    for body in (b"", wire.encode(ended) * 2, wire.encode(messages.Refused(code="x", text=""))):
        with pytest.raises(wire.WireError):
            wire.decode_one(body, messages.Ended)


# -- version 1 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x90",
        b"\x81\x01\x01",
        b"\x81\xc4\x01a\x01",
        b"\x81\xa1a",
        b"\x81\xa1a\x01\x01",
        b"\x81\xa1a\xa1\xff",
        b"\x81\xa1a\xc7\x00\x01",
        b"\x81\xa1a\xd6\xff" + bytes(4),
        b"\x82\xa1a\x01\xa1a\x01",
        b"\x81\xa1a\x81\x01\x01",
        b"\x81\xa1a" + b"\x91" * 5000 + b"\xc0",
        b"\x81\xa1a\xa3\xed\xa0\x80",
        b"\xdf\xff\xff\xff\xff",
    ],
    ids=lambda data: data[:12].hex(),
)
def test_what_is_no_map_of_plain_values_is_no_version_1_message(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_map(data)


def test_a_version_1_reply_can_hold_any_text() -> None:
    assert wire.decode_map(wire.encode_map({"message": "\ud800 gr\u00fcn"})) == {"message": "\\ud800 gr\u00fcn"}
