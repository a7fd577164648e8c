# SPDX-License-Identifier: Apache-2.0
"""What has changed on this side is found once, and what came from the server itself never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_remote.changes import Changes
from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.ledger import Ledger

SERVER, OTHER = "server", "other"


class Watched:
    """An output directory, and what is found in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger()
        self.folder = Folder(path)
        self.changes = Changes(self.ledger, SERVER)
        self.changes.begin(1, self.folder.walk([]))

    def found(self) -> tuple[list[str], list[str]]:
        changed, gone = self.changes.found(1, self.folder, self.folder.walk([]))
        return [name for name, _ in changed], gone

    def comes_from(self, owner: str, name: str) -> None:
        self.ledger.note(f"{self.path}/{name}", owner, self.folder.look(name))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "of-before").write_text("b")
    watched = Watched(tmp_path)
    yield watched
    watched.folder.close()


def test_what_is_new_or_changed_or_gone_is_found_once(watched: Watched) -> None:
    assert watched.found() == ([], [])
    (watched.path / "d").mkdir()
    (watched.path / "d" / "new").write_text("n")
    (watched.path / "of-before").write_text("changed")
    assert watched.found() == (["d", "of-before", "d/new"], [])
    assert watched.found() == ([], [])
    (watched.path / "d" / "new").unlink()
    (watched.path / "d").rmdir()
    assert watched.found() == ([], ["d/new", "d"])
    assert watched.found() == ([], [])


def test_what_came_from_the_server_is_not_found_until_somebody_changes_it(watched: Watched) -> None:
    (watched.path / "theirs").write_text("t")
    watched.comes_from(SERVER, "theirs")
    (watched.path / "others").write_text("o")
    watched.comes_from(OTHER, "others")
    assert watched.found() == (["others"], [])
    (watched.path / "theirs").write_text("and more")
    assert watched.found() == (["theirs"], [])


def test_what_the_server_has_got_may_be_replaced_by_it_and_by_who_brought_it(watched: Watched) -> None:
    (watched.path / "x").write_text("x")
    watched.comes_from(OTHER, "x")
    look = watched.folder.look("x")
    assert look is not None and not watched.ledger.is_from(f"{watched.path}/x", SERVER, look)
    watched.changes.had(watched.folder, "x", look)
    assert all(watched.ledger.is_from(f"{watched.path}/x", owner, look) for owner in (SERVER, OTHER))
    watched.comes_from(OTHER, "x")
    assert not watched.ledger.is_from(f"{watched.path}/x", SERVER, look)


def test_what_somebody_still_writes_to_is_found_when_it_is_complete(watched: Watched) -> None:
    with (watched.path / "log").open("w") as file:
        file.write("half")
        file.flush()
        assert watched.found() == ([], [])
    assert watched.found() == (["log"], [])
