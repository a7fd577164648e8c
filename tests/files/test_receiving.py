# SPDX-License-Identifier: Apache-2.0
"""What arrives is put down whole and in its place, or not at all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from scenario_execution_remote.files import receiving
from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.ledger import Ledger
from scenario_execution_remote.files.names import NameRefusedError
from scenario_execution_remote.files.parts import make_part
from scenario_execution_remote.files.receiving import BrokenTransferError, Receiver
from scenario_execution_remote.files.sending import Piece, digest_of, nothing, pieces
from scenario_execution_remote.protocol import messages


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "there").mkdir()
    return tmp_path / "there"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def receiver(here: Path) -> Iterator[Receiver]:
    receiver = Receiver(here, "robot:7613", Ledger())
    yield receiver
    receiver.close()


def sent(there: Path, name: str, number: int = 1) -> list[Piece]:
    folder = Folder(there)
    try:
        return list(pieces(folder, number, 1, name))
    finally:
        folder.close()


def give(receiver: Receiver, several: list[Piece]) -> str | None:
    remark = None
    for piece in several:
        if isinstance(piece, messages.Artifact):
            remark = receiver.begin(piece)
        elif isinstance(piece, messages.Chunk):
            receiver.add(piece)
        else:
            remark = receiver.finish(piece)
    return remark


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_of_several_chunks_arrives_as_it_is(there: Path, here: Path, receiver: Receiver) -> None:
    (there / "a").mkdir()
    (there / "a" / "b").write_bytes(content := os.urandom(300_000))
    several = sent(there, "a/b")
    assert len(several) > 4
    assert give(receiver, several) is None
    assert (here / "a" / "b").read_bytes() == content


def test_until_it_is_complete_the_old_file_is_there(there: Path, here: Path, receiver: Receiver) -> None:
    (here / "x").write_text("old")
    (there / "x").write_text("new")
    first, *rest = sent(there, "x")
    give(receiver, [first, rest[0]])
    assert (here / "x").read_text() == "old"
    receiver.close()
    assert names(here) == ["x"]


@pytest.mark.parametrize("harm", ["flipped", "missing", "doubled", "beyond", "before", "unread", "larger"])
def test_what_does_not_arrive_as_it_was_sent_leaves_nothing(
    harm: str, there: Path, here: Path, receiver: Receiver
) -> None:
    (there / "x").write_bytes(bytes(range(256)) * 1000)
    first, *chunks, last = sent(there, "x")
    assert isinstance(first, messages.Artifact) and isinstance(last, messages.ArtifactEnd)
    chunk = chunks[1]
    assert isinstance(chunk, messages.Chunk)
    if harm == "flipped":
        chunks[1] = replace(chunk, data=chunk.data[:-1] + b"!")
    elif harm == "missing":
        del chunks[1]
    elif harm == "doubled":
        chunks.insert(1, chunk)
    elif harm == "beyond":
        chunks[-1] = replace(chunk, offset=first.size_bytes)
    elif harm == "before":
        chunks[-1] = replace(chunk, offset=-1)
    elif harm == "unread":
        last = replace(last, digest=b"", text="the disk is broken")
    elif harm == "larger":
        first = replace(first, size_bytes=first.size_bytes + 1)
    with pytest.raises(BrokenTransferError):
        give(receiver, [first, *chunks, last])
    receiver.drop()
    assert names(here) == []


def test_a_full_disk_loses_nothing_that_was_there(
    there: Path, here: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "x").write_text("old")
    (there / "x").write_text("new")

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        give(receiver, sent(there, "x"))
    receiver.drop()
    assert names(here) == ["x"] and (here / "x").read_text() == "old"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\nb", ".scenario-remote-1", "x" * 256, ""])
@pytest.mark.parametrize("kind", ["file", "folder", "link", "gone"])
def test_a_hostile_name_touches_nothing(kind: str, name: str, tmp_path: Path, here: Path, receiver: Receiver) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(NameRefusedError):
        receiver.begin(
            messages.Artifact(number=1, mount=1, name=name, kind=kind, size_bytes=0, mode=0o644, mtime_ns=0, target="a")
        )
    assert names(here) == [] and (tmp_path / "x").read_text() == "mine"


@pytest.mark.parametrize("kind", ["file", "folder", "link", "gone"])
def test_nothing_is_reached_through_a_link(kind: str, tmp_path: Path, here: Path, receiver: Receiver) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("mine")
    (here / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(NameRefusedError):
        receiver.begin(
            messages.Artifact(
                number=1, mount=1, name="a/x", kind=kind, size_bytes=0, mode=0o644, mtime_ns=0, target="b"
            )
        )
    assert names(tmp_path / "outside") == ["x"] and (tmp_path / "outside" / "x").read_text() == "mine"


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(
    tmp_path: Path, there: Path, here: Path, receiver: Receiver
) -> None:
    (tmp_path / "mine").write_text("mine")
    (here / "x").symlink_to(tmp_path / "mine")
    (there / "x").write_text("theirs")
    give(receiver, sent(there, "x"))
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_somebody_here_has_changed_since_is_not_removed(there: Path, here: Path, receiver: Receiver) -> None:
    for name in ("x", "y"):
        (there / name).write_text(name)
        give(receiver, sent(there, name))
    (here / "x").write_text("changed here")
    for name in ("x", "y"):
        receiver.begin(
            messages.Artifact(number=3, mount=1, name=name, kind="gone", size_bytes=0, mode=0, mtime_ns=0, target="")
        )
    assert names(here) == ["x"]


def test_what_another_puts_down_while_something_is_removed_is_not_removed(there: Path, here: Path) -> None:
    ledger = Ledger()
    first, second = Receiver(here, "first", ledger), Receiver(here, "second", ledger)
    (there / "x").write_text("first")
    give(first, sent(there, "x"))
    (there / "x").write_text("second")
    is_from = ledger.is_from
    others: list[Future[str | None]] = []

    def asked(path: str, owner: object, look: Look | None) -> bool:
        """Whether it may go, and meanwhile somebody else puts something there."""
        found = is_from(path, owner, look)
        if owner is first:
            others.append(pool.submit(give, second, sent(there, "x")))
            assert ledger.placing.locked()  # so that they wait until it has gone
        return found

    ledger.is_from = asked  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        give(first, [nothing(2, 1, "x", "gone")])
        (other,) = others
        assert other.result(30.0) is None
    assert (here / "x").read_text() == "second" and names(here) == ["x"]
    look = second._folder.look("x")
    assert is_from(f"{here}/x", second, look)  # and it is not forgotten that it is the second one's
    for one in (first, second):
        one.close()


def test_a_folder_in_which_there_is_something_else_stays_its_owners(there: Path, here: Path) -> None:
    ledger = Ledger()
    receiver = Receiver(here, "robot:7613", ledger, "robot")
    (there / "d").mkdir()
    give(receiver, sent(there, "d"))
    (here / "d" / "ours").touch()
    give(receiver, [nothing(2, 1, "d", "gone")])
    assert names(here) == ["d", "d/ours"] and ledger.is_from(f"{here}/d", "robot", None)
    receiver.close()


def test_what_two_servers_send_under_one_name_is_kept_under_two(there: Path, here: Path) -> None:
    ledger = Ledger()
    for origin, content in (("one:1", "1"), ("two:2", "2"), ("two:2", "3")):
        receiver = Receiver(here, origin, ledger)
        (there / "x").write_text(content)
        remark = give(receiver, sent(there, "x"))
        assert (remark is None) is (content == "1")
        receiver.close()
    assert {name: (here / name).read_text() for name in names(here)} == {"x": "1", "x~two-2": "2", "x~two-2-2": "3"}


def test_of_what_two_servers_send_under_the_same_names_at_the_same_time_nothing_is_lost(
    there: Path, here: Path
) -> None:
    count, ledger, pieces = 200, Ledger(), {}
    for origin in ("one", "two"):
        for number in range(count):
            (there / str(number)).write_text(f"{origin} {number}")
        pieces[origin] = [sent(there, str(number), number + 1) for number in range(count)]
    together = threading.Barrier(2)

    def bring(origin: str) -> None:
        receiver = Receiver(here, origin, ledger)
        for several in pieces[origin]:
            together.wait(10.0)
            give(receiver, several)
        receiver.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(bring, pieces))
    found = sorted((here / name).read_text() for name in names(here))
    assert found == sorted(f"{origin} {number}" for origin in pieces for number in range(count))


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [("", {"x": "same"}), ("changed", {"x": "mine", "x~robot-7613": "same"}), ("removed", {"x": "same"})],
)
def test_what_was_written_here_is_compared_while_others_find_their_places_and_may_change_meanwhile(
    meanwhile: str, left: dict[str, str], tmp_path: Path, there: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger()
    receiver = Receiver(here, "robot:7613", ledger)
    for folder in (there, here):
        (folder / "x").write_text("same")

    def compare(folder: Folder, name: str) -> bytes:
        assert not ledger.placing.locked()
        digest = digest_of(folder, name)
        if meanwhile == "changed":
            (tmp_path / "new").write_text("mine")  # of the same size
            (tmp_path / "new").replace(here / name)
        elif meanwhile == "removed":
            (here / name).unlink()
        return digest

    monkeypatch.setattr(receiving, "digest_of", compare)
    assert (give(receiver, sent(there, "x")) is None) is (len(left) == 1)
    receiver.close()
    assert {name: (here / name).read_text() for name in names(here)} == left


def test_what_is_of_another_size_is_not_read_to_know_that_it_is_another(
    there: Path, here: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(receiving, "digest_of")
    (there / "x").write_bytes(b"theirs")
    (here / "x").write_bytes(b"mine")
    give(receiver, sent(there, "x"))
    assert names(here) == ["x", "x~robot-7613"]


def test_what_a_killed_receiver_has_left_is_removed_wherever_the_next_one_writes(
    there: Path, here: Path, receiver: Receiver
) -> None:
    (there / "sub").mkdir()
    for name in ("x", "sub/y"):
        (there / name).write_text(name)
    for folder in (here, here / "sub"):
        folder.mkdir(exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        part, _ = make_part(fd)
        os.close(part)
        os.close(fd)
    other = Receiver(here, "other", Ledger())
    give(other, sent(there, "x")[:1])  # alive, and not complete
    give(receiver, sent(there, "x") + sent(there, "sub/y"))
    (part_of_other,) = [name for name in names(here) if name.startswith(".")]
    assert names(here) == [part_of_other, "sub", "sub/y", "x"]
    other.close()
    assert names(here) == ["sub", "sub/y", "x"]
