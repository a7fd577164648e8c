# SPDX-License-Identifier: Apache-2.0
"""The running connection for one session: one thread that owns the socket, and calls that anybody may wait for."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from .courtesies import error_for, hello
from .endpoint import Endpoint
from .errors import NotEnrolledError, RemoteError, RemoteProtocolError, SessionLostError
from .inbox import Inbox, Sink
from .protocol import messages, wire
from .protocol.client import ClientSession, Delivered, Event, Opened, Over
from .protocol.frames import SESSION_ID_BYTES
from .security import Security
from .transport import Connection, LinkChange, connect

_PROGRAM = "scenario_execution"
# While a file is on its way home, the result of the action that wrote it waits for it.
_SIGNS_OF_LIFE = (messages.Alive, messages.Artifact, messages.Chunk)
_CLOSE_LINGER_S = 1.0  # for the last frame, a BYE, to leave this machine after the link is closed


class Pending:
    """A call on its way. ``result`` or ``error`` is set once it is done."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.sent_s = time.monotonic()
        self.result: messages.Result | messages.Ticked | None = None
        self.error: RemoteError | None = None
        self._done = threading.Event()
        self._late: list[Callable[[messages.Result | messages.Ticked], None]] = []

    @property
    def is_done(self) -> bool:
        """Whether there is a result or an error."""
        return self._done.is_set()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until done; None waits without limit. Returns whether it is."""
        return self._done.wait(timeout_s)

    def abandon(self, late: Callable[[messages.Result | messages.Ticked], None]) -> None:
        """Nobody waits any more: *late* gets the result, once, when it comes; in the link's thread, or at once."""
        self._late.append(late)
        if self.is_done:
            self._tell_late()

    def finish(self, result: messages.Result | messages.Ticked | None, error: RemoteError | None) -> None:
        """Set the outcome; for the link's thread."""
        self.result, self.error = result, error
        self._done.set()
        self._tell_late()

    def _tell_late(self) -> None:
        while self._late and self.result is not None:
            try:
                late = self._late.pop()
            except IndexError:  # the other thread was quicker
                return
            late(self.result)


class Link:
    """One session with one server, from connecting to the last word.

    Args:
        endpoint: The server.
        security: How to speak to it.
        lost_after_s: Silence after which it counts as lost, in seconds.
        sink: Who takes what the worker sends by itself.
    """

    def __init__(self, endpoint: Endpoint, security: Security, lost_after_s: float, sink: Sink) -> None:
        self.endpoint = endpoint
        self.failure: RemoteError | None = None
        self.welcome: messages.Welcome | None = None
        self.alive_s = 0.0  # when the worker last said that it goes on ticking
        self._security = security
        self._lost_after_s = lost_after_s
        self._sink = sink
        self._opened = threading.Event()
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._outbox: deque[bytes | None] = deque()  # None: end the session
        self._artifacts: Callable[[Any], None] | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._abort_in, self._abort_out = socket.socketpair()
        self._deadline_s = 0.0
        self._inbox = Inbox(sink, self._finish, lambda body: self._machine.send(body))
        self._machine = ClientSession(
            secrets.token_bytes(SESSION_ID_BYTES), hello(_PROGRAM, lost_after_s), lost_after_s
        )
        self._thread = threading.Thread(target=self._run, name=f"remote {endpoint}", daemon=True)

    # -- for the tree's thread ---------------------------------------------------------------------

    def start(self, timeout_s: float) -> None:
        """Begin to connect and to open the session; calls may be sent from now on. :meth:`wait_until_open` tells."""
        self._deadline_s = time.monotonic() + timeout_s
        self._thread.start()

    def wait_until_open(self) -> None:
        """Wait until the session is open.

        Raises:
            RemoteError: named for what went wrong, with the command that mends it.
        """
        # connect keeps its deadline itself; the second more is for a machine gone slow
        if not self._opened.wait(max(0.0, self._deadline_s - time.monotonic()) + 1.0):
            self.abort()
            raise self.failure or SessionLostError(
                self.endpoint.text, silent_for_s=self._lost_after_s, why="it did not open the session in time"
            )
        if self.failure is not None:
            raise self.failure

    @property
    def is_over(self) -> bool:
        """Whether the session has ended or failed."""
        return self.failure is not None

    def call(self, *calls: Any) -> Pending:
        """Send calls in one message, in order; the pending one is the last.

        Args:
            calls: ``messages`` of type Call, numbered by :meth:`next_number`.

        Raises:
            CannotTravelError: an argument has no form on the wire.
        """
        self.go_on()
        return self._call(list(calls))

    def call_step(self, *calls: Any) -> Pending:
        """Like :meth:`call`, but nothing that the worker says later is handed out before :meth:`go_on`."""
        self._inbox.pause_behind(calls[-1].call)
        return self._call(list(calls))

    def go_on(self) -> None:
        """Hand out what comes behind the last step."""
        if self._inbox.is_paused:
            self._inbox.go_on()
            self._wake()

    def _call(self, calls: list[Any]) -> Pending:
        body = b"".join(wire.encode(call, self._sink.foreign) for call in calls)
        made = [Pending(call) for call in calls]
        with self._lock:
            if self.failure is not None:
                for one in made:
                    one.finish(None, self.failure)
                return made[-1]
            self._pending.update((one.call.call, one) for one in made)
            self._outbox.append(body)
        self._wake()
        return made[-1]

    def post(self, body: bytes | None) -> None:
        """Send a body without waiting for an answer; None asks for the end of the session. From any thread."""
        with self._lock:
            self._outbox.append(body)
        self._wake()

    def hand_artifacts_to(self, taker: Callable[[Any], None]) -> None:
        """*taker* gets what the worker says about files, in the link's thread and at once; to be said before start."""
        self._artifacts = taker

    @property
    def round_trip_s(self) -> float | None:
        """How long the server's front takes to answer, in seconds; None before that is known."""
        return self._machine.round_trip_s

    def next_number(self) -> int:
        """A number for the next call."""
        return next(self._numbers)

    def end(self) -> None:
        """Ask the server to shut all actions down; :meth:`wait_until_over` tells when nothing runs any more."""
        self.post(None)

    def wait_until_over(self, timeout_s: float) -> bool:
        """Wait for the end of the session. Returns whether it has come."""
        return self._over.wait(timeout_s)

    def abort(self) -> None:
        """Stop at once, without telling anybody; the server notices the silence."""
        try:
            self._abort_out.send(b"x")
        except OSError:
            pass
        self._wake()

    # -- the thread --------------------------------------------------------------------------------

    def _wake(self) -> None:
        try:
            self._wake_out.send(b"x")
        except OSError:  # full: the thread is going to wake up anyway; closed: the session is over
            pass

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        connection: Connection | None = None
        try:
            connection = connect(
                self.endpoint, own=self._security.own, server_key=self._security.server_key,
                deadline_s=self._deadline_s, context=context, silence_s=self._lost_after_s,
                abort_fd=self._abort_in.fileno(), on_refused=self._wait_for_approval,
            )  # fmt: skip
            self._machine.start(time.monotonic())
            self._converse(connection)
        except RemoteError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - the thread's top: whoever waits has to be told
            self._fail(RemoteProtocolError(f"the link to {self.endpoint} broke by a fault of its own: {error!r}"))
        finally:
            self._fail(SessionLostError(self.endpoint.text, silent_for_s=0.0, why="the link was closed"))
            if connection is not None:
                connection.close(linger_s=_CLOSE_LINGER_S)
            context.destroy(linger=int(_CLOSE_LINGER_S * 1000))
            for end in (self._wake_in, self._wake_out, self._abort_in, self._abort_out):
                end.close()
            self._over.set()

    def _wait_for_approval(self, refused: NotEnrolledError) -> None:
        text = f"{refused} (waiting for that for as long as setup_timeout allows)"
        self._sink.log(messages.Log(level="warning", text=text))

    def _converse(self, connection: Connection) -> None:
        poller = zmq.Poller()
        poller.register(connection.monitor, zmq.POLLIN)
        poller.register(self._wake_in, zmq.POLLIN)
        poller.register(self._abort_in, zmq.POLLIN)
        machine, events = self._machine, 0
        while not self._digest(machine.tick(time.monotonic())):
            is_stuck = not self._transmit(connection)
            wanted = zmq.POLLIN | (zmq.POLLOUT if is_stuck else 0)
            if wanted != events:
                poller.register(connection.socket, wanted)
                events = wanted
            wait_s = max(0.0, machine.next_deadline_s() - time.monotonic())
            ready = dict(poller.poll(int(wait_s * 1000) + 1))
            if self._abort_in.fileno() in ready:
                return
            if self._wake_in.fileno() in ready:
                self._take_outbox()
            if connection.monitor in ready and not self._notice(connection):
                return
            if connection.socket in ready and self._receive(connection):
                self._transmit(connection)
                return

    def _take_outbox(self) -> None:
        try:
            os.read(self._wake_in.fileno(), 4096)
        except BlockingIOError:
            pass
        self._inbox.hand_out()
        while self._outbox:
            body = self._outbox.popleft()
            if body is None:
                self._machine.end()
            else:
                self._machine.send(body)

    def _transmit(self, connection: Connection) -> bool:
        """Hand to ZeroMQ what the machine wants sent. Returns False if the socket takes no more for now."""
        outgoing = self._machine.outgoing
        while outgoing:
            try:
                connection.socket.send(outgoing[0], zmq.NOBLOCK)
            except zmq.Again:
                return False
            outgoing.popleft()
        return True

    def _notice(self, connection: Connection) -> bool:
        """Digest what happened to the connection. Returns whether to go on."""
        for event in connection.events():
            if event.change is LinkChange.DOWN:
                self._machine.connection_lost()
            elif event.change is LinkChange.UP:
                self._machine.connection_made()
            elif event.change is LinkChange.REFUSED and event.error is not None:
                self._fail(event.error)
                return False
        return True

    def _receive(self, connection: Connection) -> bool:
        """Digest what has arrived. Returns whether the session is over."""
        while True:
            try:
                data = connection.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return False
            if self._digest(self._machine.receive(data, time.monotonic())):
                return True

    def _digest(self, events: list[Event]) -> bool:
        for event in events:
            if isinstance(event, Delivered):
                self._deliver(event.body)
            elif isinstance(event, Opened):
                self.welcome = event.welcome
                self._opened.set()
            elif isinstance(event, Over):
                self._fail(error_for(self.endpoint, event))
                return True
        return False

    def _deliver(self, body: bytes | memoryview) -> None:
        arrived = wire.decode(body, wire.FROM_WORKER)
        if any(isinstance(message, _SIGNS_OF_LIFE) for message in arrived):
            self.alive_s = time.monotonic()
        if self._artifacts is not None:
            for message in arrived:
                if isinstance(message, messages.FromCourier):
                    self._artifacts(message)
        self._inbox.put([message for message in arrived if not isinstance(message, messages.FromCourier)])

    def _finish(self, answer: messages.Result | messages.Ticked) -> None:
        with self._lock:
            pending = self._pending.pop(answer.call, None)
        if pending is not None:
            pending.finish(answer, None)

    def _fail(self, error: RemoteError) -> None:
        """The session is over; whoever waits is told. The first reason counts."""
        self._inbox.hand_out(everything=True)
        with self._lock:
            if self.failure is None:
                self.failure = error
            waiting, self._pending = list(self._pending.values()), {}
        for pending in waiting:
            pending.finish(None, self.failure)
        self._opened.set()
