# SPDX-License-Identifier: Apache-2.0
"""The clients of this server: who may come in now, as the key store says, and who sent a message."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Hashable
from datetime import datetime, timezone

import zmq

from scenario_execution_keys.errors import KeyAccessError, KeysError
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.one_use import OneUseKeys
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import AuthorisedClients, Client
from scenario_execution_remote.protocol.messages import Permit
from scenario_execution_server.admission import Admission, Peer
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.config import DoorKind, ServerSettings
from scenario_execution_server.errors import EnrolmentRefusedError, UnknownPeerError
from scenario_execution_server.handover import Handover
from scenario_execution_server.journal import event
from scenario_execution_server.watch import Watch

_ANSWERS_KEPT = 4096  # one per live connection, about 1 MB; on a unix socket each process has its own address
# Passing shortages of the machine: they say nothing about the key store, and strangers can cause them by connecting.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN})
_STALE_AT_MOST_S = 10.0  # the last set that could be read counts that long; for ever would undo a revocation


class Clients:
    """Those who are enrolled or invited, followed as the key store changes. All methods belong to one thread.

    Args:
        settings: Which doors there are.
        store: Who is enrolled.
        doorkeeper: Is given the answer book for each handshake, which is always the one for messages as well.
        log: The server's log.
        watch: Is told who comes in, and what changes.
    """

    def __init__(
        self, settings: ServerSettings, store: KeyStore, doorkeeper: Doorkeeper, log: logging.Logger, watch: Watch
    ) -> None:
        self._settings = settings
        self._store = store
        self._doorkeeper = doorkeeper
        self._log = log
        self._watch = watch
        self._signature: Hashable = None
        self._complained: set[str] = set()
        self._stale_since_s: float | None = None
        self._answers: dict[tuple[str, str, str], Peer] = {}
        self._enrolled: dict[str, Client] = {}  # by name
        self._invitations = Invitations(store)
        self._handover = Handover(store, self._invitations, log)
        self._one_use = OneUseKeys(store.directory)
        self._invited_names: set[str] = set()
        self._admission = self._answers_for(AuthorisedClients(by_key={}))
        doorkeeper.admission = self._admission

    def admit(self, kind: DoorKind, frame: zmq.Frame) -> Peer:
        """Say who sent a message. Cheap enough for every one: two look-ups and, after the first time, one dictionary.

        Args:
            kind: The door it came through.
            frame: Any frame of it, received with ``copy=False``.

        Raises:
            RefusedError: If this peer may not, or no longer, speak to the server.
        """
        try:
            user_id, address = str(frame.get("User-Id")), str(frame.get("Peer-Address"))
        except (zmq.ZMQError, UnicodeDecodeError):
            raise UnknownPeerError("its connection carries no identity") from None
        question = (kind._value_, user_id, address)  # .value is two calls of Python's, and this is in the way of a tick
        peer = self._answers.get(question)
        if peer is None or peer.permissions.until is not None:  # an answer for a time is asked for anew
            is_known = peer is not None
            peer = self._admission.admit(kind, user_id, address)
            if peer.is_next and self._confirm(peer):
                peer = self._admission.admit(kind, user_id, address)
            if len(self._answers) >= _ANSWERS_KEPT:
                self._answers.clear()
            self._answers[question] = peer
            if not is_known:
                self._watch.admitted(peer)
        return peer

    def permit(self, peer: Peer) -> Permit:
        """What a peer that was admitted once may run now.

        Raises:
            RefusedError: If it may not go on at all.
        """
        return self._admission.permit(peer)

    def enrol(self, peer: Peer, key: str) -> str:
        """Enrol the key that an invited peer hands over, or that an enrolled one wants to have; returns the name.

        It counts when this returns.

        Raises:
            EnrolmentRefusedError: If the peer has no key, or what it hands over cannot be enrolled; with words for it.
        """
        if peer.key is None:
            raise EnrolmentRefusedError("only a client with a key can enrol one. Run: se-remote join LINE")
        if peer.is_invited:
            name = self._handover.redeem(peer, key)
        elif self._handover.announce(peer, key, self._enrolled.get(peer.name)):
            name = peer.name
        else:
            return peer.name
        self.refresh()
        return name

    def _confirm(self, peer: Peer) -> bool:
        """A client has come in with its next key. Whether that is its key now."""
        try:
            self._handover.confirm(peer)
        except KeysError as error:
            self._complain("a client's next key is admitted, and cannot be made its key", error, client=peer.name)
            return False
        self.refresh()
        return True

    def command(self, words: str) -> str:
        """A command line that works on this server's key store."""
        return self._store.command(words)

    @property
    def have_changed(self) -> bool:
        """Whether the key store is not as it was at the last refresh."""
        return self._store.clients_signature() != self._signature

    def refresh(self) -> None:
        """Take over changes of the key store."""
        if not self._settings.curve:
            return
        signature = self._store.clients_signature()
        is_unused = self._handover.forget_unused(self._watch.is_in_use)
        if signature == self._signature and self._stale_since_s is None and not is_unused:
            return
        clients = self._read()
        if clients is None:
            return
        if self._signature is not None:
            self._log_changes(clients)
        self._enrolled = {client.name: client for client in clients.by_key.values()}
        self._signature = signature
        self._answers.clear()
        self._admission = self._answers_for(clients)
        self._doorkeeper.admission = self._admission

    def _answers_for(self, clients: AuthorisedClients) -> Admission:
        try:
            invited = self._invitations.all() if self._settings.curve else {}
            spent = self._one_use.spent() if self._settings.curve else {}
        except KeysError as error:
            invited, spent = {}, {}
            self._complain("invitations do not count, their folder cannot be trusted", error)
        names = {invitation.name for invitation in invited.values()}
        if names != self._invited_names:
            self._invited_names = names
            event(self._log, logging.INFO, "invitations changed", open=",".join(sorted(names)) or "none")
        return Admission(
            clients.by_key,
            exposed=self._settings.exposed,
            invited=invited,
            spent=spent,
            retired=self._handover.retired(clients.by_key),
            clock=lambda: datetime.now(timezone.utc),
            command=self._store.command,
        )

    def _read(self) -> AuthorisedClients | None:
        """Who is enrolled now; nobody, if that cannot be told; None to keep what counted before for a moment."""
        try:
            clients = self._store.authorised_clients()
        except KeysError as error:
            if self._is_passing([error]):
                return None
            self._complain("nobody is admitted, the list of enrolled clients cannot be trusted", error)
            return AuthorisedClients(by_key={})
        if self._is_passing([entry.error for entry in clients.refused]):
            return None
        self._stale_since_s = None
        self._complained &= {str(entry) for entry in clients.refused}
        for entry in clients.refused:
            self._complain("an enrolled client does not count, its entry is refused", entry.error, client=entry.name)
        return clients

    def _log_changes(self, clients: AuthorisedClients) -> None:
        now = {client.name: client for client in clients.by_key.values()}
        both = sorted(now.keys() & self._enrolled.keys())
        changes: dict[str, list[str]] = {
            "enrolled": sorted(now.keys() - self._enrolled.keys()),
            "revoked": sorted(self._enrolled.keys() - now.keys()),
            "next_key": [n for n in both if now[n].next_key not in (None, self._enrolled[n].next_key)],
            "new_key": [name for name in both if now[name].key != self._enrolled[name].key],
            "permitted": [name for name in both if now[name].permissions != self._enrolled[name].permissions],
        }
        fingerprints = {name: client.key.fingerprint for name, client in (self._enrolled | now).items()}
        announced = {name: key.fingerprint for name in both if (key := now[name].next_key) is not None}
        self._watch.keys_changed({
            what: [(n, (announced if what == "next_key" else fingerprints)[n]) for n in names]
            for what, names in changes.items()
        })  # fmt: skip
        told = {what: ",".join(names) for what, names in changes.items() if names}
        if told:
            event(self._log, logging.INFO, "enrolled clients changed", **told)

    def _is_passing(self, errors: list[KeysError]) -> bool:
        short = any(
            isinstance(error, KeyAccessError)
            and isinstance(error.__cause__, OSError)
            and error.__cause__.errno in _SHORTAGES
            for error in errors
        )
        if not short:
            return False
        now_s = time.monotonic()
        if self._stale_since_s is None:
            self._stale_since_s = now_s
            event(self._log, logging.WARNING, "the list of enrolled clients cannot be read now, the last one counts")
        return now_s - self._stale_since_s < _STALE_AT_MOST_S

    def _complain(self, sentence: str, error: KeysError, **fields: object) -> None:
        if str(error) not in self._complained:
            self._complained.add(str(error))
            event(self._log, logging.ERROR, sentence, **fields, why=error.what, next=error.mend)
