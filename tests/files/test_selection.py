# SPDX-License-Identifier: Apache-2.0
"""What lies beside a scenario travels, except what nobody means, what nobody may have, and what is too much."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_remote.files import selection
from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.names import NameRefusedError
from scenario_execution_remote.files.selection import IGNORE_FILE, Selection


def make(folder: Path, *names: str, content: str = "x") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def chosen(path: Path, **more: Any) -> tuple[list[str], list[str]]:
    """The files that travel, and what is said of those that do not."""
    folder = Folder(path)
    left: list[str] = []
    try:
        more = {"limit_bytes": 1000} | more
        return [name for name, look in Selection(folder, **more).chosen(left) if not look.is_folder], left
    finally:
        folder.close()


def test_what_nobody_means_stays_without_a_word(tmp_path: Path) -> None:
    make(tmp_path, "a", "sub/b", ".git/config", "sub/__pycache__/c.pyc", ".venv/x", ".ssh/id_rsa", "results/old")
    assert chosen(tmp_path, excluded=[str(tmp_path / "results")]) == (["a", "sub/b"], [])


def test_the_ignore_file_speaks_as_git_does_and_does_not_travel(tmp_path: Path) -> None:
    make(tmp_path, "a.bag", "keep.bag", "sub/b.bag", "sub/c", "build/d", "sub/build/e", "__pycache__/f")
    (tmp_path / IGNORE_FILE).write_text("# recordings\n*.bag\n!keep.bag\n/build/\n!__pycache__/\n")
    names, left = chosen(tmp_path)
    assert (sorted(names), left) == (["__pycache__/f", "keep.bag", "sub/build/e", "sub/c"], [])


def test_an_ignore_file_that_is_no_file_says_nothing(tmp_path: Path) -> None:
    make(tmp_path, "a", f"{IGNORE_FILE}/x")
    assert chosen(tmp_path) == (["a"], [])


def test_the_smallest_files_travel_as_far_as_the_limit_goes_and_one_sentence_names_the_others(tmp_path: Path) -> None:
    make(tmp_path, "small", content="x" * 400)
    make(tmp_path, "middle", content="x" * 500)
    make(tmp_path, "large", content="x" * 900)
    names, (sentence,) = chosen(tmp_path)
    assert names == ["middle", "small"]
    assert sentence.startswith("'large' (900 bytes): ")
    for word in ("upload_limit of 1.0 kB", "upload: [...]", "raise upload_limit", IGNORE_FILE):
        assert word in sentence


def test_a_sentence_names_five_and_counts_the_rest(tmp_path: Path) -> None:
    make(tmp_path, *(f"big{n}" for n in range(8)), content="x" * 2000)
    _, (sentence,) = chosen(tmp_path)
    assert sentence.count("2.0 kB") == 5 and "and 3 more: " in sentence


def test_a_directory_with_far_too_much_in_it_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "COUNT_LIMIT", 3)
    make(tmp_path, *"abcdef")
    names, (sentence,) = chosen(tmp_path)
    assert names == ["a", "b", "c"] and "more than 3 files" in sentence


def test_keys_never_travel_and_no_name_helps(tmp_path: Path) -> None:
    make(tmp_path, "keys/server.key", "keys/server.key_secret", "client.key_secret", "old.key_secret.next", "a")
    secret = [str(tmp_path / "keys")]
    assert chosen(tmp_path, secret=secret)[0] == ["a"]
    assert chosen(tmp_path, secret=secret, only=["keys", "client.key_secret", "a"])[0] == ["a"]
    (tmp_path / IGNORE_FILE).write_text("!*.key_secret\n!keys/\n")
    assert chosen(tmp_path, secret=secret)[0] == ["a"]


def named(path: Path, name: str, **more: Any) -> tuple[list[str], list[str]]:
    folder = Folder(path)
    left: list[str] = []
    try:
        return [one for one, _ in Selection(folder, **more).named(name, left)], left
    finally:
        folder.close()


@pytest.mark.parametrize("name", ["keys", "keys/client.key_secret", "keys/known/a.key", "a.key_secret", "secret"])
def test_a_key_that_is_named_stays_and_is_said_to(name: str, tmp_path: Path) -> None:
    make(tmp_path, "keys/client.key_secret", "keys/known/a.key", "a.key_secret", "secret")
    secret = [str(tmp_path / "keys"), str(tmp_path / "secret")]
    names, (sentence,) = named(tmp_path, name, secret=secret)
    assert names == [] and sentence.startswith(f"{name!r} is a secret key, or where keys are kept")
    names, (sentence,) = chosen(tmp_path, secret=secret, only=[name])
    assert names == [] and sentence.startswith(f"{name.partition('/')[0]!r} is a secret key")


def test_of_a_folder_that_is_named_everything_travels_but_keys_which_are_named(tmp_path: Path) -> None:
    make(tmp_path, "d/keys/client.key", "d/.git/x", "d/a", "d/b.key_secret.old", "other")
    names, left = named(tmp_path, "d", secret=[str(tmp_path / "d" / "keys")])
    assert names == ["d", "d/.git", "d/a", "d/.git/x"]
    assert [sentence.partition(" is ")[0] for sentence in left] == ["'d/b.key_secret.old'", "'d/keys'"]
    assert chosen(tmp_path, secret=[str(tmp_path / "d" / "keys")], only=["d"])[1] == left


def test_a_pipe_that_is_named_is_not_opened_and_is_said_to_be_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NameRefusedError, match="'pipe' is left where it is: it is a device, a pipe or a socket"):
        named(tmp_path, "pipe")


def test_nothing_of_a_directory_in_a_key_store_travels(tmp_path: Path) -> None:
    make(tmp_path, "keys/scenario/a")
    names, left = chosen(tmp_path / "keys" / "scenario", secret=[str(tmp_path / "keys")])
    assert names == [] and left == ["it is where keys are kept"]


def test_a_key_store_that_is_reached_by_a_link_is_one_all_the_same(tmp_path: Path) -> None:
    make(tmp_path, "scenario/store/a", "scenario/b")
    (tmp_path / "keys").symlink_to("scenario/store")
    assert chosen(tmp_path / "scenario", secret=[str(tmp_path / "keys")])[0] == ["b"]


def test_what_is_named_travels_whatever_the_limits_and_the_ignore_file_say_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path, "sub/maps/a", "sub/maps/.git/b", "sub/mapsuit", "other", content="x" * 5000)
    (tmp_path / IGNORE_FILE).write_text("*\n")
    assert chosen(tmp_path, only=["sub/maps"]) == (["sub/maps/a", "sub/maps/.git/b"], [])


def test_a_pipe_stays_and_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    names, (sentence,) = chosen(tmp_path)
    assert names == [] and "'pipe'" in sentence and "device" in sentence
