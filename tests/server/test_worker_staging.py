# SPDX-License-Identifier: Apache-2.0
"""What a client offers lies in its place as it is there, whatever arrives, in which order and under what name."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.pace import BLOCK_BYTES
from scenario_execution_remote.files.quota import Quota
from scenario_execution_remote.files.sending import Piece, cost_of, entry_of, pieces
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.cache import Cache
from scenario_execution_server.worker.contents import Contents
from scenario_execution_server.worker.staging import Staging


class _Places:
    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, mount: int) -> Path | None:
        return self.path if mount == 1 else None


class Stage:
    """A client's folder `there`, a server's `here`, and a staging between them."""

    def __init__(self, tmp_path: Path, owner: str = "a", session: str = "s") -> None:
        self.there, self.here = tmp_path / "there", tmp_path / session / "here"
        self.there.mkdir(exist_ok=True)
        self.here.mkdir(parents=True)
        self.said: list[Any] = []
        contents = Contents(tmp_path / session / "contents")
        terms = messages.FileTerms(
            client="a", session="s", folder="", keep_s=60.0, may_put=True, total_bytes=None, count=None,
            rate_bytes_s=None, stored_bytes=None, mend="", own_limits="", put_mend="",
            cache_limit_bytes=1 << 30, cache_age_s=1e9,
        )  # fmt: skip
        self.cache = Cache(tmp_path / "clients", owner, terms)
        contents.use(self.cache)
        self.quota = Quota()
        self.staging = Staging(self.said.append, _Places(self.here), contents, self.quota, print)  # type: ignore[arg-type]
        self.staging.await_offer(1)
        self.said.clear()

    def entries(self) -> list[messages.Entry]:
        folder = Folder(self.there)
        try:
            return [entry_of(folder, n, name, look) for n, (name, look) in enumerate(folder.walk([]), 1)]
        finally:
            folder.close()

    def offer(self, entries: list[messages.Entry], number: int = 1) -> list[int]:
        """Offer these; returns what is wanted."""
        self.staging.take(messages.Offer(offer=number, mount=1, entries=entries, is_last=True))
        return [one for said in self.said if isinstance(said, messages.Wanted) for one in said.numbers]

    def pieces(self, entry: messages.Entry) -> list[Piece]:
        folder = Folder(self.there)
        try:
            return list(pieces(folder, entry.number, 1, entry.name))
        finally:
            folder.close()

    def send(self, entries: list[messages.Entry], wanted: list[int]) -> None:
        for entry in entries:
            for piece in self.pieces(entry) if entry.number in wanted else ():
                self.staging.take(piece)

    def go(self) -> list[int]:
        entries = self.entries()
        wanted = self.offer(entries)
        self.send(entries, wanted)
        return wanted

    @property
    def problems(self) -> list[str] | None:
        """None before the last word."""
        found = [said.problems for said in self.said if isinstance(said, messages.Staged)]
        return found[-1] if found else None

    def tree(self) -> dict[str, bytes]:
        return {str(p.relative_to(self.here)): p.read_bytes() for p in self.here.rglob("*") if p.is_file()}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.staging.close()


def fill(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "a").write_bytes(b"same")
    (folder / "sub" / "b").write_bytes(b"same")
    (folder / "sub" / "big").write_bytes(os.urandom(200_000))
    (folder / "empty").touch()
    (folder / "link").symlink_to("sub/b")


def test_a_tree_lies_here_as_it_does_there_and_each_content_came_once(stage: Stage) -> None:
    fill(stage.there)
    (stage.there / "a").chmod(0o750)
    os.utime(stage.there / "a", ns=(1, 1234567890123456789))
    wanted = stage.go()
    assert stage.problems == [] and len(wanted) == 3
    assert stage.tree() == {
        str(p.relative_to(stage.there)): p.read_bytes() for p in stage.there.rglob("*") if p.is_file()
    }
    found = (stage.here / "a").stat()
    assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o750, 1234567890123456789)
    assert os.readlink(stage.here / "link") == "sub/b"


def test_the_next_session_of_the_client_asks_for_nothing(stage: Stage, tmp_path: Path) -> None:
    fill(stage.there)
    stage.go()
    second = Stage(tmp_path, session="t")
    assert second.go() == [] and second.problems == [] and second.tree() == stage.tree()
    second.staging.close()


def test_another_clients_contents_are_not_there_for_it(stage: Stage, tmp_path: Path) -> None:
    fill(stage.there)
    first = stage.go()
    other = Stage(tmp_path, owner="b", session="t")
    assert other.go() == first
    other.staging.close()


def test_an_action_that_writes_to_its_input_changes_nothing_for_the_next_session(stage: Stage, tmp_path: Path) -> None:
    fill(stage.there)
    stage.go()
    with (stage.here / "a").open("r+b") as file:
        file.write(b"evil")
    second = Stage(tmp_path, session="t")
    assert second.go() == [] and second.tree()["a"] == b"same"
    second.staging.close()


def test_a_content_that_is_not_what_its_name_says_is_never_used_and_asked_for_again(
    stage: Stage, tmp_path: Path
) -> None:
    (stage.there / "a").write_bytes(b"good")
    stage.go()
    (content,) = stage.cache.path.iterdir()
    content.write_bytes(b"evil")
    second = Stage(tmp_path, session="t")
    assert second.go() == [1] and second.tree() == {"a": b"good"}
    second.staging.close()


def test_a_content_is_kept_under_the_digest_of_what_arrived_whatever_was_offered(stage: Stage, tmp_path: Path) -> None:
    (stage.there / "a").write_bytes(b"good")
    (good,) = stage.entries()
    (stage.there / "a").write_bytes(b"evil, and longer")
    stage.send([good], stage.offer([good]))  # it has changed between the offer and the sending, or was never that
    assert stage.tree() == {"a": b"evil, and longer"} and stage.problems == []
    (stage.there / "a").write_bytes(b"good")
    second = Stage(tmp_path, session="t")
    assert second.go() == [1] and second.tree() == {"a": b"good"}
    second.staging.close()


def test_a_content_that_breaks_off_leaves_nothing_under_any_name(stage: Stage) -> None:
    (stage.there / "a").write_bytes(os.urandom(200_000))
    entries = stage.entries()
    stage.offer(entries)
    for piece in stage.pieces(entries[0])[:2]:
        stage.staging.take(piece)
    stage.staging.close()
    assert stage.tree() == {} and list(stage.cache.path.iterdir()) == []


def test_a_content_that_did_not_arrive_as_it_was_sent_is_dropped_and_named(stage: Stage) -> None:
    (stage.there / "a").write_bytes(b"x" * 100)
    (stage.there / "b").write_bytes(b"fine")
    entries = stage.entries()
    stage.offer(entries)
    first, chunk, end = stage.pieces(entries[0])
    for piece in (first, replace(chunk, data=b"y" * 100), end):
        stage.staging.take(piece)
    stage.send(entries[1:], [2])
    assert stage.tree() == {"b": b"fine"}
    (problem,) = stage.problems or []
    assert "'a'" in problem and "did not arrive as it was sent" in problem


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "", "a\nb", "x" * 256, ".scenario-remote-x", "/".join("a" * 80)]
)
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_hostile_name_is_refused_and_named(stage: Stage, kind: str, name: str) -> None:
    (stage.there / "a").write_bytes(b"x")
    (entry,) = stage.entries()
    hostile = replace(entry, name=name, kind=kind, target="a" if kind == "link" else "")
    wanted = stage.offer([hostile])
    stage.send([entry], wanted)
    assert stage.tree() == {} and stage.problems and "left where it is" in stage.problems[0]
    assert sorted(p.name for p in stage.here.parent.iterdir() if p.name != "contents") == ["here"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../..", "sub/../../x", ""])
def test_a_link_that_leads_out_is_refused(stage: Stage, target: str) -> None:
    (stage.there / "a").write_bytes(b"x")
    (entry,) = stage.entries()
    stage.offer([replace(entry, kind="link", target=target)])
    assert stage.problems and not os.path.lexists(stage.here / "a")


def test_nothing_is_written_through_a_link(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (stage.there / "sub").mkdir()
    (stage.there / "sub" / "a").write_bytes(b"x")
    (stage.here / "sub").symlink_to(tmp_path / "elsewhere")
    stage.go()
    assert list((tmp_path / "elsewhere").iterdir()) == [] and stage.problems


def test_pieces_that_nobody_asked_for_are_ignored(stage: Stage) -> None:
    (stage.there / "a").write_bytes(b"x")
    (entry,) = stage.entries()
    stage.send([entry], [1])
    assert stage.tree() == {} and not [said for said in stage.said if not isinstance(said, messages.Taken)]


@pytest.mark.parametrize("odd", [{"size_bytes": -1}, {"size_bytes": 1 << 70}])
def test_a_size_that_cannot_be_is_refused(stage: Stage, odd: dict[str, int]) -> None:
    (stage.there / "a").write_bytes(b"x")
    (entry,) = stage.entries()
    stage.offer([entry])
    first, chunk, end = stage.pieces(entry)
    for piece in (replace(first, **odd), chunk, end):
        stage.staging.take(piece)
    assert stage.tree() == {} and stage.problems


def test_what_was_taken_is_said_before_a_window_of_one_chunk_is_full(stage: Stage) -> None:
    (stage.there / "a").write_bytes(os.urandom(300_000))
    entries = stage.entries()
    stage.offer(entries)
    given = 0
    for piece in stage.pieces(entries[0]):
        stage.staging.take(piece)
        given += cost_of(piece)
        taken = sum(said.cost for said in stage.said if isinstance(said, messages.Taken))
        assert 0 <= given - taken < BLOCK_BYTES
    assert given == taken and stage.problems == []


def test_what_came_in_one_message_is_reported_once(stage: Stage) -> None:
    (stage.there / "a").write_bytes(os.urandom(3 * BLOCK_BYTES))
    entries = stage.entries()
    stage.offer(entries)
    first, *chunks, end = stage.pieces(entries[0])
    stage.staging.take(first)
    for chunk in chunks:
        stage.staging.take(chunk, is_more_there=chunk is not chunks[-1])
    costs = [said.cost for said in stage.said if isinstance(said, messages.Taken)]
    assert costs == [sum(map(cost_of, (first, *chunks)))]
    stage.staging.take(end)
    assert stage.problems == []


def test_a_time_that_cannot_be_is_refused(stage: Stage) -> None:
    (stage.there / "a").write_bytes(b"x")
    (entry,) = stage.entries()
    hostile = replace(entry, mtime_ns=1 << 70)
    stage.send([hostile], stage.offer([hostile]))
    assert stage.tree() == {} and stage.problems


def test_a_file_that_is_larger_than_was_offered_counts_as_what_it_is(stage: Stage) -> None:
    (stage.there / "a").write_bytes(os.urandom(5000))
    (entry,) = stage.entries()
    stage.quota.limit(total_bytes=4000)
    hostile = replace(entry, size_bytes=0)
    stage.send([hostile], stage.offer([hostile]))
    assert stage.tree() == {} and not list(stage.cache.path.glob("*"))
    assert "4.0 kB" in str(stage.staging.failure) and stage.problems


@pytest.mark.parametrize("mount", [0, 2])
def test_what_nobody_has_asked_for_is_not_taken_not_even_its_content(stage: Stage, mount: int) -> None:
    (stage.there / "a").write_bytes(b"x")
    (entry,) = stage.entries()
    stage.staging.take(messages.Offer(offer=1, mount=mount, entries=[entry], is_last=True))
    stage.send([entry], [entry.number])
    assert not [said for said in stage.said if isinstance(said, messages.Wanted)]
    assert not stage.cache.path.exists() and stage.problems


@pytest.mark.parametrize("call", ["pwrite", "copy_file_range", "open", "replace"])
def test_a_full_disk_is_the_reason_why_the_set_up_fails_and_the_session_goes_on(
    call: str, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage.here / "a").write_bytes(b"of before")
    (stage.there / "a").write_bytes(b"of now")

    def full(*_arguments: object, **_more: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    entries = stage.entries()
    several = stage.pieces(entries[0])
    with monkeypatch.context() as patch:
        if call == "open":  # of a new file; the folder is open already
            stage.staging._receiver(1)
            real = os.open
            patch.setattr(os, "open", lambda *a, **m: full() if a[1] & os.O_CREAT else real(*a, **m))
        else:
            patch.setattr(os, call, full)
        if stage.offer(entries):
            for piece in several:
                stage.staging.take(piece)
    for words in ("'a' could not be put down", "has no room for it (No space left on device)", "--files-dir"):
        assert words in str(stage.staging.failure)
    assert stage.tree() == {"a": b"of before"} and len(stage.problems or []) == 1
    assert all(len(path.name) == 64 for path in stage.cache.path.glob("*"))
    second = Stage(tmp_path, session="t")
    second.go()
    assert second.problems == [] and second.tree() == {"a": b"of now"}
    second.staging.close()


@pytest.mark.parametrize("is_disk_full", [False, True])
def test_what_comes_in_after_the_inputs_and_is_refused_fails_no_set_up_and_is_told(
    is_disk_full: bool, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage.there / "input").write_bytes(b"x")
    stage.go()
    (stage.there / "input").unlink()
    (stage.there / "written meanwhile").write_bytes(os.urandom(2000))

    def full(*_arguments: object, **_more: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if is_disk_full:
        monkeypatch.setattr(os, "pwrite", full)
    else:
        stage.quota.limit(total_bytes=1000)
    entries = stage.entries()
    stage.send(entries, stage.offer(entries, number=2))
    (problem,) = stage.problems or []
    assert problem.startswith("not taken to the server: 'written meanwhile'")
    assert stage.staging.failure is None


def test_of_many_files_that_cannot_be_put_down_some_are_named_and_the_rest_counted(stage: Stage) -> None:
    for number in range(100):
        (stage.there / f"{number:03}").write_text(str(number))
    stage.quota.limit(count=30)
    stage.go()
    assert len(stage.tree()) == 30 and len(stage.problems or []) == 21
    assert "'030'" in (stage.problems or [])[0] and (stage.problems or [])[-1].startswith("50 more were not taken")
