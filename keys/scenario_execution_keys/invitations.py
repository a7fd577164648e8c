# SPDX-License-Identifier: Apache-2.0
"""The invitations of a server: the public half of each one-use key in a file, until it is redeemed or over.

Before such a file goes, `OneUseKeys` takes its key down.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from scenario_execution_keys import files, paths
from scenario_execution_keys.errors import (
    KeyExistsError,
    KeyNotFoundError,
    KeysError,
    KeyTextError,
    PermissionValueError,
)
from scenario_execution_keys.invitation import Invitation, OpenInvitation, check_endpoints
from scenario_execution_keys.keyfile import KeyFile, format_key_file
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.one_use import OneUseKeys
from scenario_execution_keys.pairs import read_public, timestamp
from scenario_execution_keys.permissions import Permissions, parse_instant, show_instant
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession
from scenario_execution_keys.trust import Client, check_client_name

_EXPIRES, _INVITED = "expires", "invited"


class Invitations:
    """The invitations in one key store.

    Args:
        store: The store.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.folder = store.directory / paths.INVITATIONS_FOLDER
        self._one_use = OneUseKeys(store.directory)

    def create(
        self, name: str, endpoints: list[str], until: datetime, permissions: Permissions, *, replace: bool = False
    ) -> Invitation:
        """Invite somebody who will be called *name*.

        Args:
            name: The client's name; nobody may be enrolled under it.
            endpoints: Where the client finds the server, each as HOST:PORT.
            until: When the invitation ends; at the latest when the next server key counts.
            permissions: What the client will be allowed.
            replace: Whether an invitation for the same name ends with this.

        Raises:
            EntryNameError: If a name or endpoint cannot be one.
            KeyExistsError: If somebody is enrolled or, without *replace*, invited under that name.
            KeysError: If there is no server key, or the folders are not as they should be.
        """
        check_client_name(name)
        checked = check_endpoints(endpoints)
        server = self._store.server_pair().public
        taken = self._store.clients_folder / (name + paths.PUBLIC_SUFFIX)
        if os.path.lexists(taken):
            revoke = self._store.command(f"se-server revoke {name}")
            mend = f"Choose another name. To invite it with another key, first run: {revoke}"
            raise KeyExistsError(f"{name} is enrolled already", mend, path=taken)
        self._clear_away(datetime.now(timezone.utc))
        pair = KeyPair.generate()
        until = until.replace(microsecond=0)
        plan = ServerSuccession(self._store).plan()
        if plan is not None and plan.counts_from is not None:
            until = min(until, plan.counts_from)  # the line names the key that counts until then
        metadata = {
            "name": name, _INVITED: timestamp(), _EXPIRES: show_instant(until), **permissions.to_metadata(),
        }  # fmt: skip
        files.make_folder(self._store.directory)
        files.make_folder(self.folder)
        data = format_key_file(pair.public, metadata=metadata)
        if replace:
            self._spend(name)
            files.replace_owned(self._path(name), data)
        else:
            again = self._store.command(f"se-server invite --replace {shlex.quote(name)}")
            files.create_owned(self._path(name), data, mend=f"{name} is invited. For a new line, run: {again}")
        return Invitation(server=server, pair=pair, until=until, endpoints=checked)

    def all(self) -> Mapping[PublicKey, OpenInvitation]:
        """Every invitation that can be read, those that are over as well. The others open nothing.

        Raises:
            KeysError: If others can enter the folder, so that nobody knows who invited.
        """
        found = {}
        if files.check_folder(self._store.directory) and files.check_folder(self.folder):
            for file in files.list_folder(self.folder):
                if file.endswith(paths.PUBLIC_SUFFIX) and not file.startswith("."):
                    try:
                        entry = self._read(file.removesuffix(paths.PUBLIC_SUFFIX))
                    except KeysError:
                        continue  # fails closed; `se-server invite --replace` makes a good one
                    found[entry.key] = entry
        return found

    def withdraw(self, name: str) -> bool:
        """End the invitation for *name*; whether there was one.

        Raises:
            KeysError: If the name cannot be one, or the file not be removed.
        """
        check_client_name(name)
        if not (files.check_folder(self._store.directory) and files.check_folder(self.folder)):
            return False
        self._spend(name)
        return files.remove_owned(self._path(name))

    def redeem(self, invitation: PublicKey, key: PublicKey, now: datetime) -> Client:
        """Enrol *key* as the invitation says, and end the invitation.

        Exactly once, also if two servers share the store or this one is cut short: the name can be enrolled only once,
        because its file is made exclusively, and it is enrolled before the invitation goes.

        Raises:
            KeyNotFoundError: If there is no such invitation (any more).
            KeysError: If the key cannot be enrolled; the invitation stays then.
        """
        entry = self.all().get(invitation)
        if entry is None or now >= entry.expires:
            raise self._gone()
        if key == invitation:
            mend = "Make a pair of your own. Run on the client: se-remote join LINE"
            raise KeyTextError("the key of an invitation is good for one use and cannot be enrolled", mend)
        client = self._store.enrol(entry.name, key, permissions=entry.permissions)
        self._one_use.spend(entry.name, invitation)
        files.remove_owned(self._path(entry.name))
        return client

    def _clear_away(self, now: datetime) -> None:
        """Remove invitations that are over; they open nothing, but they would keep their names from being invited."""
        for entry in self.all().values():
            if now >= entry.expires:
                self._one_use.spend(entry.name, entry.key)
                files.remove_owned(self._path(entry.name))

    def _spend(self, name: str) -> None:
        """Take the key down of an invitation that goes, if there is one that can be read."""
        try:
            key = read_public(self._path(name), "").public
        except KeysError:
            return
        self._one_use.spend(name, key)

    def _gone(self) -> KeyNotFoundError:
        mend = f"Run: {self._store.command('se-server invite NAME')}"
        return KeyNotFoundError("there is no such invitation (any more)", mend, path=self.folder)

    def _path(self, name: str) -> Path:
        return self.folder / (name + paths.PUBLIC_SUFFIX)

    def _read(self, name: str) -> OpenInvitation:
        check_client_name(name)
        found: KeyFile = read_public(self._path(name), "")
        own = {option: text for option, text in found.metadata.items() if option not in (_EXPIRES, _INVITED)}
        if _EXPIRES not in found.metadata:
            raise PermissionValueError("an invitation has to end", option=_EXPIRES)
        return OpenInvitation(
            name=name,
            key=found.public,
            expires=parse_instant(found.metadata[_EXPIRES]),
            permissions=Permissions.from_metadata(own),
        )
