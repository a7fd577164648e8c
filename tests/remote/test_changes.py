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

    def found(self, *, but: str = "", is_whole: bool = True) -> tuple[list[str], list[str]]:
        """What is found, and told, if all but one name is meant."""
        there = [(name, look) for name, look in self.folder.walk([]) if name != but]
        changed, gone = self.changes.found(1, self.folder, there, is_whole=is_whole)
        self.changes.told(1, self.folder, changed, gone)
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


def test_what_is_not_meant_any_more_or_cannot_be_seen_has_not_gone(watched: Watched) -> None:
    watched.comes_from(SERVER, "of-before")
    assert watched.found(but="of-before") == ([], [])  # as there is too much, for instance
    assert watched.ledger.is_known(f"{watched.path}/of-before")
    (watched.path / "of-before").unlink()
    assert watched.found(is_whole=False) == ([], [])
    assert watched.found() == ([], ["of-before"])
    assert not watched.ledger.is_known(f"{watched.path}/of-before")


def test_what_the_server_has_brought_and_somebody_takes_away_before_anybody_has_looked_has_gone(
    watched: Watched,
) -> None:
    (watched.path / "d").mkdir()
    (watched.path / "d" / "x").write_text("x")
    (watched.path / "gone-there-too").write_text("g")
    for name in ("d/x", "gone-there-too"):
        watched.comes_from(SERVER, name)
    watched.ledger.note(f"{watched.path}/d", SERVER, None)
    watched.ledger.take_away(f"{watched.path}/gone-there-too", SERVER)
    (watched.path / "gone-there-too").unlink()
    (watched.path / "d" / "x").unlink()
    (watched.path / "d").rmdir()
    (watched.path / "d").write_text("a file")
    assert watched.found() == (["d"], ["d/x", "d"])
    assert watched.found() == ([], [])


def test_what_the_server_has_taken_away_itself_is_no_news_to_it(watched: Watched) -> None:
    for name in ("of-before", "theirs"):
        (watched.path / name).write_text("t")
        watched.comes_from(SERVER, name)
    assert watched.found() == ([], [])
    for name in ("of-before", "theirs"):
        (watched.path / name).unlink()
        watched.ledger.take_away(f"{watched.path}/{name}", SERVER)
    (watched.path / "of-before").write_text("of somebody here")
    assert watched.found() == (["of-before"], [])


def test_what_cannot_be_looked_at_has_not_gone(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_name: str) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(watched.folder, "look", look)
    assert watched.found(but="of-before") == ([], [])


def test_what_has_become_a_folder_or_was_one_goes_before_it_comes(watched: Watched) -> None:
    (watched.path / "of-before").unlink()
    (watched.path / "of-before").mkdir()
    (watched.path / "of-before" / "x").write_text("x")
    assert watched.found() == (["of-before", "of-before/x"], ["of-before"])
    (watched.path / "of-before" / "x").unlink()
    (watched.path / "of-before").rmdir()
    (watched.path / "of-before").write_text("again")
    assert watched.found() == (["of-before"], ["of-before/x", "of-before"])
    assert watched.found() == ([], [])


def test_what_was_replaced_before_the_server_had_it_is_not_the_servers(watched: Watched) -> None:
    (watched.path / "x").write_text("x")
    look = watched.folder.look("x")
    assert look is not None
    (watched.path / "x").write_text("another's, and newer")
    watched.comes_from(OTHER, "x")
    watched.changes.had(watched.folder, "x", look)
    newer = watched.folder.look("x")
    assert watched.ledger.is_from(f"{watched.path}/x", OTHER, newer)
    assert not watched.ledger.is_from(f"{watched.path}/x", SERVER, newer)


def test_whose_a_file_is_is_asked_when_whoever_puts_it_down_has_noted_it(watched: Watched) -> None:
    class Placing:
        """What another thread holds as long as it has put something down and has not noted it."""

        def __enter__(self) -> None:
            watched.comes_from(SERVER, "theirs")

        def __exit__(self, *_: object) -> None:
            pass

    (watched.path / "theirs").write_text("t")
    watched.ledger.placing = Placing()  # type: ignore[assignment]
    assert watched.found() == ([], [])


def test_what_somebody_still_writes_to_is_found_when_it_is_complete(watched: Watched) -> None:
    with (watched.path / "log").open("w") as file:
        file.write("half")
        file.flush()
        assert watched.found() == ([], [])
    assert watched.found() == (["log"], [])
