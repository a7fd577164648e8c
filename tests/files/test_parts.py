# SPDX-License-Identifier: Apache-2.0
"""What a killed process has left is removed, and nothing that somebody still writes to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_remote.files.parts import clear_parts, make_part

LEAVES_A_PART = "import os, sys; from scenario_execution_remote.files.parts import make_part;"
LEAVES_A_PART += " print(make_part(os.open(sys.argv[1], os.O_RDONLY))[1], flush=True); sys.stdin.read()"
AN_OLD_TIME = (1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_what_a_process_makes_stays_while_it_lives_and_goes_when_it_was_killed(folder: int, tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_PART, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert maker.stdout is not None and maker.stdin is not None
    with maker.stdin, maker.stdout:
        name = maker.stdout.readline().strip()
        clear_parts(folder)
        assert os.listdir(folder) == [name]
        maker.kill()
        maker.wait()
    clear_parts(folder)
    assert os.listdir(folder) == []


def test_what_somebody_else_takes_for_dead_before_it_is_locked_is_made_again(
    folder: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open
    made: list[int] = []

    def hurried(*arguments: object, **more: object) -> int:
        fd = opened(*arguments, **more)  # type: ignore[arg-type]
        if not made:
            made.append(fd)
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", opened)
                clear_parts(folder)
        return fd

    monkeypatch.setattr(os, "open", hurried)
    fd, name = make_part(folder)
    assert os.listdir(folder) == [name] and os.fstat(fd).st_nlink == 1
    os.close(fd)


@pytest.mark.parametrize("tag", ["", "00000000-"])
def test_what_may_be_another_machines_goes_only_when_nothing_can_move_any_more(
    tag: str, folder: int, tmp_path: Path
) -> None:
    names = [f".scenario-remote-{tag}{number:016x}" for number in range(2)]
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / names[1], AN_OLD_TIME)
    clear_parts(folder)
    assert os.listdir(folder) == names[:1]


def test_nothing_but_unfinished_files_is_touched(folder: int, tmp_path: Path) -> None:
    fd, name = make_part(folder)
    os.close(fd)
    keep = [".scenario-remote-ignore", ".scenario-remote-", f"{name}x", f"x{name}", name.upper(), "results"]
    for one in keep:
        (tmp_path / one).touch()
        os.utime(tmp_path / one, AN_OLD_TIME)
    for one in (name[:-1] + "x", name[:-2] + "ab"):
        (tmp_path / one).mkdir(exist_ok=True)
        keep.append(one)
    (tmp_path / (name[:-2] + "cd")).symlink_to("results")
    keep.append(name[:-2] + "cd")
    clear_parts(folder)
    assert sorted(os.listdir(folder)) == sorted(keep)
