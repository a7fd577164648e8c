# SPDX-License-Identifier: Apache-2.0
"""What is fetched by hand arrives at whatever pace its sender has been brought down to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_remote.carrying import fetch
from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.pace import BLOCK_BYTES
from scenario_execution_remote.files.reporting import Reporter
from scenario_execution_remote.files.sending import cost_of, pieces
from scenario_execution_remote.protocol import messages, wire


class _SlowVisit:
    """A server whose window is a single chunk."""

    def __init__(self, folder: Path, name: str) -> None:
        self.log: list[Any] = []
        self._folder, self._name = folder, name
        self._taken = 0

    def post(self, body: Any) -> None:
        taken: messages.Taken = wire.decode_one(body, messages.Taken)
        self._taken += taken.cost

    def carry(self, make: Any, take: Any, _stalled_s: float) -> messages.Result:
        folder, sent = Folder(self._folder), 0
        take(messages.Collected(number=2, size_bytes=1))  # so that this is not the last one
        for piece in pieces(folder, 1, 0, self._name):
            assert sent - self._taken < BLOCK_BYTES, "nothing more may be sent, and nobody says that anything was taken"
            take(piece)
            sent += cost_of(piece)
        folder.close()
        return messages.Result(
            call=make(1).call, status=None, stopped=False, feedback="", fault=None, value=0, nodes=[]
        )


def test_a_file_arrives_from_a_server_that_sends_one_chunk_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    content = os.urandom(5 * BLOCK_BYTES)
    (tmp_path / "there" / "big").write_bytes(content)
    visit: Any = _SlowVisit(tmp_path / "there", "big")
    assert fetch(visit, "big", tmp_path / "here", Reporter("fetched", print)).problems == ()
    assert (tmp_path / "here" / "big").read_bytes() == content


class _DishonestVisit(_SlowVisit):
    """A server that sends, whatever it is asked for, what the user would not have asked for."""

    def post(self, body: Any) -> None:
        pass

    def carry(self, make: Any, take: Any, _stalled_s: float) -> messages.Result:
        folder = Folder(self._folder)
        take(messages.Collected(number=1, size_bytes=1))
        for piece in pieces(folder, 1, 0, self._name):
            take(piece)
        folder.close()
        return messages.Result(
            call=make(1).call, status=None, stopped=False, feedback="", fault=None, value=0, nodes=[]
        )


@pytest.mark.parametrize(
    "name", ["files/map/.bashrc", "xxxxxx.bashrc", "files/maps/.bashrc", ".bashrc"], ids=lambda name: name
)
def test_nothing_is_put_down_but_what_was_asked_for(tmp_path: Path, name: str) -> None:
    there, here = tmp_path / "there" / name, tmp_path / "here"
    there.parent.mkdir(parents=True)
    there.write_text("theirs")
    here.mkdir()
    (here / ".bashrc").write_text("mine")
    visit: Any = _DishonestVisit(tmp_path / "there", name)
    problems = fetch(visit, "files/map/map.yaml", here, Reporter("fetched", print)).problems
    assert len(problems) == 1 and "'files/map/map.yaml' was asked for" in problems[0]
    assert [path.read_text() for path in here.rglob("*") if path.is_file()] == ["mine"]
