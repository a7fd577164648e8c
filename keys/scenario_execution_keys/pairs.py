# SPDX-License-Identifier: Apache-2.0
"""The two files of one of our own pairs: the secret one, which counts, and the public one, which is for people."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import (
    KeyExistsError,
    KeyFileError,
    KeyNotFoundError,
    KeyTextError,
    PermissionValueError,
)
from scenario_execution_keys.keyfile import KeyFile, format_key_file, parse_key_file
from scenario_execution_keys.keypair import KeyPair, PublicKey, SecretKey
from scenario_execution_keys.permissions import parse_instant, show_instant

COMMANDS = {paths.SERVER: "se-server", paths.CLIENT: "se-remote"}
_FROM = "counts-from"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextPair:
    """The pair that comes after the one in its place, and for a server's the moment from which it counts."""

    pair: KeyPair
    counts_from: datetime | None = None

    def counts(self, now: datetime) -> bool:
        """Whether it is the pair to use *now*. A client's has no such moment; servers are told of it one by one."""
        return self.counts_from is not None and now >= self.counts_from


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    """Where a pair is.

    Attributes:
        directory: The folder of the key store.
        role: ``server`` or ``client``.
        option: What commands need behind them to find the folder, with a leading blank.
        given: A secret file elsewhere that counts instead, and the variable that says so.
    """

    directory: Path
    role: str
    option: str = ""
    given: tuple[Path, str] | None = None

    @property
    def secret_path(self) -> Path:
        """The file with both keys; the pair exists if and only if it does."""
        return self.given[0] if self.given is not None else self.directory / (self.role + paths.SECRET_SUFFIX)

    @property
    def public_path(self) -> Path:
        """The file with the public key alone."""
        return self.directory / (self.role + paths.PUBLIC_SUFFIX)

    @property
    def next_path(self) -> Path:
        """The file with the pair that comes next, while a key is exchanged."""
        secret = self.directory / (self.role + paths.SECRET_SUFFIX)
        return secret.with_name(secret.name + paths.NEXT_SUFFIX)

    def _command(self, verb: str) -> str:
        return f"{COMMANDS[self.role]} {verb}{self.option}"

    def load(self) -> KeyPair:
        """Read the pair.

        Raises:
            KeyNotFoundError: If none was made yet.
            KeyExposedError: If others can get at the secret or its folder.
            KeyFileError: If a file of the pair is damaged or the two do not belong together.
            KeyAccessError: If the operating system refuses.
        """
        if self.given is not None:
            return self._load_given(*self.given)
        keygen, secret, public = self._command("keygen"), quoted(self.secret_path), quoted(self.public_path)
        if not files.check_folder(self.directory):
            what = f"there is no {self.role} key in {self.directory}"
            raise KeyNotFoundError(what, f"Run: {keygen}", path=self.secret_path)
        mend = (
            "Restore the file from a backup, or make a new pair. "
            f"Run: mv -i {secret} {secret}.refused; rm -f {public}; {keygen}"
        )
        try:
            data = files.read_owned(self.secret_path, secret=True, mend=mend)
        except KeyNotFoundError:
            half = f"rm {public}; " if os.path.lexists(self.public_path) else ""
            what = f"there is no {self.secret_path}"
            raise KeyNotFoundError(what, f"Run: {half}{keygen}", path=self.secret_path) from None
        found = parse_key_file(data, path=self.secret_path, mend=mend)
        if found.secret is None:
            raise KeyFileError("secret-key is missing", mend, path=self.secret_path)
        self._check_public_half(found.public)
        return KeyPair(found.public, found.secret)

    def _load_given(self, path: Path, variable: str) -> KeyPair:
        mend = f"Mount the {self.role}'s secret key file there, or go without the variable. Run: unset {variable}"
        if _is_key(os.environ.get(variable, "")):  # before the path, which would be the key, is in a sentence
            what = f"{variable} holds a key; it names a file, because many can read an environment"
            raise KeyTextError(what, f"Treat that pair as lost if it is in use. Run: unset {variable}")
        managed = variable == paths.CREDENTIALS_VARIABLE
        found = parse_key_file(files.read_given(path, group_may_read=managed, mend=mend), path=path, mend=mend)
        if found.secret is None:
            raise KeyFileError("secret-key is missing", mend, path=path)
        return KeyPair(found.public, found.secret)

    def _check_public_half(self, expected: PublicKey) -> None:
        """The public file may be missing, but what people copy from it must not mislead them."""
        path = self.public_path
        mend = f"The pair is complete without this file. Run: mv -i {quoted(path)} {quoted(path)}.refused"
        try:
            public = read_public(path, mend).public
        except KeyNotFoundError:
            return
        if public != expected:
            what = f"holds {public.fingerprint}, but the secret key beside it belongs to {expected.fingerprint}"
            raise KeyFileError(what, mend, path=path)

    def create(self) -> KeyPair:
        """Make a new pair and write both files.

        Raises:
            KeyExistsError: If there is one, or half of one. Of several that try at once exactly one succeeds.
            KeyExposedError: If the folder is open to others.
            KeyFileError, KeyAccessError: If the folder is no folder or cannot be written.
        """
        self.check_absent()
        files.make_folder(self.directory)
        pair = KeyPair.generate()
        metadata = {"role": self.role, "created": timestamp()}
        # The secret file decides who wins and is complete by itself; a crash before the second one loses nothing.
        files.create_owned(self.secret_path, self.secret_file(pair), mend=self._show)
        files.create_owned(self.public_path, format_key_file(pair.public, metadata=metadata), mend=self._show)
        return pair

    def secret_file(self, pair: KeyPair, more: Mapping[str, str] | None = None) -> bytes:
        """What a secret file with *pair* holds; *more* stands in its metadata."""
        metadata = {"role": self.role, "created": timestamp(), **(more or {})}
        return format_key_file(pair.public, secret=pair.secret, metadata=metadata)

    def load_next(self) -> NextPair | None:
        """The pair that comes next; None if none was made, or if it is in its place already.

        Raises:
            KeysError: If it cannot be read.
        """
        path = self.next_path
        if self.given is not None or not files.check_folder(self.directory):
            return None
        mend = f"Run: mv -i {quoted(path)} {quoted(path)}.refused"
        try:
            found = parse_key_file(files.read_owned(path, secret=True, mend=mend), path=path, mend=mend)
        except KeyNotFoundError:
            return None
        if found.secret is None:
            raise KeyFileError("secret-key is missing", mend, path=path)
        if found.public == self.load().public:
            return None
        counts_from = None
        if self.role == paths.SERVER:
            try:
                counts_from = parse_instant(found.metadata[_FROM])
            except (KeyError, PermissionValueError) as error:
                raise KeyFileError(f"{_FROM} is missing or no moment", mend, path=path) from error
        return NextPair(pair=KeyPair(found.public, found.secret), counts_from=counts_from)

    def make_next(self, pair: KeyPair, *, counts_from: datetime | None, mend: str) -> None:
        """Write the pair that comes next.

        Raises:
            KeyExistsError: If there is one; its mending is *mend*.
            KeysError: If it cannot be written.
        """
        more = {} if counts_from is None else {_FROM: show_instant(counts_from)}
        files.create_owned(self.next_path, self.secret_file(pair, more), mend=mend)

    def move_next(self, following: NextPair, counts_from: datetime) -> None:
        """Let the next pair count from another moment.

        Raises:
            KeysError: If it cannot be written.
        """
        files.replace_owned(self.next_path, self.secret_file(following.pair, {_FROM: show_instant(counts_from)}))

    def drop_next(self) -> None:
        """Forget the pair that comes next.

        Raises:
            KeyAccessError: If it cannot be removed.
        """
        files.remove_owned(self.next_path)

    def put_in_place(self, pair: KeyPair) -> None:
        """Let the next *pair* take the place of the one before. Whenever this is cut short, repeating it is right.

        Raises:
            KeysError: If a file cannot be written. Either pair is complete in its place then.
        """
        # A public file may be missing, but must not belong to another pair.
        files.remove_owned(self.public_path)
        files.replace_owned(self.secret_path, self.secret_file(pair))
        files.remove_owned(self.next_path)
        self.mend_public(pair)

    def mend_public(self, pair: KeyPair) -> None:
        """Write the public file if it is missing."""
        if not os.path.lexists(self.public_path):
            data = format_key_file(pair.public, metadata={"role": self.role, "created": timestamp()})
            files.replace_owned(self.public_path, data)

    def check_absent(self) -> None:
        """Make sure that neither file is there, without touching anything.

        Raises:
            KeyExistsError: If one is.
            KeyExposedError, KeyFileError, KeyAccessError: If the folder is not as it should be.
        """
        if self.given is not None:
            path, variable = self.given
            what = f"the key of the {self.role} comes from {path}, as {variable} says"
            raise KeyExistsError(what, f"To make one in {self.directory}, first run: unset {variable}", path=path)
        if not files.check_folder(self.directory):
            return
        if os.path.lexists(self.secret_path):
            what = f"{self.secret_path} exists already and is left as it is"
            raise KeyExistsError(what, self._show, path=self.secret_path)
        if os.path.lexists(self.public_path):
            what = f"{self.public_path} exists already, though its secret key does not"
            mend = f"Run: mv -i {quoted(self.public_path)} {quoted(self.public_path)}.old; {self._command('keygen')}"
            raise KeyExistsError(what, mend, path=self.public_path)

    @property
    def _show(self) -> str:
        return f"To see it, run: {self._command('key')}"


def read_public(path: Path, mend: str) -> KeyFile:
    """Read a file of ours that holds a public key alone.

    Raises:
        KeyNotFoundError: If there is no file.
        KeyExposedError: If others can change it.
        KeyFileError: If it is damaged, or holds a secret key.
        KeyAccessError: If the operating system refuses.
    """
    found = parse_key_file(files.read_owned(path, secret=False, mend=mend), path=path, mend=mend)
    if found.secret is not None:
        raise KeyFileError("holds a secret key where only a public key belongs", mend, path=path)
    return found


def _is_key(text: str) -> bool:
    try:
        SecretKey.parse(text)
    except KeyTextError:
        return False
    return True


def quoted(path: Path) -> str:
    """The path as a shell takes it."""
    return shlex.quote(str(path))


def timestamp() -> str:
    """Now, in UTC, for the metadata of a file; nothing is decided by it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
