# SPDX-License-Identifier: Apache-2.0
"""Of the output directory, what the run has written is taken to a server; no more, and nothing that nobody may have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_remote import news, offers
from scenario_execution_remote.changes import Changes
from scenario_execution_remote.files.ledger import Ledger
from scenario_execution_remote.files.selection import BUILT_IN
from scenario_execution_remote.inputs import Inputs
from scenario_execution_remote.mounts import INPUT, OUTPUT, Mounts
from scenario_execution_remote.protocol import messages
from tests.remote.test_mounts import Line, inputs_and_news
from tests.support.waiting import wait_until


class Run:
    """A run with results in `path`, on one server or several."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger()
        self.open: list[Inputs] = []

    def server(self) -> Server:
        return Server(self)

    def write(self, *names: str, content: str = "x") -> None:
        for name in names:
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(content)


class Server:
    """The session with one."""

    def __init__(self, run: Run) -> None:
        self.line, self.told = Line(), list[str]()
        self.mounts = mounts = Mounts(self.line, "server", "copy", lambda _level, _text: None)
        changes = Changes(run.ledger, self)
        self.inputs, self.news = inputs_and_news(
            self.line, mounts, lambda _level, text: self.told.append(text), changes
        )
        run.open.append(self.inputs)
        mount = mounts.mount(str(run.path), OUTPUT)
        assert mount is not None
        self.news.watch(mount)

    def offered(self, *, everywhere: bool = False) -> list[str]:
        """What is offered when an action begins there, or a scenario; what has gone with a minus before it."""
        self.line.posted.clear()
        self.news.catch_up(everywhere=everywhere)
        entries = [entry for said in self.line.posted for entry in said.entries]
        return [f"-{entry.name}" if entry.kind == "gone" else entry.name for entry in entries]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    (tmp_path / "results").mkdir()
    run = Run(tmp_path / "results")
    yield run
    for one in run.open:
        one.close()


def test_what_nobody_means_is_not_offered_and_nor_is_a_key_or_that_it_has_gone(run: Run) -> None:
    run.write("before.key_secret", ".netrc")
    server = run.server()
    folders = [name.rstrip("/") for name in BUILT_IN if name != ".netrc"]
    run.write(*(f"{folder}/x" for folder in folders), "sub/.ssh/id_ed25519", "a.key_secret", "meant")
    for name in ("before.key_secret", ".netrc"):
        (run.path / name).unlink()
    assert sorted(server.offered()) == ["meant", "sub"]
    for name in ("a.key_secret", "sub/.ssh/id_ed25519"):
        (run.path / name).unlink()
    assert server.offered() == []


def test_where_keys_are_kept_nothing_is_offered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "where_keys_are", lambda: [str(run.path)])
    server = run.server()
    run.write("authorized")
    assert server.offered() == [] and "where keys are kept" in server.told[0]


def test_what_is_more_than_the_upload_limit_stays_and_is_named_once(run: Run) -> None:
    server = run.server()
    run.write("small", content="x" * 400)
    run.write("large", content="x" * 2000)
    assert server.offered() == ["small"] and server.offered() == []
    (text,) = server.told
    assert "'large' (2.0 kB): at once, more has changed in it than the upload_limit of 1.0 kB" in text
    run.write("large", content="x" * 500)
    assert server.offered() == ["large"]


def test_what_lay_there_before_the_run_counts_for_no_limit(run: Run) -> None:
    run.write("old", content="x" * 5000)
    server = run.server()
    run.write("new", content="x" * 900)
    assert server.offered() == ["new"] and not server.told


def test_a_directory_with_much_in_it_is_looked_at_when_a_scenario_is_set_up_and_that_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_WATCHED_COUNT", 2)
    run.write("a", "b", "c")
    server = run.server()
    run.write("new")
    assert server.offered() == [] and server.offered() == []
    (text,) = server.told
    assert "more than 2 files and folders" in text and "-o" in text
    assert server.offered(everywhere=True) == ["new"]


def test_of_a_directory_with_far_too_much_in_it_nothing_old_is_taken_for_new(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "COUNT_LIMIT", 3)
    run.write("a", "b", "c")
    server = run.server()
    run.write("a")
    assert server.offered(everywhere=True) == [] and "3 files and folders or more" in server.told[0]


def test_a_server_that_is_first_used_later_gets_what_the_run_has_written_before(run: Run) -> None:
    run.write("old")
    first = run.server()
    run.write("of-the-first-scenario")
    assert first.offered() == ["of-the-first-scenario"]
    assert run.server().offered() == ["of-the-first-scenario"]


def test_beside_a_scenario_changes_are_seen_also_if_nothing_is_followed_in_the_directory_around_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "COUNT_LIMIT", 3)
    run.write("a", "b", "scenario/params")
    server = run.server()
    mount = server.mounts.mount(str(run.path / "scenario"), INPUT)
    assert mount is not None
    server.inputs.take(messages.Awaited(mount=mount))
    wait_until(lambda: server.line.posted)
    run.write("scenario/params", content="changed")
    assert server.offered() == ["params"]
