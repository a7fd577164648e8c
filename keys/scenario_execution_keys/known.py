# SPDX-License-Identifier: Apache-2.0
"""The servers that a client knows: one public key file for each endpoint that it has pinned."""

from __future__ import annotations

from datetime import datetime
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
from scenario_execution_keys.pairs import quoted, read_public, timestamp
from scenario_execution_keys.permissions import NEXT_FROM, NEXT_KEY, parse_instant, show_instant
from scenario_execution_keys.trust import KnownServer, ServerScope, find_server, scopes_for


class KnownServers(KeyFolder):
    """A key store as a client uses it."""

    @property
    def servers_folder(self) -> Path:
        """The folder with one public key file per trusted server."""
        return self.directory / paths.KNOWN_SERVERS_FOLDER

    def known_server(self, host: str, port: int) -> PublicKey | None:
        """The key pinned for an endpoint; see `pin_for`."""
        found = self.pin_for(host, port)
        return None if found is None else found.key

    def pin_for(self, host: str, port: int) -> KnownServer | None:
        """The pin of an endpoint: that of ``host:port``, else of ``host``, else of ``loopback``, else None.

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
        return found

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
            what = held_key(path) if pinned is None else pinned.key.fingerprint
            if what is not None:
                raise KeyExistsError(
                    f"{scope} is pinned to {what}, not to {public_key.fingerprint}",
                    f"Make sure that the server really has a new key; then run: {again}",
                    path=path,
                )
            files.create_owned(path, data, mend=f"Run: {again}")
        return KnownServer(scope=scope, key=public_key, path=path)

    def repin(
        self, pin: KnownServer, key: PublicKey, next_key: PublicKey | None, next_from: datetime | None
    ) -> KnownServer:
        """Put other keys into the file of a *pin*, unless somebody has changed it meanwhile: then theirs counts.

        Raises:
            KeyTextError: If one is a key of the client's own.
            KeysError: If it cannot be read or written; the old one stays then.
        """
        found = read_public(pin.path, f"Run: {self.command(f'se-remote trust {pin.scope} KEY')}")
        if found.public != pin.key:
            return pin
        metadata = {
            name: value.replace("\t", " ")
            for name, value in found.metadata.items()
            if name not in (NEXT_KEY, NEXT_FROM)
        }
        if next_key is not None and next_from is not None:
            self._refuse_own_keys(next_key, paths.CLIENT)
            metadata |= {NEXT_KEY: next_key.text, NEXT_FROM: show_instant(next_from)}
        files.replace_owned(pin.path, format_key_file(key, metadata=metadata))
        return KnownServer(scope=pin.scope, key=key, path=pin.path, next_key=next_key, next_from=next_from)

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
                next_key, next_from = _next_of(path, found, mend)
                known[scope] = KnownServer(
                    scope=scope, key=found.public, path=path, next_key=next_key, next_from=next_from
                )  # fmt: skip
            except KeyNotFoundError:
                continue  # removed since the folder was read
            except KeysError as error:
                refused.append((scope, error))
        return known, refused


def _next_of(path: Path, found: KeyFile, mend: str) -> tuple[PublicKey | None, datetime | None]:
    if NEXT_KEY not in found.metadata:
        return None, None
    try:
        return PublicKey.parse(found.metadata[NEXT_KEY]), parse_instant(found.metadata.get(NEXT_FROM, ""))
    except (KeyTextError, PermissionValueError) as error:
        raise KeyFileError(f"{NEXT_KEY} or {NEXT_FROM} is none: {error.what}", mend, path=path) from error
