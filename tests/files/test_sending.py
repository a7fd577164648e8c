# SPDX-License-Identifier: Apache-2.0
"""What is read of a file, in runs of blocks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.ledger import Ledger
from scenario_execution_remote.files.outlet import Outlet
from scenario_execution_remote.files.pace import BLOCK_BYTES, MESSAGES_IN_WINDOW, WINDOW_LIMIT_BYTES
from scenario_execution_remote.files.receiving import Receiver
from scenario_execution_remote.files.sending import Digest, Piece, cost_of, digest_of, pieces
from scenario_execution_remote.protocol import messages
from tests.support.examples import thrifty

BLOCK = os.urandom(BLOCK_BYTES)
ZEROS = bytes(BLOCK_BYTES)


def sent(place: Path, run_bytes: int) -> list[Piece]:
    folder = Folder(place)
    try:
        return list(pieces(folder, 1, 1, "file", lambda: run_bytes))
    finally:
        folder.close()


def runs(several: list[Piece]) -> list[tuple[int, int]]:
    return [(one.offset, len(one.data)) for one in several if isinstance(one, messages.Chunk)]


@pytest.mark.parametrize(
    ("content", "run_bytes", "expected"),
    [
        (BLOCK * 5, 2 * BLOCK_BYTES, [(0, 2), (2, 2), (4, 1)]),
        (BLOCK * 5, BLOCK_BYTES, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]),
        (BLOCK + ZEROS + BLOCK * 2 + ZEROS, 9 * BLOCK_BYTES, [(0, 1), (2, 2)]),
        (ZEROS * 2 + BLOCK, 2 * BLOCK_BYTES, [(2, 1)]),
        (ZEROS * 3, 9 * BLOCK_BYTES, []),
    ],
    ids=["no more than asked for", "one at a time", "around zeros", "behind zeros", "nothing but zeros"],
)
def test_a_run_is_of_blocks_that_are_not_zeros(
    tmp_path: Path, content: bytes, run_bytes: int, expected: list[tuple[int, int]]
) -> None:
    (tmp_path / "file").write_bytes(content)
    assert runs(sent(tmp_path, run_bytes)) == [(at * BLOCK_BYTES, count * BLOCK_BYTES) for at, count in expected]


def test_a_hole_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 40)
        file.write(b"end")
    assert runs(sent(tmp_path, 9 * BLOCK_BYTES)) == [(0, BLOCK_BYTES), (1 << 40, 3)]


@thrifty
@given(
    blocks=st.lists(st.sampled_from([BLOCK, ZEROS]), max_size=6),
    tail=st.sampled_from([b"", b"x", b"\0", BLOCK[:-1]]),
    run_blocks=st.integers(1, 8),
)
def test_the_digest_does_not_tell_how_many_blocks_came_at_once(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes], tail: bytes, run_blocks: int
) -> None:
    place, here = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("here")
    content = b"".join(blocks) + tail
    (place / "file").write_bytes(content)
    several = sent(place, run_blocks * BLOCK_BYTES)
    first, end = several[0], several[-1]
    assert isinstance(first, messages.Artifact) and isinstance(end, messages.ArtifactEnd)
    folder = Folder(place)
    assert end.digest == digest_of(folder, "file")
    folder.close()
    receiver = Receiver(here, "there", Ledger())
    receiver.begin(first)
    for piece in several[1:-1]:
        assert isinstance(piece, messages.Chunk)
        receiver.add(piece)
    assert receiver.finish(end) is None
    receiver.close()
    assert (here / "file").read_bytes() == content


def test_a_block_counts_with_its_place() -> None:
    here, there = Digest(), Digest()
    here.add(0, BLOCK + ZEROS)
    there.add(0, ZEROS + BLOCK)
    assert here.end(2 * BLOCK_BYTES) != there.end(2 * BLOCK_BYTES)


def test_a_file_that_becomes_shorter_meanwhile_ends_where_it_ends(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BLOCK * 3)
    folder = Folder(tmp_path)
    several = pieces(folder, 1, 1, "file")
    found = [next(several), next(several)]
    os.truncate(tmp_path / "file", BLOCK_BYTES + 10)
    found += several
    folder.close()
    assert runs(found) == [(0, BLOCK_BYTES), (BLOCK_BYTES, 10)]


def test_on_a_fast_link_a_message_is_one_long_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BLOCK * 300)
    sent: list[list[Piece]] = []

    def send(batch: list[Piece]) -> None:
        sent.append(batch)
        outlet.taken(messages.Taken(cost=sum(map(cost_of, batch))))

    outlet = Outlet(send, lambda condition: condition())
    folder = Folder(tmp_path)
    outlet.put_all_of(folder, 1, 1, "file")
    outlet.flush()
    folder.close()
    longest = WINDOW_LIMIT_BYTES // MESSAGES_IN_WINDOW
    assert [length for batch in sent for _, length in runs(batch)][-6:-1] == [longest] * 5
    assert [len(batch) for batch in sent][-6:-1] == [1] * 5
