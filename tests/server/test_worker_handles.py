# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from scenario_execution_remote.protocol.values import Handle
from scenario_execution_server.worker import handles as room
from scenario_execution_server.worker.handles import Handles
from tests.support.wire_values import exact, value_through_the_wire


class Thing:
    """Something that cannot travel."""

    def __init__(self, text: str = "thing") -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.fixture
def handles() -> Handles:
    return Handles("worker")


def test_what_goes_out_as_a_handle_comes_back_as_the_object_itself(handles: Handles) -> None:
    thing = Thing()
    assert handles.restore(value_through_the_wire(thing, handles.keep)) is thing


def test_handles_are_restored_wherever_they_stand(handles: Handles) -> None:
    a, b = Thing("a"), Thing("b")
    sent = [a, (b, {"k": [a]}), {a: {b}}, frozenset({a})]
    back = handles.restore(value_through_the_wire(sent, handles.keep))
    assert back == sent
    assert [type(item) for item in back] == [Thing, tuple, dict, frozenset]


@pytest.mark.parametrize(
    "value", [None, 1, "x", b"x", [], [1, 2], (1, "x"), {"a": 1}, {1, 2}, [[1], (2,)], {"a": {"b": ({1},)}}], ids=repr
)
def test_a_value_without_handles_stays_what_it_is(handles: Handles, value: Any) -> None:
    handles.keep(Thing())
    assert exact(handles.restore(value)) == exact(value)


def test_a_flat_value_without_handles_is_not_even_copied(handles: Handles) -> None:
    for value in ([1, 2], (1, 2), {"a": 1}, {1}):
        assert handles.restore(value) is value


def test_the_same_object_has_the_same_number_each_time(handles: Handles) -> None:
    thing = Thing()
    assert handles.keep(thing).number == handles.keep(thing).number
    assert handles.keep(Thing()).number != handles.keep(thing).number


def test_a_handle_says_what_the_object_said_when_it_was_sent(handles: Handles) -> None:
    thing = Thing("before")
    first = handles.keep(thing)
    thing.text = "after"
    assert (str(first), str(handles.keep(thing))) == ("before", "after")


def test_the_text_of_an_object_is_cut(handles: Handles) -> None:
    assert len(handles.keep(Thing("x" * 10_000_000)).text) == 1000


def test_an_object_that_cannot_be_told_as_text_is_kept_all_the_same(handles: Handles) -> None:
    thing = Unspeakable()
    handle = handles.keep(thing)
    assert handle.text == "<Unspeakable, whose str() raised RuntimeError>"
    assert handles.restore(handle) is thing


@pytest.mark.parametrize("wrap", [lambda h: h, lambda h: [h], lambda h: {"k": (h,)}], ids=["bare", "list", "nested"])
def test_a_handle_of_another_worker_is_refused_even_by_a_worker_that_keeps_nothing(handles: Handles, wrap: Any) -> None:
    with pytest.raises(LookupError, match="'thing' is an object that lives on another server"):
        handles.restore(wrap(Handle(1, "elsewhere", "thing")))


@pytest.mark.parametrize("number", [0, 7, -1, 2**70])
def test_a_handle_that_was_never_given_out_is_refused(handles: Handles, number: int) -> None:
    with pytest.raises(LookupError, match="not kept any more"):
        handles.restore(Handle(number, "worker", "thing"))


def test_those_longest_out_of_use_are_forgotten_first(handles: Handles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KEPT_COUNT", 3)
    written, read, unused = Thing("written"), Thing("read"), Thing("unused")
    first = {thing.text: handles.keep(thing) for thing in (unused, written, read)}
    for _ in range(10):
        handles.keep(written)
        handles.restore(first["read"])
        handles.keep(Thing())
    assert handles.restore(first["written"]) is written
    assert handles.restore(first["read"]) is read
    with pytest.raises(LookupError):
        handles.restore(first["unused"])


def test_what_is_forgotten_is_let_go(handles: Handles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "KEPT_COUNT", 1)
    thing = Thing()
    gone = weakref.ref(thing)
    handles.keep(thing)
    del thing
    handles.keep(Thing())
    gc.collect()
    assert gone() is None


def test_a_value_nested_as_deep_as_the_wire_allows_is_restored_or_refused(handles: Handles) -> None:
    value: Any = Thing()
    for _ in range(400):
        value = [value]
    assert handles.restore(value_through_the_wire(value, handles.keep)) == value
