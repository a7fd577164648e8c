# SPDX-License-Identifier: Apache-2.0
"""The key store: one folder with our pairs, the clients we admit and the servers we know."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Hashable, Iterator, Mapping
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
from scenario_execution_keys.keyfile import KeyFile, format_key_file
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.pairs import COMMANDS, PairFiles, quoted, read_public, timestamp
from scenario_execution_keys.permissions import NEXT_KEY, Permissions
from scenario_execution_keys.trust import (
    AuthorisedClients,
    Client,
    KnownServer,
    RefusedEntry,
    ServerScope,
    check_client_name,
    collect_clients,
    find_server,
    scopes_for,
)


class KeyStore:
    """The keys in one folder. Every call looks at the disk anew; nothing is kept in memory.

    Args:
        directory: The folder; it need not exist yet.
        option: What the commands in error sentences need behind them to find this folder, with a leading blank.

    Attributes:
        directory: The folder.
    """

    def __init__(self, directory: Path, *, option: str = "") -> None:
        self.directory = directory
        self._option = option

    @classmethod
    def open(cls, keys_dir: str | os.PathLike[str] | None = None) -> KeyStore:
        """The store in `keys_dir`, else in ``SCENARIO_EXECUTION_KEYS_DIR``, else in the platform's place."""
        directory = paths.resolve_keys_dir(keys_dir)
        found_without_option = directory == paths.resolve_keys_dir()
        return cls(directory, option="" if found_without_option else f" --keys-dir {shlex.quote(str(directory))}")

    def command(self, words: str) -> str:
        """A command line that works on this store, as in ``store.command("se-server key")``."""
        return words + self._option

    # ------------------------------------------------------------------ our own pairs

    def server_pair(self) -> KeyPair:
        """The pair of the server on this machine.

        Raises:
            KeyNotFoundError: If none was made yet.
            KeyExposedError: If others can get at the secret or its folder.
            KeyFileError: If a file of the pair is damaged or the two do not belong together.
            KeyAccessError: If the operating system refuses.
        """
        return self.pair_files(paths.SERVER).load()

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

    # ------------------------------------------------------------------ clients this server admits

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
        following = None
        if NEXT_KEY in found.metadata:
            try:
                following = PublicKey.parse(found.metadata[NEXT_KEY])
            except KeyTextError as error:
                mend = f"Correct it or take it out. Run: ${{EDITOR:-vi}} {quoted(path)}"
                raise KeyFileError(f"{NEXT_KEY}: {error.what}", mend, path=path) from error
        return Client(
            name=name, key=found.public, metadata=found.metadata, permissions=permissions, next_key=following
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
            KeyTextError: If it is a key of the server's own.
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
            what = _held_key(path)
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
            KeyTextError: If it is a key of the server's own.
            KeyExposedError, KeyFileError, KeyAccessError: If the folders are not as they should be.
        """
        self._refuse_own_keys(public_key, paths.SERVER)
        self._refuse_taken(public_key, name, self.authorised_clients())

    def _refuse_taken(self, public_key: PublicKey, name: str, clients: AuthorisedClients) -> None:
        for other in clients.by_key.values():
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

    # ------------------------------------------------------------------ servers this client knows

    @property
    def servers_folder(self) -> Path:
        """The folder with one public key file per trusted server."""
        return self.directory / paths.KNOWN_SERVERS_FOLDER

    def known_server(self, host: str, port: int) -> PublicKey | None:
        """The key pinned for an endpoint: that of ``host:port``, else of ``host``, else of ``loopback``, else None.

        A file in the folder that cannot be read could be the pin of this very server. Reading over it would mean to
        speak without encryption to a server that was pinned, so it is an error, unless the pin was found anyway
        under the exact ``host:port``.

        Raises:
            EntryNameError: If `host` is no host.
            KeyFileError: If an entry is damaged, or two entries for one endpoint differ.
            KeyExposedError: If others can change an entry or enter a folder.
            KeyAccessError: If the operating system refuses.
        """
        known, refused = self._known_servers()
        found = find_server(known, host, port)
        exact = scopes_for(host, port)[0]
        if refused and (found is None or found.scope != exact or any(scope == exact for scope, _ in refused)):
            raise refused[0][1]
        return None if found is None else found.key

    def known_servers(self) -> tuple[KnownServer, ...]:
        """All pinned servers, in the order of their files.

        Raises:
            KeyFileError, KeyExposedError, KeyAccessError: If one entry cannot be read.
        """
        known, refused = self._known_servers()
        if refused:
            raise refused[0][1]
        return tuple(known.values())

    def trust(self, endpoint: str, public_key: PublicKey, *, replace: bool = False) -> KnownServer:
        """Pin `public_key` for `endpoint`; to pin the same once more changes nothing.

        Args:
            endpoint: ``host`` (every port of it), ``host:port``, ``[::1]:port``, any with ``tcp://``, or ``loopback``.
            public_key: The server's key.
            replace: Whether another key may be there already.

        Raises:
            EntryNameError: If `endpoint` is none of these.
            KeyExistsError: If another key is pinned there and `replace` is not set; names both.
            KeyTextError: If it is a key of the client's own.
            KeyExposedError, KeyFileError, KeyAccessError: If the folders are not as they should be.
        """
        scope = ServerScope.parse(endpoint)
        self._refuse_own_keys(public_key, paths.CLIENT)
        files.make_folder(self.directory)
        files.make_folder(self.servers_folder)
        path = self.servers_folder / (scope.file_stem + paths.PUBLIC_SUFFIX)
        again = self.command(f"se-remote trust --replace {scope} {public_key.text}")
        pinned = self._known_servers()[0].get(scope)
        if pinned is not None and pinned.key == public_key:
            return pinned
        data = format_key_file(public_key, metadata={"endpoint": scope.text, "trusted": timestamp()})
        if replace:
            files.replace_owned(path, data)
            if pinned is not None and pinned.path != path:
                files.remove_owned(pinned.path)  # somebody put it there under a name of their own
        else:
            what = _held_key(path) if pinned is None else pinned.key.fingerprint
            if what is not None:
                raise KeyExistsError(
                    f"{scope} is pinned to {what}, not to {public_key.fingerprint}",
                    f"Make sure that the server really has a new key; then run: {again}",
                    path=path,
                )
            files.create_owned(path, data, mend=f"Run: {again}")
        return KnownServer(scope=scope, key=public_key, path=path)

    def _known_servers(self) -> tuple[dict[ServerScope, KnownServer], list[tuple[ServerScope | None, KeysError]]]:
        """All entries that can be read, and the errors of the others with the scope as far as it is known."""
        known: dict[ServerScope, KnownServer] = {}
        refused: list[tuple[ServerScope | None, KeysError]] = []
        for path in self._entries(self.servers_folder):
            remove = f"mv -i {quoted(path)} {quoted(path)}.refused"
            mend = f"Run: {remove}; {self.command('se-remote trust ENDPOINT KEY')}"
            scope: ServerScope | None = None
            try:
                found = read_public(path, mend)
                endpoint = found.metadata.get("endpoint")
                if endpoint is None:
                    raise KeyFileError("endpoint is missing from the metadata", mend, path=path)
                scope = ServerScope.parse(endpoint)
                first = known.get(scope)
                if first is not None and first.key != found.public:
                    raise KeyFileError(f"{first.path} pins another key for {scope}", mend, path=path)
                known[scope] = KnownServer(scope=scope, key=found.public, path=path)
            except KeyNotFoundError:
                continue  # removed since the folder was read
            except KeysError as error:
                refused.append((scope, error))
        return known, refused

    # ------------------------------------------------------------------ what both lists share

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


def _stamp(status: os.stat_result) -> Hashable:
    """What changes with a file; ctime catches what keeps size and mtime, and changes of mode and owner."""
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _held_key(path: Path) -> str | None:
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
