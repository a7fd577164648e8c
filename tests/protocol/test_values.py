# SPDX-License-Identifier: Apache-2.0
"""What stands on one side for what is on the other."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, replace

import pytest

from scenario_execution_remote.protocol.values import Handle

HANDLE = Handle(3, "worker", "/a/b")


def test_who_looks_into_a_handle_is_told_where_the_object_lives() -> None:
    with pytest.raises(AttributeError, match=r"'/a/b' is an object that lives on the server .* its 'name' has to run"):
        _ = HANDLE.name


def test_a_handle_can_be_copied_and_packed_and_has_no_more_than_it_had() -> None:
    copies = (copy.copy(HANDLE), copy.deepcopy(HANDLE), replace(HANDLE), pickle.loads(pickle.dumps(HANDLE)))
    assert all(one == HANDLE for one in copies) and asdict(HANDLE)["text"] == "/a/b"
    assert not hasattr(HANDLE, "name") and not hasattr(HANDLE, "__enter__")


def test_a_handle_that_is_not_filled_yet_has_no_text_to_show() -> None:
    with pytest.raises(AttributeError, match="^text$"):
        _ = object.__new__(Handle).text
