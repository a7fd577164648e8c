# SPDX-License-Identifier: Apache-2.0
"""Which of the files in a folder are taken along to another machine, and why the others are not."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import islice

import pathspec

from scenario_execution_remote.files.figures import amount
from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.names import OWN_PREFIX, NameRefusedError

IGNORE_FILE = f"{OWN_PREFIX}ignore"
# What lies in scenario directories and no action reads; and what nobody means to send.
BUILT_IN = (
    ".git", ".hg", ".svn", "__pycache__/", ".venv/", "venv/", "node_modules/", ".pytest_cache/", ".mypy_cache/",
    ".ruff_cache/", ".ssh/", ".gnupg/", ".aws/", ".kube/", ".netrc",
)  # fmt: skip
COUNT_LIMIT = 20_000  # twice as many as any scenario that we know of has beside it; a home directory has more
_SECRET_MARK = ".key_secret"  # in the names of secret keys, those that are being exchanged included
_IGNORE_FILE_LIMIT_BYTES = 64 * 1024  # a thousand lines
_SHOWN = 5  # names in a message


class Selection:
    """What of a folder travels.

    Args:
        folder: The folder.
        secret: Absolute paths that never travel, with all that is below them: where keys are.
        excluded: Other absolute paths that do not, because they are not meant or travel otherwise.
        only: If given, nothing but these travels, with all that is below them; what follows does not count then.
        limit_bytes: How much may travel, the smallest files first.

    Attributes:
        is_whole: Whether everything that is meant could be looked at when it was last chosen.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        secret: Collection[str] = (),
        excluded: Collection[str] = (),
        only: Collection[str] = (),
        limit_bytes: int = 0,
    ) -> None:
        self._folder = folder
        self._path = os.path.realpath(folder.path)
        self._secret = {os.path.realpath(path) for path in secret}
        self._excluded = {os.path.realpath(path) for path in excluded}
        self._only = only
        self._above = {name[:at] for name in only for at, char in enumerate(name) if char == "/"}
        self._limit_bytes = limit_bytes
        self.is_whole = True
        self._ignored = pathspec.GitIgnoreSpec.from_lines([*BUILT_IN, *_lines_of(folder)])

    def chosen(self, left: list[str]) -> list[tuple[str, Look]]:
        """Everything that travels, folders before what is in them.

        Args:
            left: What stays although nobody said that it should is named here, with why and what to do.
        """
        meant = self.meant(left)
        return meant if self._only else self.fitting(meant, left)

    def meant(self, left: list[str]) -> list[tuple[str, Look]]:
        """The same, however much it is."""
        problems: list[str] = []
        found: list[tuple[str, Look]] = []
        if any(self._path == path or self._path.startswith(f"{path}/") for path in self._secret):
            problems.append("it is where keys are kept")
        elif self._only:
            found = list(self._folder.walk(problems, lambda name, _look: self._is_meant(name, left)))
        else:
            found = list(islice(self._folder.walk(problems, self._is_in), COUNT_LIMIT + 1))
        if not self._only and len(found) > COUNT_LIMIT:
            problems.append(
                f"there are more than {COUNT_LIMIT} files and folders, and the rest was not looked at; put the "
                f"scenario into a directory of its own, or say in {IGNORE_FILE} what it does not need"
            )
            found.pop()
        self.is_whole = not problems
        left += problems
        return found

    def fitting(
        self, found: list[tuple[str, Look]], left: list[str], so_much: str = "beside the scenario lie more"
    ) -> list[tuple[str, Look]]:
        """What of this is within the limit.

        Args:
            found: What is meant.
            left: What stays is named here.
            so_much: Where how much is.
        """
        too_much = self._too_much(found)
        if too_much:
            names = [f"{ascii(name)} ({amount(size)})" for name, size in too_much.items()]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            left.append(
                f"{', '.join(names[:_SHOWN])}{more}: {so_much} than the upload_limit of "
                f"{amount(self._limit_bytes)}; name what is needed in remote(..., upload: [...]), raise upload_limit, "
                f"or list in {IGNORE_FILE} what is not"
            )
        return [(name, look) for name, look in found if name not in too_much]

    def named(self, name: str, left: list[str]) -> Iterator[tuple[str, Look]]:
        """*name*, with all that is below it, whatever is ignored and however much it is; but no keys.

        Args:
            name: A file or folder.
            left: What stays is named here: somebody has asked for it.

        Raises:
            NameRefusedError: it may not travel under this name.
        """
        look = self._folder.look(name)
        if look is None or self._stays(name, left):
            return
        if not (look.is_file or look.is_folder or look.is_link):
            raise NameRefusedError(name, "it is a device, a pipe or a socket")
        yield name, look
        if look.is_folder:
            yield from self._folder.walk(left, lambda one, _look: not self._stays(one, left), below=name)

    def _too_much(self, found: list[tuple[str, Look]]) -> dict[str, int]:
        """The files that do not fit any more, largest first: as many as possible do."""
        sizes = sorted(((look.size_bytes, name) for name, look in found if look.is_file), reverse=True)
        total = sum(size for size, _ in sizes)
        too_much = {}
        for size, name in sizes:
            if total <= self._limit_bytes:
                break
            total -= size
            too_much[name] = size
        return too_much

    def _is_secret(self, name: str) -> bool:
        path = f"{self._path}/{name}"
        is_there = any(path == one or path.startswith(f"{one}/") for one in self._secret)
        return is_there or _SECRET_MARK in name.rpartition("/")[2]

    def _stays(self, name: str, left: list[str]) -> bool:
        """Whether *name* is a key, or a place of keys, that somebody has asked for; says so."""
        if not self._is_secret(name):
            return False
        left.append(f"{ascii(name)} is a secret key, or where keys are kept, which never leave this machine")
        return True

    def _is_meant(self, name: str, left: list[str]) -> bool:
        is_named = any(name == one or name.startswith(f"{one}/") for one in self._only)
        return (is_named or name in self._above) and not self._stays(name, left)

    def _is_in(self, name: str, look: Look) -> bool:
        if self._is_secret(name) or f"{self._path}/{name}" in self._excluded:
            return False
        return not self._ignored.match_file(f"{name}/" if look.is_folder else name)


def _lines_of(folder: Folder) -> list[str]:
    """What the user wants ignored, in the syntax of .gitignore."""
    try:
        fd = os.open(folder.path / IGNORE_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(fd, _IGNORE_FILE_LIMIT_BYTES).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    finally:
        os.close(fd)
