# SPDX-License-Identifier: Apache-2.0
"""The folder of a key store with our own pairs in it, and what its two lists share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import KeyNotFoundError, KeysError, KeyTextError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.pairs import COMMANDS, PairFiles, read_public


class KeyFolder:
    """One folder with our own pairs. Every call looks at the disk anew; nothing is kept in memory.

    Args:
        directory: The folder; it need not exist yet.
        option: What the commands in error sentences need behind them to find this folder, with a leading blank.

    Attributes:
        directory: The folder.
    """

    def __init__(self, directory: Path, *, option: str = "") -> None:
        self.directory = directory
        self._option = option

    def command(self, words: str) -> str:
        """A command line that works on this store, as in ``store.command("se-server key")``."""
        return words + self._option

    def server_pair(self) -> KeyPair:
        """The pair of the server on this machine: the next one as soon as it counts, whoever puts it in its place.

        Raises:
            KeyNotFoundError: If none was made yet.
            KeyExposedError: If others can get at the secret or its folder.
            KeyFileError: If a file of the pair is damaged or the two do not belong together.
            KeyAccessError: If the operating system refuses.
        """
        pair, following = self.pair_files(paths.SERVER).load(), self.pair_files(paths.SERVER).load_next()
        return following.pair if following is not None and following.counts(datetime.now(timezone.utc)) else pair

    def client_pair(self) -> KeyPair:
        """The pair this user's scenarios show to servers; raises as `server_pair`."""
        return self.pair_files(paths.CLIENT).load()

    def create_server_pair(self) -> KeyPair:
        """Make the server's pair.

        Raises:
            KeyExistsError: If there is one, or half of one. Of several that try at once exactly one succeeds.
            KeyExposedError: If the folder is open to others.
            KeyFileError, KeyAccessError: If the folder is no folder or cannot be written.
        """
        return self.pair_files(paths.SERVER).create()

    def create_client_pair(self) -> KeyPair:
        """Make the client's pair; raises as `create_server_pair`."""
        return self.pair_files(paths.CLIENT).create()

    def pair_files(self, role: str) -> PairFiles:
        """Where the pair of `role` (``server`` or ``client``) is or would be."""
        return PairFiles(
            directory=self.directory, role=role, option=self._option, given=paths.given_pair_file(role)
        )  # fmt: skip

    def _folder_exists(self, folder: Path) -> bool:
        return files.check_folder(self.directory) and files.check_folder(folder)

    def _entries(self, folder: Path) -> Iterator[Path]:
        """The key files in a folder in the order of their names; hidden files and other suffixes are nobody's entry."""
        if not self._folder_exists(folder):
            return
        for name in files.list_folder(folder):
            if name.endswith(paths.PUBLIC_SUFFIX) and not name.startswith("."):
                yield folder / name

    def _refuse_own_keys(self, key: PublicKey, role: str) -> None:
        """Catch the two slips that look right: a secret in Z85 pasted as a public key, and the wrong side's key."""
        for own_role, load in ((paths.SERVER, self.server_pair), (paths.CLIENT, self.client_pair)):
            pair = _quietly(load)
            if pair is None:
                continue
            if key.z85 == pair.secret.reveal_z85():
                raise KeyTextError(
                    f"this is the secret key of this {own_role}, which must never be pasted anywhere; "
                    "a public key is needed here",
                    f"Run: {self.command(f'{COMMANDS[own_role]} key')}",
                )
            if own_role == role and key == pair.public:
                peer = "se-remote key, on the client" if role == paths.SERVER else "se-server key, on the server"
                raise KeyTextError(f"this is the public key of this {role} itself, not of its peer", f"Run: {peer}")


def held_key(path: Path) -> str | None:
    """What is at `path`, for a sentence: a fingerprint, a description, or None for nothing."""
    try:
        return read_public(path, "").public.fingerprint
    except KeyNotFoundError:
        return None
    except KeysError:
        return "something that is no good key file"


def _quietly(load: Callable[[], KeyPair]) -> KeyPair | None:
    """The pair, or None if there is none to compare with; whoever needs it will hear why."""
    try:
        return load()
    except KeysError:
        return None
