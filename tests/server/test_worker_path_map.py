# SPDX-License-Identifier: Apache-2.0
"""The client's folders in texts and values, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_server.worker.path_map import PathMap
from tests.support.examples import thrifty

THERE, HERE = "/client/out", "/tmp/session-1/output-1"


def a_map() -> PathMap:
    paths = PathMap()
    paths.add(THERE, HERE)
    paths.add("/client/out-2/", "/tmp/session-1/output-2")
    return paths


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (THERE, HERE),
        (f"{THERE}/a b.txt", f"{HERE}/a b.txt"),
        (f"cp {THERE}/a {THERE}/b", f"cp {HERE}/a {HERE}/b"),
        (f"--to={THERE}", f"--to={HERE}"),
        (f"file://{THERE}/a", f"file://{HERE}/a"),
        (f"It is in {THERE}.", f"It is in {HERE}."),
        ("/client/out-2/x", "/tmp/session-1/output-2/x"),
        (f'["{THERE}"]', f'["{HERE}"]'),
    ],
)
def test_a_folder_in_a_text_is_replaced_and_comes_back(text: str, meant: str) -> None:
    assert a_map().inward(text) == meant
    assert a_map().outward(meant) == text


@pytest.mark.parametrize(
    "text", ["/client/outer", "/client/out-3", "/my/client/out", "x/client/out", "/client/out.d", "out"]
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert a_map().inward(text) == text


def test_values_are_searched_to_their_depth_and_keep_their_types() -> None:
    value = {"a": [(THERE, 1), {THERE}], THERE: None, "b": frozenset([THERE]), "c": b"/client/out"}
    assert a_map().inward(value) == {"a": [(HERE, 1), {HERE}], HERE: None, "b": frozenset([HERE]), "c": b"/client/out"}


def test_what_has_no_such_folder_in_it_is_the_same_object() -> None:
    value = {"a": [(1, 2), {"x"}]}
    assert a_map().inward(value) is value


def test_a_value_that_contains_itself_is_left_alone() -> None:
    value: list[object] = [THERE]
    value.append(value)
    assert a_map().inward(value) is value


def test_the_root_folder_stands_for_nothing() -> None:
    paths = PathMap()
    paths.add("/", HERE)
    assert paths.inward("/etc") == "/etc" and paths.is_empty


@thrifty
@given(
    st.recursive(
        st.text(alphabet="/clientou .-", max_size=20) | st.integers(), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_going_in_and_out_again_changes_nothing(value: object) -> None:
    assert a_map().outward(a_map().inward(value)) == value
