# SPDX-License-Identifier: Apache-2.0
"""Which of the files in a folder are taken along to another machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from scenario_execution_remote.files.folder import Folder, Look

# What lies in scenario directories and no action reads; and what nobody means to send.
BUILT_IN = frozenset({
    ".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".pytest_cache", ".mypy_cache",
    ".ruff_cache", ".ssh", ".gnupg", ".netrc",
})  # fmt: skip
SECRET_MARK = ".key_secret"  # in the names of secret keys, those that are being exchanged included


class Selection:
    """What of a folder travels.

    Args:
        folder: The folder.
        secret: Absolute paths that never travel, with all that is below them: where keys are.
        excluded: Others below the folder that are not meant.
    """

    def __init__(self, folder: Folder, secret: Sequence[str], excluded: Sequence[str]) -> None:
        self._folder = folder
        self._path = os.path.realpath(folder.path)
        self._secret = {os.path.realpath(path) for path in secret}
        self._excluded = self._secret | {os.path.realpath(path) for path in excluded}

    def chosen(self, left: list[str]) -> Iterator[tuple[str, Look]]:
        """Everything that travels, folders before what is in them. What stays although it should not is named in
        *left*."""
        if any(self._path == path or self._path.startswith(f"{path}/") for path in self._secret):
            left.append("it is where keys are kept")
            return
        yield from self._folder.walk(left, self._is_in)

    def _is_in(self, name: str, look: Look) -> bool:
        last = name.rpartition("/")[2]
        return last not in BUILT_IN and SECRET_MARK not in last and f"{self._path}/{name}" not in self._excluded
