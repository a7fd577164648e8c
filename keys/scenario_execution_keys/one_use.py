# SPDX-License-Identifier: Apache-2.0
"""The keys of invitations, open or spent: whose they were, so that none of them is ever taken for a client's own.

The name of a spent one's file says all that is asked about it, so that many are known by listing a folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import KeysError
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.keypair import FINGERPRINT_PREFIX, PublicKey
from scenario_execution_keys.pairs import read_public, timestamp

SPENT_LIMIT = 1000  # some years of invitations, about 300 kB; the folder is listed when enrolled clients change
_MARK = "." + FINGERPRINT_PREFIX  # between name and fingerprint


class OneUseKeys:
    """The keys of invitations in one key store.

    Args:
        directory: The folder of the store.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.folder = directory / paths.SPENT_INVITATIONS_FOLDER

    def spent(self) -> Mapping[str, str]:
        """Whom each invitation was for that is used, replaced, withdrawn or over; by the fingerprint of its key.

        Raises:
            KeysError: If others can enter the folder, or it cannot be read.
        """
        found = {}
        for file in self._files(self.folder):
            name, mark, rest = file.removesuffix(paths.PUBLIC_SUFFIX).rpartition(_MARK)
            if mark:
                found[FINGERPRINT_PREFIX + rest] = name
        return found

    def all(self) -> Mapping[str, str]:
        """Whom each invitation was or is for, by the fingerprint of its key; also those that cannot be used.

        Raises:
            KeysError: As `spent`.
        """
        found = dict(self.spent())
        folder = self._directory / paths.INVITATIONS_FOLDER
        for file in self._files(folder):
            try:
                found[read_public(folder / file, "").public.fingerprint] = file.removesuffix(paths.PUBLIC_SUFFIX)
            except KeysError:
                continue  # whose key that is cannot be told
        return found

    def spend(self, name: str, key: PublicKey) -> None:
        """Keep in mind that *key* was that of an invitation for *name*; of too many the oldest are forgotten.

        Raises:
            KeysError: If the folder cannot be written.
        """
        files.make_folder(self._directory)
        files.make_folder(self.folder)
        file = f"{name}.{key.fingerprint}{paths.PUBLIC_SUFFIX}"
        others = [other for other in self._files(self.folder) if other != file]
        for other in sorted(others, key=self._age)[: max(0, len(others) + 1 - SPENT_LIMIT)]:
            files.remove_owned(self.folder / other)
        files.replace_owned(self.folder / file, format_key_file(key, metadata={"name": name, "ended": timestamp()}))

    def _age(self, file: str) -> float:
        try:
            return (self.folder / file).lstat().st_mtime
        except OSError:
            return 0.0  # gone already

    def _files(self, folder: Path) -> list[str]:
        if not (files.check_folder(self._directory) and files.check_folder(folder)):
            return []
        found = files.list_folder(folder)
        return [file for file in found if file.endswith(paths.PUBLIC_SUFFIX) and not file.startswith(".")]
