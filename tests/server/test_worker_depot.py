# SPDX-License-Identifier: Apache-2.0
"""How much a client may leave on the server, and what counts."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.outlet import Outlet
from scenario_execution_remote.files.quota import Quota
from scenario_execution_remote.files.sending import pieces
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.depot import Depot, StoreBusyError


class Store:
    """A client's folder `there`, a depot, and a way between them."""

    def __init__(self, tmp_path: Path, stored_bytes: int | None) -> None:
        self.there, self.base = tmp_path / "there", tmp_path / "clients" / "a"
        self.there.mkdir(exist_ok=True)
        terms = messages.FileTerms(
            client="a", session="s", folder=str(self.base), keep_s=60.0, may_put=True, total_bytes=None, count=None,
            rate_bytes_s=None, stored_bytes=stored_bytes, mend="ask for", own_limits="count=7 stored=1k",
            put_mend="", cache_limit_bytes=0, cache_age_s=0.0,
        )  # fmt: skip
        self.said: list[Any] = []
        outlet = Outlet(self.said.extend, lambda _condition: None)
        self.depot = Depot(terms, outlet, self.said.append, Quota(), lambda _seconds: None)
        self.number = 0

    def put(self, content: bytes, name: str = "x", *, harm: bool = False) -> None:
        (self.there / name).write_bytes(content)
        folder = Folder(self.there)
        self.number += 1
        for piece in pieces(folder, self.number, 0, name):
            is_harmed = harm and isinstance(piece, messages.ArtifactEnd)
            self.depot.take(replace(piece, digest=b"no") if is_harmed else piece)  # type: ignore[call-arg]
        folder.close()

    def holds(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in (self.base / "files").iterdir()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path, 100_000)
    store.depot.open()
    return store


def test_a_file_that_is_put_again_counts_once(store: Store) -> None:
    for _ in range(5):
        store.put(os.urandom(60_000))
    assert store.depot.close() == [] and store.holds() == {"x": 60_000}
    store.depot.open()
    store.put(os.urandom(90_000))
    assert store.depot.close() == [] and store.holds() == {"x": 90_000}


def test_a_file_that_did_not_arrive_does_not_count_and_what_it_would_have_replaced_stays(store: Store) -> None:
    store.put(os.urandom(50_000))
    store.put(os.urandom(90_000), harm=True)
    store.put(os.urandom(40_000), "y")
    (problem,) = store.depot.close()
    assert problem == "'x' could not be put down on the server: it did not arrive as it was sent"
    assert store.holds() == {"x": 50_000, "y": 40_000}


def test_sessions_at_once_do_not_each_put_as_much_as_all_may(store: Store, tmp_path: Path) -> None:
    second = Store(tmp_path, 100_000)
    with pytest.raises(StoreBusyError, match="another session of a is putting files here, .*; try again then"):
        second.depot.open()
    assert StoreBusyError.__name__ == messages.STORE_BUSY  # by which the client knows it
    store.put(os.urandom(90_000))
    second.put(os.urandom(90_000), "y")  # nobody has opened it
    store.depot.close()
    second.depot.open()
    second.put(os.urandom(90_000), "y")
    assert len(second.depot.close()) == 1 and store.holds() == {"x": 90_000}


def test_a_store_that_is_opened_again_is_the_same_sessions(store: Store) -> None:
    store.depot.open()
    store.put(b"x")
    assert store.depot.close() == [] and store.holds() == {"x": 1}


def test_sessions_without_a_limit_need_not_wait_for_each_other(tmp_path: Path) -> None:
    one, other = Store(tmp_path, None), Store(tmp_path, None)
    for store, name in ((one, "x"), (other, "y")):
        store.depot.open()
        store.put(b"x", name)
    assert one.depot.close() == other.depot.close() == [] and one.holds() == {"x": 1, "y": 1}


def test_empty_files_are_not_free(store: Store) -> None:
    for number in range(30):
        store.put(b"", str(number))
    problems = store.depot.close()
    assert len(store.holds()) == 24 and len(problems) == 6
    assert "'24' has 0 bytes, and 1.7 kB are left of the 100.0 kB that may lie here for this client" in problems[0]


def test_results_that_are_kept_count_and_the_refusal_says_how_to_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path, 100_000)
    (store.base / "results" / "one").mkdir(parents=True)
    (store.base / "results" / "one" / "bag").write_bytes(os.urandom(80_000))
    store.depot.open()
    store.put(os.urandom(30_000))
    (problem,) = store.depot.close()
    assert "'x' has 30.0 kB, and 15.9 kB are left of the 100.0 kB" in problem and "se-remote rm" in problem
    assert problem.endswith(", or ask for 'count=7 stored=300k'")  # all that the key says, and twice what is needed
    assert store.holds() == {}


@pytest.mark.parametrize("size_bytes", [-1, 1 << 70])
def test_a_size_that_cannot_be_is_refused(size_bytes: int, store: Store) -> None:
    store.depot.take(
        messages.Artifact(
            number=1, mount=0, name="x", kind="file", size_bytes=size_bytes, mode=0o600, mtime_ns=0, target=""
        )
    )
    assert len(store.depot.close()) == 1 and store.holds() == {}


def test_files_that_are_sent_after_others_have_numbers_of_their_own(store: Store) -> None:
    for name in ("a", "b"):
        store.put(os.urandom(10), name)
    store.depot.close()
    store.said.clear()
    for _ in range(2):
        store.depot.send("files")
    assert [one.number for one in store.said if isinstance(one, messages.Artifact)] == [1, 2, 3, 4, 5, 6]
    assert [one.number for one in store.said if isinstance(one, messages.Collected)] == [3, 6]


def artifact(name: str, kind: str, target: str = "", size_bytes: int = 0) -> messages.Artifact:
    return messages.Artifact(
        number=1, mount=0, name=name, kind=kind, size_bytes=size_bytes, mode=0o600, mtime_ns=0, target=target
    )


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_folders_and_links_are_not_free_whatever_is_refused_in_between(kind: str, store: Store) -> None:
    for number in range(60):
        store.depot.take(artifact(str(number), kind, "x"))
        store.depot.take(artifact("bad", "link", "../x"))
    store.depot.close()
    assert len(list((store.base / "files").iterdir())) == 24


def test_folders_that_are_made_for_a_file_are_not_free_and_stay_counted_when_it_does_not_arrive(store: Store) -> None:
    (store.there / "x").write_bytes(b"x")
    for number in range(60):
        store.depot.take(artifact(f"{number}/a/x", "file", size_bytes=1))
        store.depot.take(messages.ArtifactEnd(number=1, digest=b"no", text=""))
    store.depot.close()
    assert len(list((store.base / "files").rglob("*"))) == 22  # and the next had no room for its file


@pytest.mark.parametrize("kind", ["folder", "nothing", "never heard of"])
def test_what_takes_the_place_of_nothing_gives_no_room_back(kind: str, store: Store) -> None:
    store.put(os.urandom(60_000))
    for number in range(10):
        store.depot.take(artifact("x", kind))
        store.put(os.urandom(30_000), f"more{number}")
    store.depot.close()
    assert sorted(store.holds()) == ["more0", "x"]


def test_a_tree_that_is_put_again_needs_no_more_room(store: Store) -> None:
    for _ in range(5):
        for name in ("a", "a/b"):
            store.depot.take(artifact(name, "folder"))
        store.depot.take(artifact("a/b/l", "link", "x"))
        store.put(os.urandom(80_000))
    assert store.depot.close() == []
