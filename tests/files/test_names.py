# SPDX-License-Identifier: Apache-2.0
"""Hostile names: what may not leave its folder, cannot be shown, or does not exist on the other side."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_remote.files.names import (
    NAME_LIMIT_BYTES,
    OWN_PREFIX,
    PART_LIMIT_BYTES,
    NameRefusedError,
    beside,
    checked,
    checked_link,
)
from tests.support.examples import thrifty

GOOD = ["a", "a b", "ä", "a/b/c", "...", ".hidden", "a..b", "~", "-rf", "CON", "x" * 255, os.fsdecode(b"\xff"), "a\\b"]
BAD = [
    "", "/", "/etc/passwd", "//x", ".", "..", "../x", "a/..", "a/../b", "a/../../b", "a//b", "a/", "./a", "a/.",
    "a\nb", "a\x00", "\x1b[31m", "\x7f", "\x9b31m", "x" * 256, "ä" * 128, "a/" * 70 + "a", "/".join(["x" * 200] * 11),
    "\ud800", "\udc00", OWN_PREFIX, f"a/{OWN_PREFIX}1", f"{OWN_PREFIX}x/a",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD, ids=ascii)
def test_an_ordinary_name_is_taken_apart(name: str) -> None:
    assert "/".join(checked(name)) == name


@pytest.mark.parametrize("name", BAD, ids=lambda name: ascii(name[:20]))
def test_a_hostile_name_is_refused_and_shown_harmlessly(name: str) -> None:
    with pytest.raises(NameRefusedError) as caught:
        checked(name)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


@thrifty
@given(st.text(alphabet=st.sampled_from("ab./\\\n\x00~é\udcff"), max_size=20))
def test_no_accepted_name_leads_out_of_its_folder(name: str) -> None:
    try:
        parts = checked(name)
    except NameRefusedError:
        return
    path = os.path.normpath(f"/top/{name}")
    assert path == f"/top/{name}" and parts
    assert all(len(os.fsencode(part)) <= PART_LIMIT_BYTES for part in parts)
    assert len(os.fsencode(name)) <= NAME_LIMIT_BYTES


@pytest.mark.parametrize(
    ("name", "target"), [("l", "a"), ("l", "a/b"), ("a/l", "../b"), ("a/b/l", "../../c"), ("l", ".")]
)
def test_a_link_within_the_folder_is_kept(name: str, target: str) -> None:
    assert checked_link(name, target) == target


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("l", "/etc/passwd"), ("l", ""), ("l", ".."), ("l", "../a"), ("a/l", "../../b"), ("l", "a/../b"),
        ("a/b/l", "../c/.."), ("l", "a\nb"), ("../l", "a"), ("l", "x" * (NAME_LIMIT_BYTES + 1)),
    ],
)  # fmt: skip
def test_a_link_that_may_lead_out_is_refused(name: str, target: str) -> None:
    with pytest.raises(NameRefusedError):
        checked_link(name, target)


@thrifty
@given(st.sampled_from(GOOD), st.text(max_size=200), st.integers(1, 999))
def test_the_name_beside_another_is_a_different_good_name_in_the_same_folder(
    name: str, origin: str, count: int
) -> None:
    other = beside(name, origin, count)
    assert other != name
    assert checked(other)[:-1] == checked(name)[:-1]
