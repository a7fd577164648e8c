# SPDX-License-Identifier: Apache-2.0
"""All doors of the server with their one authenticator: opened in the only safe order, closed in the reverse one."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Hashable
from datetime import datetime, timezone
from types import TracebackType

import zmq

from scenario_execution_keys.errors import KeyAccessError, KeysError
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.one_use import OneUseKeys
from scenario_execution_keys.pending import PendingKeys
from scenario_execution_keys.rotation import announce_key, confirm_key
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import AuthorisedClients, Client
from scenario_execution_remote.protocol.messages import NextKey, Permit
from scenario_execution_server.admission import Admission, Peer
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.config import DoorKind, ServerSettings, TcpDoor
from scenario_execution_server.errors import EnrolmentRefusedError, ListenError, UnknownPeerError
from scenario_execution_server.journal import event
from scenario_execution_server.listener import MAX_SOCKETS, Listener, ZmqContext, check_library, open_tcp, open_unix
from scenario_execution_server.own_key import OwnKey
from scenario_execution_server.refusals import RefusalLog
from scenario_execution_server.self_test import self_test
from scenario_execution_server.watch import Watch

_ANSWERS_KEPT = 4096  # one per live connection, about 1 MB; on a unix socket each process has its own address
# Passing shortages of the machine: they say nothing about the key store, and strangers can cause them by connecting.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN})
_NOTES_AT_ONCE = 2  # files written for strangers in one look, a quarter of a second apart: no flood wears out a disk
_NEXT_KEY_EVERY_S = 1.0  # per client: each is a write to the disk, for which everybody waits
_REBIND_WITHIN_S = 10.0  # libzmq frees a port in milliseconds; who else has taken it will not give it back
_STALE_AT_MOST_S = 10.0  # the last set that could be read counts that long; for ever would undo a revocation


class Doors:
    """Where peers come in and who they are. All methods belong to one thread.

    Use as a context manager, or call `close`.

    Attributes:
        context: The context of all sockets.
        doorkeeper: The authenticator.
        listeners: The open doors.
    """

    def __init__(
        self, settings: ServerSettings, store: KeyStore, log: logging.Logger, watch: Watch | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._log = log
        self._watch = watch or Watch()
        self._signature: Hashable = None
        self._complained: set[str] = set()
        self._stale_since_s: float | None = None
        self._answers: dict[tuple[str, str, str], Peer] = {}
        self._clients: dict[str, Client] = {}
        self._refusal_log = RefusalLog(store.command)
        self._pending = PendingKeys(store)
        self._invitations = Invitations(store)
        self._one_use = OneUseKeys(store.directory)
        self._invited_names: set[str] = set()
        self._retired: dict[PublicKey, tuple[str, PublicKey]] = {}  # by the key before: the name, and the key now
        self._announced_s: dict[str, float] = {}
        self._cannot_note = False
        self._own_key: OwnKey | None = None
        self._shut: tuple[Listener, ...] = ()  # unbound, and to be bound again with the next key
        self._shut_since_s = 0.0
        self._admission = self._answers_for(AuthorisedClients(by_key={}))
        self.listeners: tuple[Listener, ...] = ()
        self.context: ZmqContext = zmq.Context()
        self.context.setsockopt(zmq.MAX_SOCKETS, MAX_SOCKETS)
        self.doorkeeper = Doorkeeper(self.context, self._admission)

    @classmethod
    def open(
        cls,
        settings: ServerSettings,
        store: KeyStore,
        server_pair: KeyPair | None,
        log: logging.Logger,
        watch: Watch | None = None,
    ) -> Doors:
        """Open all doors the settings ask for, and make sure that those with CURVE keep strangers out.

        Args:
            settings: What to open.
            store: Who is enrolled.
            server_pair: The server's keys, needed for CURVE.
            log: The server's log.
            watch: Is told who comes in and who does not.

        Raises:
            LibraryError, ListenError, GuardError, SelfTestFailed: If a door cannot be opened, or not safely.
        """
        warning = check_library()
        if warning is not None:
            event(log, logging.WARNING, warning)
        doors = cls(settings, store, log, watch)
        try:
            doors._open(server_pair)
        except BaseException:
            doors.close()
            raise
        return doors

    def _open(self, server_pair: KeyPair | None) -> None:
        self.refresh()
        if self._settings.curve and server_pair is not None:
            self._own_key = OwnKey(self._store, server_pair, self._log, self._watch)
            self._own_key.settle()
            self._own_key.look()
        self.doorkeeper.start()
        for door in self._settings.doors:
            if isinstance(door, TcpDoor):
                listener = open_tcp(self.context, self.doorkeeper, door, server_pair)
            else:
                listener = open_unix(self.context, self.doorkeeper, door)
            self.listeners += (listener,)
            if isinstance(door, TcpDoor) and door.curve and server_pair is not None:
                self_test(listener.endpoint, server_pair.public, self.doorkeeper)

    def admit(self, listener: Listener, frame: zmq.Frame) -> Peer:
        """Say who sent a message. Cheap enough for every one: two look-ups and, after the first time, one dictionary.

        Args:
            listener: The door it came through.
            frame: Any frame of it, received with ``copy=False``.

        Raises:
            RefusedError: If this peer may not, or no longer, speak to the server.
        """
        try:
            user_id, address = str(frame.get("User-Id")), str(frame.get("Peer-Address"))
        except (zmq.ZMQError, UnicodeDecodeError):
            raise UnknownPeerError("its connection carries no identity") from None
        question = (listener.endpoint, user_id, address)
        peer = self._answers.get(question)
        if peer is None or peer.permissions.until is not None:  # an answer for a time is asked for anew
            is_known = peer is not None
            peer = self._admission.admit(listener.kind, user_id, address)
            if peer.is_next and self._confirm(peer):
                peer = self._admission.admit(listener.kind, user_id, address)
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
        if not peer.is_invited:
            return self._announce(peer, PublicKey(peer.key), key)
        try:
            client = self._invitations.redeem(PublicKey(peer.key), PublicKey(key), datetime.now(timezone.utc))
        except KeysError as error:
            raise EnrolmentRefusedError(str(error)) from error
        event(
            self._log, logging.INFO, "a client used its invitation",
            client=client.name, fingerprint=client.key.fingerprint, address=peer.address,
        )  # fmt: skip
        self._take_over_clients()
        return client.name

    def _announce(self, peer: Peer, current: PublicKey, key: str) -> str:
        """Take the next key of an enrolled peer on; its own key once more says only that it has come in with it."""
        if key == current.z85 and not peer.is_retired:
            return peer.name
        if peer.is_next or peer.is_retired:
            raise EnrolmentRefusedError("this is not the key of an enrolled client. Run: se-remote keygen --rotate")
        enrolled = self._clients.get(peer.name)
        if enrolled is not None and enrolled.next_key is not None and enrolled.next_key.z85 == key:
            return peer.name  # said once more
        now_s = time.monotonic()
        if now_s - self._announced_s.get(peer.name, -_NEXT_KEY_EVERY_S) < _NEXT_KEY_EVERY_S:
            raise EnrolmentRefusedError("too many keys in a short time. Run: se-remote keygen --rotate")
        self._announced_s[peer.name] = now_s
        try:
            following = PublicKey(key)
            is_new = announce_key(self._store, peer.name, current, following)
        except KeysError as error:
            raise EnrolmentRefusedError(str(error)) from error
        if is_new:
            event(
                self._log, logging.INFO, "a client announced its next key", client=peer.name,
                fingerprint=current.fingerprint, next=following.fingerprint, address=peer.address,
            )  # fmt: skip
        self._take_over_clients()
        return peer.name

    def _confirm(self, peer: Peer) -> bool:
        """A client has come in with its next key: that is its key now. Whether this could be written down."""
        assert peer.key is not None  # only keys can be next
        following = PublicKey(peer.key)
        try:
            before = confirm_key(self._store, peer.name, following)
        except KeysError as error:
            self._complain("a client's next key is admitted, and cannot be made its key", error, client=peer.name)
            return False
        # A scenario that runs with the key before is no reason to keep that key, nor the key a reason to end it.
        for key, (name, now) in self._retired.items():
            if (name, now) == (peer.name, before):
                self._retired[key] = (name, following)
        self._retired[before] = (peer.name, following)
        event(
            self._log, logging.INFO, "a client came in with its next key, the one before is retired",
            client=peer.name, fingerprint=following.fingerprint, retired=before.fingerprint, address=peer.address,
        )  # fmt: skip
        self._take_over_clients()
        return True

    @property
    def next_key(self) -> NextKey | None:
        """What clients are to be told of the server's next key."""
        return None if self._own_key is None else self._own_key.announcement

    def _exchange_key(self, own: OwnKey) -> None:
        """Bind the doors with the next key when it counts. Clients are cut off, and come back by themselves with it.

        Raises:
            ListenError, GuardError, SelfTestFailed: If a door cannot be opened again, or not safely.
        """
        if own.switch():
            self._shut = tuple(listener for listener in self.listeners if listener.kind is DoorKind.TCP_CURVE)
            self._shut_since_s = time.monotonic()
            for listener in self._shut:
                listener.unbind()
        for listener in self._shut:
            fresh = listener.rebind(own.pair)
            if fresh is None:
                if time.monotonic() - self._shut_since_s >= _REBIND_WITHIN_S:
                    what = f"{listener.endpoint} was given up for the next server key, and somebody else has it now"
                    mend = "Stop the other program, and start the server again"
                    raise ListenError(what, mend, endpoint=listener.endpoint)
                continue
            self._shut = tuple(other for other in self._shut if other is not listener)
            self.listeners = tuple(fresh if other is listener else other for other in self.listeners)
            self_test(fresh.endpoint, own.pair.public, self.doorkeeper)
            event(self._log, logging.INFO, f"listening on {fresh.description}")

    def command(self, words: str) -> str:
        """A command line that works on this server's key store."""
        return self._store.command(words)

    def refresh(self) -> None:
        """Take over changes of the key store, and log who was refused since the last call.

        Raises:
            ListenError, GuardError, SelfTestFailed: If a door cannot be opened with the next key of the server, or not
                safely. The server must not go on.
        """
        if self._own_key is not None:
            if self._store.clients_signature() != self._signature:
                self._own_key.look()
            self._exchange_key(self._own_key)
        self._take_over_clients()

    def _take_over_clients(self) -> None:
        # apart from the server's own key: on behalf of a message, whose faults end no server, nothing is bound anew
        self._log_refusals()
        if not self._settings.curve:
            return
        signature = self._store.clients_signature()
        unused = [key for key in self._retired if not self._watch.is_in_use(f"key:{key.z85}")]
        for key in unused:
            del self._retired[key]
        if signature == self._signature and self._stale_since_s is None and not unused:
            return
        clients = self._read_clients()
        if clients is None:
            return
        if self._signature is not None:
            self._log_changes(clients)
        self._clients = {client.name: client for client in clients.by_key.values()}
        self._signature = signature
        self._answers.clear()
        self._admission = self._answers_for(clients)
        self.doorkeeper.admission = self._admission

    def check(self) -> None:
        """Make sure that somebody decides who may enter.

        Raises:
            AuthenticatorDead: If nobody does. The server must not go on.
        """
        self.doorkeeper.check(time.monotonic())

    def close(self) -> None:
        """Close the doors, then the authenticator. Repeating is harmless."""
        for listener in self.listeners:
            listener.close()
        self.doorkeeper.stop()
        self._log_refusals()
        if not self.doorkeeper.stuck:
            self.context.term()

    def __enter__(self) -> Doors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
            retired={
                key: name
                for key, (name, following) in self._retired.items()
                if following in clients.by_key and clients.by_key[following].name == name
            },
            clock=lambda: datetime.now(timezone.utc),
            command=self._store.command,
        )

    def _read_clients(self) -> AuthorisedClients | None:
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
        both = sorted(now.keys() & self._clients.keys())
        changes: dict[str, list[str]] = {
            "enrolled": sorted(now.keys() - self._clients.keys()),
            "revoked": sorted(self._clients.keys() - now.keys()),
            "next_key": [n for n in both if now[n].next_key not in (None, self._clients[n].next_key)],
            "new_key": [name for name in both if now[name].key != self._clients[name].key],
            "permitted": [name for name in both if now[name].permissions != self._clients[name].permissions],
        }
        fingerprints = {name: client.key.fingerprint for name, client in (self._clients | now).items()}
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

    def _log_refusals(self) -> None:
        refusals, uncounted = self.doorkeeper.take_refusals()
        for refusal in refusals:
            self._watch.handshake_refused(refusal.key, refusal.address, refusal.why)
        self._watch.refusals_uncounted(uncounted)
        notes_left = _NOTES_AT_ONCE
        for line in self._refusal_log.lines(refusals, time.monotonic(), uncounted=uncounted):
            event(self._log, logging.WARNING, line.sentence, **line.fields)
            if line.stranger is not None and notes_left:
                notes_left -= 1
                self._note(*line.stranger)

    def _note(self, key: PublicKey, address: str) -> None:
        """Keep a refused key in mind for `se-server pending`. What cannot be written is no reason not to serve."""
        try:
            self._pending.remember(key, address)
        except KeysError as error:
            if not self._cannot_note:
                self._cannot_note = True
                event(
                    self._log, logging.INFO, "refused keys are not kept for se-server pending", why=error.what,
                    next="enrol them with the commands in this log",
                )  # fmt: skip
