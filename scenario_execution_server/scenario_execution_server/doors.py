# SPDX-License-Identifier: Apache-2.0
"""All doors of the server with their one authenticator: opened in the only safe order, closed in the reverse one."""

from __future__ import annotations

import logging
import time
from types import TracebackType

import zmq

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.protocol.messages import NextKey
from scenario_execution_server.admission import Admission
from scenario_execution_server.authenticator import Doorkeeper
from scenario_execution_server.clients import Clients
from scenario_execution_server.config import DoorKind, ServerSettings, TcpDoor
from scenario_execution_server.errors import ListenError
from scenario_execution_server.journal import event
from scenario_execution_server.listener import MAX_SOCKETS, Listener, ZmqContext, check_library, open_tcp, open_unix
from scenario_execution_server.own_key import OwnKey
from scenario_execution_server.self_test import self_test
from scenario_execution_server.strangers import Strangers
from scenario_execution_server.watch import Watch

_REBIND_WITHIN_S = 10.0  # libzmq frees a port in milliseconds; who else has taken it will not give it back


class Doors:
    """Where peers come in. All methods belong to one thread.

    Use as a context manager, or call `close`.

    Attributes:
        context: The context of all sockets.
        doorkeeper: The authenticator.
        clients: Who may come in.
        listeners: The open doors.
    """

    def __init__(
        self, settings: ServerSettings, store: KeyStore, log: logging.Logger, watch: Watch | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._log = log
        self._watch = watch or Watch()
        self._strangers = Strangers(store, log, self._watch)
        self._own_key: OwnKey | None = None
        self._shut: tuple[Listener, ...] = ()  # unbound, and to be bound again with the next key
        self._shut_since_s = 0.0
        self.listeners: tuple[Listener, ...] = ()
        self.context: ZmqContext = zmq.Context()
        self.context.setsockopt(zmq.MAX_SOCKETS, MAX_SOCKETS)
        self.doorkeeper = Doorkeeper(self.context, Admission({}))
        self.clients = Clients(settings, store, self.doorkeeper, log, self._watch)

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

    def refresh(self) -> None:
        """Take over changes of the key store, and log who was refused since the last call.

        Raises:
            ListenError, GuardError, SelfTestFailed: If a door cannot be opened with the next key of the server, or not
                safely. The server must not go on.
        """
        if self._own_key is not None:
            if self.clients.have_changed:
                self._own_key.look()
            self._exchange_key(self._own_key)
        self._log_refusals()
        self.clients.refresh()

    def _log_refusals(self) -> None:
        self._strangers.tell(*self.doorkeeper.take_refusals())

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
