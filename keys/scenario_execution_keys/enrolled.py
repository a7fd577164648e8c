# SPDX-License-Identifier: Apache-2.0
"""The clients that a server admits: one public key file each, with what it may do in its metadata."""

from __future__ import annotations

import os
import shlex
from collections.abc import Hashable, Mapping
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import (
    KeyExistsError,
    KeyFileError,
    KeyNotFoundError,
    KeysError,
    KeyTextError,
    PermissionValueError,
)
from scenario_execution_keys.folder import KeyFolder, held_key
from scenario_execution_keys.keyfile import KeyFile, format_key_file
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.one_use import OneUseKeys
from scenario_execution_keys.pairs import quoted, read_public, timestamp
from scenario_execution_keys.permissions import FIRST_KEY, NEXT_KEY, Permissions
from scenario_execution_keys.trust import AuthorisedClients, Client, RefusedEntry, check_client_name, collect_clients


class EnrolledClients(KeyFolder):
    """A key store as a server uses it."""

    @property
    def clients_folder(self) -> Path:
        """The folder with one public key file per admitted client."""
        return self.directory / paths.AUTHORISED_FOLDER

    def authorised_clients(self) -> AuthorisedClients:
        """Who is admitted now. A file that cannot be read is in ``refused`` and does not hinder the others.

        Raises:
            KeyExposedError: If others can enter a folder and so decide who is admitted.
            KeyFileError, KeyAccessError: If a folder is no folder or cannot be read.
        """
        good: list[tuple[Client, Path]] = []
        refused: list[RefusedEntry] = []
        for path in self._entries(self.clients_folder):
            name = path.name.removesuffix(paths.PUBLIC_SUFFIX)
            again = self.command(f"se-server enrol {shlex.quote(name)} KEY")
            mend = f"Run: mv -i {quoted(path)} {quoted(path)}.refused; {again}"
            try:
                check_client_name(name)
                client = self._client(name, path, read_public(path, mend))
            except KeyNotFoundError:
                continue  # removed since the folder was read
            except KeysError as error:
                refused.append(RefusedEntry(name=name, error=error))
            else:
                good.append((client, path))
        return collect_clients(good, refused)

    def _client(self, name: str, path: Path, found: KeyFile) -> Client:
        try:
            permissions = Permissions.from_metadata(found.metadata)
        except PermissionValueError as error:
            # Whoever cannot be held to what was written may do nothing at all.
            mend = f"Correct it. Run: ${{EDITOR:-vi}} {quoted(path)}"
            raise KeyFileError(error.what, mend, path=path) from error
        others: dict[str, PublicKey | None] = {NEXT_KEY: None, FIRST_KEY: None}
        for which in others.keys() & found.metadata.keys():
            try:
                others[which] = PublicKey.parse(found.metadata[which])
            except KeyTextError as error:
                mend = f"Correct it or take it out. Run: ${{EDITOR:-vi}} {quoted(path)}"
                raise KeyFileError(f"{which}: {error.what}", mend, path=path) from error
        return Client(
            name=name, key=found.public, metadata=found.metadata, permissions=permissions,
            next_key=others[NEXT_KEY], first_key=others[FIRST_KEY],
        )  # fmt: skip

    def clients_signature(self) -> Hashable:
        """A value that changes whenever enrolled clients or invitations could; cheap, and never raises."""
        signature: list[Hashable] = []
        for folder in (self.directory, self.clients_folder, self.directory / paths.INVITATIONS_FOLDER):
            try:
                signature.append(_stamp(os.lstat(folder)))
                if folder != self.directory:
                    with os.scandir(folder) as entries:
                        for entry in sorted(entries, key=lambda entry: entry.name):
                            signature.append((entry.name, _stamp(entry.stat(follow_symlinks=False))))
            except OSError as error:
                signature.append(error.errno)
        return tuple(signature)

    def enrol(
        self, name: str, public_key: PublicKey, *, replace: bool = False, permissions: Permissions | None = None
    ) -> Client:
        """Admit the client with `public_key` and call it `name`; to enrol the same once more changes nothing.

        Args:
            name: What to call it.
            public_key: Its key.
            replace: Whether `name` may have another key already.
            permissions: What it may do. None: everything, or with `replace` what `name` might do before.

        Raises:
            EntryNameError: If `name` cannot be used.
            KeyExistsError: If `name` has another key (unless `replace`), or the same with other permissions than are
                asked for, or the key has another name.
            KeyTextError: If it is a key of the server's own, or of an invitation.
            KeyExposedError, KeyFileError, KeyAccessError: If the folders are not as they should be.
        """
        check_client_name(name)
        self._refuse_own_keys(public_key, paths.SERVER)
        files.make_folder(self.directory)
        files.make_folder(self.clients_folder)
        path = self.clients_folder / (name + paths.PUBLIC_SUFFIX)
        again = self.command(f"se-server enrol --replace {name} KEY")
        before = self.authorised_clients()
        other = before.by_key.get(public_key)
        if other is not None and other.name == name:
            if permissions not in (None, other.permissions):
                raise KeyExistsError(
                    f"{name} is enrolled with this key and may: {other.permissions.summary()}",
                    f"To change that, run: {self.command(f'se-server permit {name}')}, with the same options",
                    path=path,
                )
            return other
        self._refuse_taken(public_key, name, before)
        if permissions is None:
            for entry in before.refused:
                if entry.name == name and isinstance(entry.error.__cause__, PermissionValueError):
                    raise entry.error  # nobody can say what it might do before; the operator has to
            held = [client.permissions for client in before.by_key.values() if client.name == name]
            permissions = held[0] if held else Permissions()  # an exchanged key is no way to shed restrictions
        metadata = {"name": name, "enrolled": timestamp(), **permissions.to_metadata()}
        data = format_key_file(public_key, metadata=metadata)
        if replace:
            files.replace_owned(path, data)
        else:
            what = held_key(path)
            if what is not None:
                raise KeyExistsError(
                    f"{name} is enrolled with {what}, not with {public_key.fingerprint}",
                    f"Choose another name, or exchange the key. Run: {again}",
                    path=path,
                )
            files.create_owned(path, data, mend=f"Run: {again}")
        return Client(name=name, key=public_key, metadata=metadata, permissions=permissions)

    def check_free(self, public_key: PublicKey, name: str) -> None:
        """Make sure that a key can be that of the client `name`.

        Raises:
            KeyExistsError: If it is, or will be, somebody else's, or is the current one of `name`.
            KeyTextError: If it is a key of the server's own, or of an invitation.
            KeyExposedError, KeyFileError, KeyAccessError: If the folders are not as they should be.
        """
        self._refuse_own_keys(public_key, paths.SERVER)
        self._refuse_taken(public_key, name, self.authorised_clients())

    def _refuse_taken(self, public_key: PublicKey, name: str, clients: AuthorisedClients) -> None:
        invited = OneUseKeys(self.directory).all().get(public_key.fingerprint)
        if invited is not None:
            raise KeyTextError(
                f"{public_key.fingerprint} is the key of an invitation for {invited}; "
                "whoever has the line has it, so it can never be that of a client",
                f"Run: {self.command('se-server invite --replace NAME')}",
            )
        for other in clients.by_key.values():
            if public_key == other.first_key and other.name != name:
                raise KeyExistsError(
                    f"the key {public_key.fingerprint} is one that {other.name} has exchanged, and has its files by",
                    "Whoever has it now needs a key of its own. Run there: se-remote keygen --rotate",
                    path=self.clients_folder / (other.name + paths.PUBLIC_SUFFIX),
                )
            if public_key == other.key or (public_key == other.next_key and other.name != name):
                path = self.clients_folder / (other.name + paths.PUBLIC_SUFFIX)
                raise KeyExistsError(
                    f"the key {public_key.fingerprint} is enrolled as {other.name} already",
                    f"It is admitted. To give it another name, first run: rm {quoted(path)}",
                    path=path,
                )

    def permit(self, name: str, changes: Mapping[str, str | None]) -> Client:
        """Change what the client `name` may do; its key stays.

        Args:
            name: The client.
            changes: New values by option, as they stand in a key file; None takes an option away.

        Raises:
            PermissionValueError: If what comes out is not consistent; nothing is changed then.
            EntryNameError, KeyNotFoundError, KeyExposedError, KeyFileError, KeyAccessError: As `revoke`.
        """
        check_client_name(name)
        path = self.clients_folder / (name + paths.PUBLIC_SUFFIX)
        if not self._folder_exists(self.clients_folder) or not os.path.lexists(path):
            raise self._nobody(name)
        found = read_public(path, f"Run: {self.command(f'se-server enrol --replace {name} KEY')}")
        metadata = {**found.metadata, **changes}
        kept = {option: value.replace("\t", " ") for option, value in metadata.items() if value is not None}
        permissions = Permissions.from_metadata(kept)
        data = format_key_file(found.public, metadata=kept)
        files.replace_owned(path, data)
        return Client(name=name, key=found.public, metadata=kept, permissions=permissions)

    def revoke(self, name: str) -> None:
        """Admit the client `name` no longer.

        Raises:
            EntryNameError: If `name` cannot be a name.
            KeyNotFoundError: If nobody is enrolled under it.
            KeyExposedError, KeyFileError, KeyAccessError: If the folders are not as they should be.
        """
        check_client_name(name)
        path = self.clients_folder / (name + paths.PUBLIC_SUFFIX)
        if not (self._folder_exists(self.clients_folder) and files.remove_owned(path)):
            raise self._nobody(name)

    def _nobody(self, name: str) -> KeyNotFoundError:
        path = self.clients_folder / (name + paths.PUBLIC_SUFFIX)
        return KeyNotFoundError(f"nobody is enrolled as {name}", f"Run: {self.command('se-server clients')}", path=path)


def _stamp(status: os.stat_result) -> Hashable:
    """What changes with a file; ctime catches what keeps size and mtime, and changes of mode and owner."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
