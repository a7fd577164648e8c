# SPDX-License-Identifier: Apache-2.0
"""A session without a tree, for `se-remote`: open it, ask something, close it, all in the caller's thread."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable
from typing import Any

import zmq

from .connection import Connection, LinkChange
from .courtesies import error_for, hello
from .endpoint import Endpoint
from .errors import RemoteError, SessionLostError
from .pins import Remark
from .protocol import messages, wire
from .protocol.client import ClientSession, Delivered, Noticed, Opened, Over
from .protocol.frames import SESSION_ID_BYTES, Body
from .security import Security
from .transport import connect, settle

SILENCE_S = 5.0  # as the modifier's heartbeat_failure_timeout
FAREWELL_S = 3.0  # nothing has been set up, so that the worker ends in milliseconds; who does not see it may go
_LOOK_EVERY_S = 0.1  # at the clock, while we rest
_CLOSE_LINGER_S = 1.0  # for the last frame to leave this machine


class Visit:
    """One session, used as a context manager.

    Args:
        endpoint: The server.
        security: How to speak to it.
        program: What the server's log shall call us.
        timeout_s: For the connection and, again, for the session's opening, in seconds.
    """

    def __init__(self, endpoint: Endpoint, security: Security, *, program: str, timeout_s: float) -> None:
        self.log: list[messages.Log] = []
        self.take: Callable[[Any], None] = lambda message: None  # gets what the worker says about files
        self._heard_count = 0
        self.remarks: list[Remark] = []  # about the server's key
        self._endpoint = endpoint
        self._security = security
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._answers: dict[int, Any] = {}
        self._welcome: messages.Welcome | None = None
        self._over: Over | None = None
        self._machine = ClientSession(secrets.token_bytes(SESSION_ID_BYTES), hello(program, SILENCE_S), SILENCE_S)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._connection: Connection | None = None

    def connect(self) -> None:
        """Make the connection, with what the modifier makes it with.

        Raises:
            HandshakeError: named for what is true.
        """
        deadline_s = time.monotonic() + self._timeout_s
        self._connection = connect(
            self._endpoint, own=self._security.own, spare=self._security.spare, server_key=self._security.server_key,
            deadline_s=deadline_s, context=self._context, silence_s=SILENCE_S,
            next_key=None if self._security.pins is None else self._security.pins.next_key,
        )  # fmt: skip
        self._proved(self._connection)

    def open(self) -> messages.Welcome:
        """Open the session.

        Raises:
            RemoteError: the server refuses it, and says why.
        """
        self._machine.start(time.monotonic())
        self._pump(lambda: self._welcome is not None, self._timeout_s, "it did not open the session in time")
        assert self._welcome is not None
        return self._welcome

    def call(self, make: Callable[[int], Any], within_s: float) -> Any:
        """The worker's answer to a call.

        Args:
            make: Makes the message from its number.
            within_s: How long to wait, in seconds.

        Raises:
            RemoteError: there is no answer.
        """
        number = next(self._numbers)
        self._machine.send(wire.encode(make(number)))
        self._pump(lambda: number in self._answers, within_s, "its worker did not answer in time")
        return self._answers.pop(number)

    def timed(self, make: Callable[[int], Any], within_s: float) -> float:
        """The round trip of a call, in seconds; otherwise as :meth:`call`."""
        begun_s = time.monotonic()
        self.call(make, within_s)
        return time.monotonic() - begun_s

    def carry(self, make: Callable[[int], Any], take: Callable[[Any], None], stalled_s: float) -> Any:
        """The worker's answer to a call behind which files come in.

        Args:
            make: Makes the message from its number.
            take: Gets what the worker says about files.
            stalled_s: How long to wait while nothing comes at all, in seconds.

        Raises:
            RemoteError: there is no answer.
        """
        self.take = take
        number = next(self._numbers)
        self._machine.send(wire.encode(make(number)))
        self.wait_for(lambda: number in self._answers, stalled_s)
        return self._answers.pop(number)

    def post(self, body: Body) -> None:
        """Send a body that is not answered; it leaves with the next waiting."""
        self._machine.send(body)

    def wait_for(self, is_done: Callable[[], bool], stalled_s: float) -> None:
        """Let time pass until *is_done*, as long as the worker says anything.

        Raises:
            RemoteError: the session is over, or nothing has been said for *stalled_s* seconds.
        """
        while not is_done():
            before = self._heard_count
            self._pump(lambda: is_done() or self._heard_count > before, stalled_s, "nothing of the files moves")  # noqa: B023

    def rest(self, seconds: float) -> None:
        """Let time pass, with the session alive.

        Raises:
            RemoteError: the session has ended meanwhile.
        """
        until_s = time.monotonic() + seconds
        self._pump(lambda: time.monotonic() >= until_s, seconds + FAREWELL_S, "")

    def beat(self, within_s: float) -> float:
        """The round trip to the front, which answers without its worker, in seconds.

        Raises:
            RemoteError: there is no answer.
        """
        why = "its front did not answer in time"
        self._pump(lambda: not self._machine.awaits_beat, within_s, why)
        self._machine.ask_for_beat(time.monotonic())
        self._pump(lambda: not self._machine.awaits_beat, within_s, why)
        return self._machine.last_round_trip_s

    def close(self) -> None:
        """End the session, if it is open, and the connection. Never raises what the server did wrong."""
        try:
            if self._connection is not None and self._welcome is not None and self._over is None:
                self._machine.end()
                self._pump(lambda: self._over is not None, FAREWELL_S, "")
        except RemoteError:
            pass  # "bye" is an end like any other to the pump; and who does not say it in time may do so alone
        finally:
            if self._connection is not None:
                self._connection.close(linger_s=_CLOSE_LINGER_S)
            self._context.destroy(linger=int(_CLOSE_LINGER_S * 1000))

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _pump(self, is_done: Callable[[], bool], within_s: float, why: str) -> None:
        """Send and receive until *is_done*, which is asked at least every `_LOOK_EVERY_S`.

        Raises:
            RemoteError: the session is over, or the time.
        """
        assert self._connection is not None
        begun_s = time.monotonic()
        poller = zmq.Poller()
        poller.register(self._connection.monitor, zmq.POLLIN)
        while True:
            self._digest(self._machine.tick(time.monotonic()))
            is_stuck = not self._transmit(self._connection)
            if is_done():
                return
            if self._over is not None:
                raise error_for(self._endpoint, self._over)
            now_s = time.monotonic()
            if now_s - begun_s >= within_s:
                raise SessionLostError(self._endpoint.text, silent_for_s=now_s - begun_s, why=why)
            poller.register(self._connection.socket, zmq.POLLIN | (zmq.POLLOUT if is_stuck else 0))
            wait_s = max(0.0, min(self._machine.next_deadline_s() - now_s, begun_s + within_s - now_s, _LOOK_EVERY_S))
            ready = dict(poller.poll(int(wait_s * 1000) + 1))
            if self._connection.monitor in ready:
                self._notice(self._connection)
            if self._connection.socket in ready:
                self._receive(self._connection)

    def _transmit(self, connection: Connection) -> bool:
        outgoing = self._machine.outgoing
        while outgoing:
            try:
                connection.socket.send(outgoing[0], zmq.NOBLOCK)
            except zmq.Again:
                return False
            outgoing.popleft()
        return True

    def _proved(self, connection: Connection) -> None:
        pins = self._security.pins
        if pins is not None:
            self._remark(pins.proved(connection.server_key))
            connection.next_key = pins.next_key

    def _told(self, next_key: messages.NextKey | None) -> None:
        pins = self._security.pins
        if pins is not None and self._connection is not None:
            self._remark(pins.told(next_key))
            self._connection.next_key = pins.next_key

    def _remark(self, remark: Remark | None) -> None:
        if remark is not None:
            self.remarks.append(remark)

    def _notice(self, connection: Connection) -> None:
        for event in connection.events():
            if event.change is LinkChange.DOWN:
                self._machine.connection_lost()
            elif event.change is LinkChange.UP:
                self._proved(connection)
                self._machine.connection_made()
            elif event.attempt is not None:
                settle(connection, event)

    def _receive(self, connection: Connection) -> None:
        while True:
            try:
                data = connection.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._digest(self._machine.receive(data, time.monotonic()))

    def _digest(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Opened):
                self._welcome = event.welcome
                self._told(event.welcome.next_key)
            elif isinstance(event, Noticed):
                self._told(event.next_key)
            elif isinstance(event, Over):
                self._over = event
            elif isinstance(event, Delivered):
                self._heard_count += 1
                for message in wire.decode(event.body, wire.FROM_WORKER):
                    if isinstance(message, messages.Log):
                        self.log.append(message)
                    elif hasattr(message, "call"):
                        self._answers[message.call] = message
                    elif isinstance(message, messages.FromFiles):
                        self.take(message)
