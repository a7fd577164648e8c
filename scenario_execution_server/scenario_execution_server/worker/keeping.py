# SPDX-License-Identifier: Apache-2.0
"""What becomes of a session's folder: it is removed, but for results that are not home, which are put aside.

The worker writes down whose results they are, and at its end that all of them are home. A worker that was killed has
not, so that what is not known to be home is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from scenario_execution_server.worker.folder import remove_folder

ABOUT = "about.json"  # whose the folder is, and what stands for what in it
HOME = "home"  # everything in it is
FOLDER_PREFIX = "session-"  # of the folders of sessions; what follows is unique
OUTPUT_PREFIX = "output-"  # of the names that output directories of the client get there
UNFINISHED_PREFIX = ".new-"  # of what is being put aside
DEPTH_LIMIT = 100  # of folders that a client names; each is made, and nobody nests that deep by intention
_SHOWN_CHARACTERS = 200  # a client may send megabytes
_ABOUT_LIMIT_BYTES = 64 * 1024  # names and paths; an action may have written something else


def hold(folder: Path) -> int | None:
    """Say that somebody sees to *folder*, until the descriptor returned is closed; None if somebody else does."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def write_about(folder: Path, about: dict[str, Any]) -> None:
    """Say whose the session's *folder* is.

    Raises:
        OSError: as the system says.
    """
    new = folder / f"{ABOUT}.new"
    new.write_text(json.dumps(about), encoding="utf-8")
    new.replace(folder / ABOUT)


def read_about(folder: Path) -> dict[str, Any] | None:
    """What was said about *folder*; None if nothing that makes sense."""
    try:
        fd = os.open(folder / ABOUT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(fd, _ABOUT_LIMIT_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
        finally:
            os.close(fd)
        about = json.loads(data)
    except (OSError, ValueError, RecursionError):  # the last of ten thousand opening brackets
        return None
    return about if isinstance(about, dict) else None


def ended_s(folder: Path, about: dict[str, Any] | None) -> float:
    """When the session was over whose results lie in *folder*, about which this was said; in seconds since 1970.

    Raises:
        OSError: the folder is gone.
    """
    changed_s = folder.stat().st_mtime
    over = (about or {}).get("over")
    try:
        return datetime.fromisoformat(over).timestamp() if isinstance(over, str) else changed_s
    except (ValueError, OverflowError):
        return changed_s


def make_private(folder: Path) -> None:
    """Make *folder*, and what is missing above it, for this user alone.

    Raises:
        OSError: as the system says.
    """
    for place in (*reversed(folder.parents), folder):
        with contextlib.suppress(FileExistsError):
            place.mkdir(mode=0o700)


def are_home(folder: Path) -> bool:
    """Whether all results of the session whose folder this is are known to be home, or there are none; in doubt not."""
    about = read_about(folder)
    try:
        return os.path.lexists(folder / HOME) or (about is not None and not _holding(folder, about))
    except (OSError, ValueError):
        return False


def retire(folder: Path) -> str:
    """Put aside what is not home, and remove the rest.

    Returns:
        An empty string, or one sentence saying what could not be done and why; results then stay where they are.
    """
    try:
        _put_aside(folder)
    except (OSError, ValueError) as error:  # the latter of a name that no file can have
        return f"results that are not home could not be put aside and stay in {folder}: {error}"
    return remove_folder(folder)


def _put_aside(folder: Path) -> None:
    about = read_about(folder)
    if about is None or os.path.lexists(folder / HOME):
        return
    outputs = _holding(folder, about)
    shelf = about.get("shelf")
    if not outputs or not isinstance(shelf, str):
        return
    now = datetime.now(timezone.utc)
    unfinished = Path(shelf) / f"{UNFINISHED_PREFIX}{folder.name}"
    make_private(unfinished)
    # First, as that needs room on the disk, and what has left the session's folder without it nobody would find.
    write_about(unfinished, {**about, "over": now.isoformat(timespec="seconds")})
    for name, place in outputs.items():
        os.rename(place, unfinished / name)
    unfinished.rename(unfinished.with_name(f"{now:%Y%m%d-%H%M%S}-{folder.name.removeprefix(FOLDER_PREFIX)}"))


def place_in(folder: Path, path: str, *, below: str = "root") -> Path:
    """Where the client's *path* lies in a session's folder: all of them lie to each other as on the client.

    Args:
        folder: The session's folder, or one that stands for a folder of the client.
        path: Absolute, seen from there.
        below: What lies between.

    Raises:
        OSError: it has no place.
    """
    parts = path.split("/")
    if not path.startswith("/") or ".." in parts or "\0" in path:
        raise OSError(f"{shown(path)} is no absolute path")
    names = [part for part in parts if part not in ("", ".")]
    if len(names) > DEPTH_LIMIT:
        raise OSError(f"{shown(path)} lies more than {DEPTH_LIMIT} folders deep")
    return folder.joinpath(below, *names)


def shown(path: str) -> str:
    """A path of a client in a sentence, harmlessly spelled."""
    return ascii(path) if len(path) <= _SHOWN_CHARACTERS else f"{ascii(path[:_SHOWN_CHARACTERS])}..."


def _outputs(folder: Path, about: dict[str, Any]) -> list[tuple[str, Path]]:
    """The folders with results, and what each is called when it is put aside; inner ones before those around them."""
    stands_for = about.get("stands_for")
    if not isinstance(stands_for, dict):
        return []
    pairs = [
        (name, place_in(folder, path))
        for name, path in stands_for.items()
        if name.startswith(OUTPUT_PREFIX) and "/" not in name and isinstance(path, str)
    ]
    return sorted(pairs, key=lambda pair: len(pair[1].parts), reverse=True)


def _holding(folder: Path, about: dict[str, Any]) -> dict[str, Path]:
    """Of the folders with results, those that have some."""
    return {name: place for name, place in _outputs(folder, about) if _holds_something(place)}


def _holds_something(place: Path) -> bool:
    """Whether there is anything in a folder but folders; what cannot be looked into counts."""
    if place.is_symlink() or not place.is_dir():
        return False
    failures: list[OSError] = []
    try:
        return any(files for _, _, files in os.walk(place, onerror=failures.append)) or bool(failures)
    except RecursionError:  # deeper than anybody can look; before Python 3.12 that is not much
        return True
