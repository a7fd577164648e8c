# SPDX-License-Identifier: Apache-2.0
"""Which folders of this side a server may read or write: those, and in that way, and no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_remote.budget import TickBudget
from scenario_execution_remote.changes import Changes
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.files.ledger import Ledger
from scenario_execution_remote.files.receiving import Receiver
from scenario_execution_remote.files.sending import Digest
from scenario_execution_remote.homecoming import LEDGER, Homecoming
from scenario_execution_remote.inputs import Inputs
from scenario_execution_remote.mounts import INPUT, OUTPUT, Mounts, Tell
from scenario_execution_remote.news import News
from scenario_execution_remote.offers import Offers
from scenario_execution_remote.pending import Pending
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Body, Scattered
from scenario_execution_remote.session import RemoteSession
from tests.support.waiting import wait_until


class Line:
    """A link to a server that says whatever the test wants."""

    is_over = False

    def __init__(self, value: str = "copy") -> None:
        self.posted: list[Any] = []
        self._value = value

    def next_number(self) -> int:
        return 1

    def call(self, *calls: Any) -> Pending:
        pending = Pending(calls[0], lambda _pending, _timeout_s: None)
        pending.finish(
            messages.Result(
                call=1, status=None, stopped=False, feedback="", fault=None, value=self._value, nodes=[],
            ), None,
        )  # fmt: skip
        return pending

    def post(self, body: Body | None) -> None:
        joined = b"".join(body.parts) if isinstance(body, Scattered) else body or b""
        self.posted += wire.decode(joined, wire.FROM_CLIENT)


def at_once(work: Callable[[], None]) -> None:
    work()


def inputs_and_news(
    line: Line, mounts: Mounts, tell: Tell = lambda _level, _text: None, changes: Changes | None = None,
    behind_results: Callable[[Callable[[], None]], None] = at_once,
) -> tuple[Inputs, News]:  # fmt: skip
    """Both ways in which files of one session get to its server, up to 1000 bytes of a folder."""
    changes = changes or Changes(Ledger(), line)
    offers = Offers(line, "server", mounts, tell, 1000, changes)
    return Inputs("server", mounts, offers, changes, behind_results), News(mounts, offers, changes)


def file_called(name: str, mount: int) -> list[Any]:
    """What a server says that brings a file home."""
    digest = Digest()
    digest.add(0, b"evil")
    return [
        messages.Artifact(
            number=1, mount=mount, name=name, kind="file", size_bytes=4, mode=0o600, mtime_ns=0, target="",
        ),
        messages.Chunk(number=1, offset=0, data=b"evil"),
        messages.ArtifactEnd(number=1, digest=digest.end(4), text=""),
    ]  # fmt: skip


@pytest.mark.parametrize(("mode", "mount", "comes_home"), [("copy", 2, True), ("copy", 1, False), ("shared", 2, False)])
def test_results_come_home_into_output_folders_alone(
    mode: str, mount: int, comes_home: bool, tmp_path: Path
) -> None:
    told: list[str] = []
    source, output = tmp_path / "scenario", tmp_path / "output"
    for folder in (source, output):
        folder.mkdir()
    (source / "test.osc").write_text("good")
    line = Line()
    mounts = Mounts(line, "server", mode, lambda _level, text: told.append(text))
    mounts.mount(str(source), INPUT)
    mounts.mount(str(output), OUTPUT)
    files = Homecoming(line, "server", mounts, lambda _level, text: told.append(text))
    for piece in file_called("test.osc", mount):
        files.take(piece)
    files.close(is_complete=True)
    assert (source / "test.osc").read_text() == "good"
    assert [path.name for path in output.iterdir()] == (["test.osc"] if comes_home else [])
    assert any("a folder that nobody has asked for" in text for text in told) is not comes_home


def test_what_the_server_makes_of_a_file_takes_its_place_however_busy_the_thread_that_sends_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, is_over = threading.Event(), threading.Event()

    def busy(self: Offers, numbers: list[int]) -> None:
        asked.set()
        is_over.wait(10.0)

    monkeypatch.setattr(Offers, "send_contents", busy)
    line = Line()
    mounts = Mounts(line, "server", "copy", lambda _level, _text: None)
    home = Homecoming(line, "server", mounts, lambda _level, _text: None)
    sent, news = inputs_and_news(line, mounts, changes=Changes(LEDGER, home), behind_results=home.behind)
    (mount,) = home.prepare(str(tmp_path))
    news.watch(mount)
    (tmp_path / "log").write_text("here")
    news.catch_up()
    (offer,) = (said for said in line.posted if isinstance(said, messages.Offer))
    sent.take(messages.Wanted(offer=offer.offer, numbers=[offer.entries[0].number]))
    assert asked.wait(10.0)
    sent.take(messages.Staged(offer=offer.offer, problems=[]))
    home.take(messages.Collected(number=1, size_bytes=4))
    for piece in file_called("log", mount):
        home.take(piece)
    assert home.are_home(10.0)
    is_over.set()
    sent.stop()
    home.close(is_complete=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log": "evil"}


def test_what_still_waits_when_a_session_ends_finds_its_folders_open(tmp_path: Path) -> None:
    output, line, disk_is_free = tmp_path / "output", Line(), threading.Event()
    output.mkdir()
    settings = RemoteSettings(endpoint=str(tmp_path / "socket"), files="copy")
    session = RemoteSession(settings, logging.getLogger("tests.mounts"), TickBudget(0.1))
    session.link.call, session.link.post = line.call, line.post  # type: ignore[method-assign]
    (mount,) = session.files.prepare(str(output))
    session.news.watch(mount)
    (output / "log").write_text("here")
    session.news.catch_up()
    (offer,) = (said for said in line.posted if isinstance(said, messages.Offer))
    session.files.behind(lambda: bool(disk_is_free.wait(10.0)))
    for message in (
        messages.Staged(offer=offer.offer, problems=[]),
        messages.Collected(number=1, size_bytes=4),
        *file_called("log", mount),
    ):
        session._take_of_files(message)
    end = threading.Thread(target=session.close)
    end.start()
    wait_until(lambda: session.files._is_closed)
    disk_is_free.set()
    end.join(10.0)
    assert {path.name: path.read_text() for path in output.iterdir()} == {"log": "evil"}


@pytest.mark.parametrize(("mode", "mount", "is_offered"), [("copy", 1, True), ("copy", 2, False), ("shared", 1, False)])
def test_what_lies_in_input_folders_is_offered_and_nothing_else(
    mode: str, mount: int, is_offered: bool, tmp_path: Path
) -> None:
    for name in ("scenario", "output"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text("x")
    line = Line()
    mounts = Mounts(line, "server", mode, lambda _level, _text: None)
    mounts.mount(str(tmp_path / "scenario"), INPUT)
    mounts.mount(str(tmp_path / "output"), OUTPUT)
    files, _ = inputs_and_news(line, mounts)
    files.take(messages.Awaited(mount=mount))
    wait_until(lambda: any(said.is_last for said in line.posted))
    files.stop()
    files.close()
    offered = [entry.name for offer in line.posted for entry in offer.entries]
    assert offered == (["secret"] if is_offered else [])


def test_numbers_that_a_server_makes_up_are_sent_nothing_and_what_it_asks_for_twice_is_offered_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "x").write_text("x")
    line = Line()
    mounts = Mounts(line, "server", "copy", lambda _level, _text: None)
    mounts.mount(str(tmp_path), INPUT)
    files, _ = inputs_and_news(line, mounts)
    for message in (
        messages.Awaited(mount=1),
        messages.Awaited(mount=1),
        messages.Awaited(mount=99),
        messages.Wanted(offer=1, numbers=[99, 1, -1]),
    ):
        files.take(message)
    wait_until(lambda: any(isinstance(said, messages.ArtifactEnd) for said in line.posted))
    files.stop()
    files.close()
    offered = [[entry.name for entry in said.entries] for said in line.posted if isinstance(said, messages.Offer)]
    assert offered == [["x"], [], []]
    assert [said.number for said in line.posted if isinstance(said, messages.Artifact)] == [1]


@pytest.mark.parametrize(("mode", "is_complete", "is_told"), [
    ("copy", False, True), ("copy", True, False), ("shared", False, False),
])  # fmt: skip
def test_who_does_not_know_that_all_is_home_says_where_to_look(
    mode: str, is_complete: bool, is_told: bool, tmp_path: Path
) -> None:
    told: list[tuple[str, str]] = []
    mounts = Mounts(Line(value=mode), "server", mode, lambda _level, _text: None)
    mounts.mount(str(tmp_path), OUTPUT)
    files = Homecoming(Line(), "server", mounts, lambda *words: told.append(words))
    files.close(is_complete=is_complete)
    files.close(is_complete=is_complete)
    assert [level for level, _ in told] == ["warning"] * is_told
    assert all("some may be left" in text and text.endswith("run: se-remote ls server") for _, text in told)


def test_a_disk_that_hangs_keeps_no_run_from_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, told = Line(), []
    mounts = Mounts(line, "server", "copy", lambda _level, _text: None)
    mounts.mount(str(tmp_path), OUTPUT)
    files = Homecoming(line, "server", mounts, lambda _level, text: told.append(text))
    monkeypatch.setattr("scenario_execution_remote.homecoming.CLOSE_S", 0.05)
    has_begun, may_go_on = threading.Event(), threading.Event()

    def hang(self: Receiver, artifact: messages.Artifact) -> None:
        has_begun.set()
        may_go_on.wait(30.0)

    monkeypatch.setattr(Receiver, "begin", hang)
    files.take(messages.Collected(number=1, size_bytes=4))
    files.take(file_called("x", 1)[0])
    assert has_begun.wait(30.0)
    files.close(is_complete=True)
    assert any("1 files did not come home, 'x' among them" in text for text in told)
    may_go_on.set()


@pytest.mark.parametrize(("count", "seen_at_once"), [(2, True), (3, False)])
def test_where_much_lies_beside_a_scenario_changes_are_seen_when_the_next_one_is_set_up(
    count: int, seen_at_once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenario_execution_remote.news._WATCHED_COUNT", 2)
    for number in range(count):
        (tmp_path / str(number)).write_text("before")
    line = Line()
    mounts = Mounts(line, "server", "copy", lambda _level, _text: None)
    mounts.mount(str(tmp_path), INPUT)
    files, news = inputs_and_news(line, mounts)
    files.take(messages.Awaited(mount=1))
    wait_until(lambda: line.posted)
    line.posted.clear()
    (tmp_path / "0").write_text("behind it")
    news.catch_up()
    assert [entry.name for said in line.posted for entry in said.entries] == (["0"] if seen_at_once else [])
    news.catch_up(everywhere=True)
    assert [entry.name for said in line.posted for entry in said.entries] == ["0"]
    files.stop()
    files.close()
