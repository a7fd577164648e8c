# SPDX-License-Identifier: Apache-2.0
"""The running connection for one session: calls that anybody may wait for, and one thread that listens meanwhile.

Who waits for an answer listens in that thread's place: a tick then costs no change of threads, each of which would cost
as much as the rest. One lock says whose turn it is to touch the socket. After each turn nothing is left in the socket,
or the link's thread is woken: its descriptor tells of news only once.
"""

from __future__ import annotations

import itertools
import math
import secrets
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, get_args

import zmq

from scenario_execution_keys.keypair import PublicKey

from .bell import Bell
from .courtesies import error_for, hello
from .endpoint import Endpoint
from .errors import NotEnrolledError, RemoteError, RemoteProtocolError, SessionLostError
from .inbox import Inbox, Sink
from .pending import Pending
from .pins import Remark
from .protocol import messages, wire
from .protocol.client import ClientSession, Delivered, Event, Noticed, Opened, Over
from .protocol.frames import SESSION_ID_BYTES, Body
from .security import Security
from .transport import Connection, LinkChange, LinkEvent, connect, settle

_PROGRAM = "scenario_execution"
# While a file is on its way home, the result of the action that wrote it waits for it.
_SIGNS_OF_LIFE: frozenset[type] = frozenset((messages.Alive, messages.Artifact, messages.Chunk))
_OF_FILES: frozenset[type] = frozenset(get_args(messages.FromFiles))
# plain numbers: an enum's arithmetic costs more than the call
_READ, _NOBLOCK = int(zmq.POLLIN), int(zmq.NOBLOCK)
_TURN_MESSAGES = 64  # taken by the link's thread before others have their turn
_ALONG_S = 0.001  # for what has come already when something is sent; the rest is the thread's
_CLOSE_LINGER_S = 1.0  # for the last frame, a BYE, to leave this machine after the link is closed

__all__ = ["Link", "Pending"]


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
        self.is_home = False  # whether the server has said at the end that all results are here
        self.welcome: messages.Welcome | None = None
        self.alive_s = 0.0  # when the worker last said that it goes on ticking
        self.answer_count = 0  # so many have been handed out; says what of the rest came before which of them
        self._security = security
        self._lost_after_s = lost_after_s
        self._sink = sink
        self._opened = threading.Event()
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._outbox: deque[Body | None] = deque()  # None: end the session
        self._files: Callable[[Any], None] | None = None
        self._alarm = Bell()  # for the thread
        self._abortion = Bell()
        self._turn = threading.Lock()  # whose turn it is to touch machine, inbox and socket
        self._lead = threading.Lock()  # held by who listens in the thread's place
        self._is_led = False
        self._is_finished = False  # nothing more is to be sent or received
        self._connection: Connection | None = None  # while others than the thread may use it
        self._socket_fd = -1
        self._sleeps_until_s = 0.0
        self._watch = select.epoll()  # what the thread waits for; not for data while somebody else listens
        self._ears = select.poll()  # what is waited for in its place: data, and the bell
        self._bell = Bell()  # for who listens in its place
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
        return self._call(list(calls))[-1]

    def call_all(self, calls: Sequence[Any]) -> list[Pending]:
        """Like :meth:`call`, for who waits for each of them."""
        return self._call(list(calls))

    def forget(self, pending: Pending) -> None:
        """No answer will come to this call."""
        with self._lock:
            self._pending.pop(pending.call.call, None)

    def call_step(self, *calls: Any) -> Pending:
        """Like :meth:`call`, but nothing that the worker says later is handed out before :meth:`go_on`."""
        self._inbox.pause_behind(calls[-1].call)
        return self._call(list(calls))[-1]

    def go_on(self) -> None:
        """Hand out what belongs to the next step."""
        if self._inbox.is_paused:
            self._inbox.go_on()
            self._speak()

    def go_on_to_the_end(self) -> None:
        """Hand out everything, as nobody waits for the steps that are left."""
        if self._inbox.is_paused:
            self._inbox.go_on_to_the_end()
            self._speak()

    def _call(self, calls: list[Any]) -> list[Pending]:
        if len(calls) == 1:
            body, made = wire.encode(calls[0], self._sink.foreign), [Pending(calls[0], self._listen)]
        else:
            body, made = wire.encode_all(calls, self._sink.foreign), [Pending(call, self._listen) for call in calls]
        with self._lock:
            if self.failure is not None:
                for one in made:
                    one.finish(None, self.failure)
                return made
            for one in made:
                self._pending[one.call.call] = one
            self._outbox.append(body)
        self._speak()
        return made

    def post(self, body: Body | None) -> None:
        """Send a body without waiting for an answer; None asks for the end of the session. From any thread."""
        with self._lock:
            self._outbox.append(body)
        self._alarm.ring()

    def hand_files_to(self, taker: Callable[[Any], None]) -> None:
        """*taker* gets what the worker says about files, in the link's thread and at once; to be said before start."""
        self._files = taker

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
        if self._connection is None:  # still on the way to a server on which nothing of ours can run yet
            self.abort()

    def wait_until_over(self, timeout_s: float) -> bool:
        """Wait for the end of the session. Returns whether it has come."""
        return self._over.wait(timeout_s)

    def abort(self) -> None:
        """Stop at once, without telling anybody; the server notices the silence."""
        self._abortion.ring()
        self._alarm.ring()

    # -- in whose turn it is -----------------------------------------------------------------------

    def _speak(self) -> None:
        """Send what is due, in this thread if nobody else has the turn."""
        if self._connection is None or not self._turn.acquire(blocking=False):
            self._alarm.ring()
            return
        try:
            self._take_turn(time.monotonic() + _ALONG_S)
        finally:
            self._turn.release()

    def _listen(self, pending: Pending, timeout_s: float | None) -> None:
        """Wait for *pending*, and do the listening meanwhile, if nobody else does it but the thread."""
        until_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        if self._connection is not None and self._lead.acquire(blocking=False):
            try:
                if self._connection is not None:  # the thread closes nothing before it has the lead
                    self._listen_until(pending, until_s)
            finally:
                self._lead.release()
        if not pending.is_done:
            pending.wait_for_another(None if timeout_s is None else max(0.0, until_s - time.monotonic()))

    def _listen_until(self, pending: Pending, until_s: float) -> None:
        self._is_led = True
        self._watch.modify(self._socket_fd, 0)
        try:
            while not (pending.is_done or self._is_finished):
                left_s = until_s - time.monotonic()
                if left_s <= 0.0:
                    return
                is_endless = left_s == math.inf
                for fd, _ in self._ears.poll(None if is_endless else math.ceil(left_s * 1000)):
                    if fd != self._socket_fd:
                        self._bell.silence()
                if not pending.is_done and self._turn.acquire(timeout=-1 if is_endless else max(left_s, 0.0)):
                    try:
                        self._take_turn(until_s, pending)
                    finally:
                        self._turn.release()
        finally:
            self._is_led = False
            self._watch.modify(self._socket_fd, select.EPOLLIN)

    def _take_turn(self, until_s: float, pending: Pending | None = None) -> None:
        """Send and receive for another thread than the link's, until *pending* is done or the time has come.

        A KeyboardInterrupt may come at any point in here, as in all of the tree's code. What it tears apart is one
        message of a run that is being given up.
        """
        connection = self._connection
        if connection is None or self._is_finished:
            return
        try:
            is_over = self._exchange(connection, until_s=until_s, pending=pending) is None
        except Exception as error:  # noqa: BLE001 - as at the thread's top: whoever waits has to be told
            self._fail(self._own_fault(error))
            is_over = True
        if is_over:
            self._is_finished = True
            self._alarm.ring()

    def _exchange(
        self, connection: Connection, *, most: float = math.inf, until_s: float = math.inf,
        pending: Pending | None = None,
    ) -> int | None:  # fmt: skip
        """Send what is due and receive what is there; what is not received is left to the thread, which is woken.

        Args:
            connection: Where.
            most: So many messages are received at most.
            until_s: Until then, as a value of ``time.monotonic()``.
            pending: And until this is done.

        Returns:
            How many messages were received; None if the session is over.
        """
        machine, inbox, socket = self._machine, self._inbox, connection.socket
        news, count = [(socket, _READ)], 0
        while True:
            if inbox.waiting:
                inbox.hand_out()
            while self._outbox:
                body = self._outbox.popleft()
                if body is None:
                    machine.end()
                else:
                    machine.send(body)
            if machine.outgoing:
                self._transmit(connection)
            if not zmq.zmq_poll(news, 0):  # getsockopt(EVENTS) says the same, at twice the price
                return count
            if count >= most or (pending is not None and pending.is_done) or time.monotonic() >= until_s:
                self._alarm.ring()
                return count
            data, now_s = socket.recv(_NOBLOCK), time.monotonic()
            count += 1
            usual = machine.take_next(data, now_s)
            if usual is not None:
                self._deliver(usual)
            elif self._digest(machine.receive(data, now_s)):
                self._transmit(connection)
                return None

    def _transmit(self, connection: Connection) -> None:
        """Hand to ZeroMQ what the machine wants sent; its descriptor tells when it takes more."""
        outgoing = self._machine.outgoing
        while outgoing:
            try:
                connection.socket.send(outgoing[0], _NOBLOCK)
            except zmq.Again:
                return
            outgoing.popleft()

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        connection: Connection | None = None
        failure: RemoteError = SessionLostError(self.endpoint.text, silent_for_s=0.0, why="the link was closed")
        try:
            connection = connect(
                self.endpoint, own=self._security.own, spare=self._security.spare, server_key=self._security.server_key,
                deadline_s=self._deadline_s, context=context, silence_s=self._lost_after_s,
                abort_fd=self._abortion.fileno(), on_refused=self._wait_for_approval, next_key=self._next_key,
                is_key_in_scenario=self._security.pins is not None and self._security.pins.is_in_scenario,
            )  # fmt: skip
            self._proved(connection)
            self._converse(connection)
        except RemoteError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - the thread's top: whoever waits has to be told
            failure = self._own_fault(error)
        finally:
            with self._turn:
                self._connection, self._is_finished = None, True
                self._fail(failure)
            self._bell.ring()
            self._lead.acquire()  # for good: nobody may listen to what is closed now
            if connection is not None:
                connection.close(linger_s=_CLOSE_LINGER_S)
            context.destroy(linger=int(_CLOSE_LINGER_S * 1000))
            for end in (self._alarm, self._abortion, self._bell, self._watch):
                end.close()
            self._over.set()

    def _own_fault(self, error: Exception) -> RemoteError:
        if isinstance(error, wire.WireError):
            return RemoteProtocolError(f"the server at {self.endpoint} said what nobody understands here: {error}")
        return RemoteProtocolError(f"the link to {self.endpoint} broke by a fault of its own: {error!r}")

    # -- which key the server has ------------------------------------------------------------------

    @property
    def _next_key(self) -> PublicKey | None:
        return None if self._security.pins is None else self._security.pins.next_key

    def _proved(self, connection: Connection) -> None:
        if self._security.pins is not None:
            self._remark(self._security.pins.proved(connection.server_key))
            connection.next_key = self._next_key

    def _told(self, next_key: messages.NextKey | None) -> None:
        if self._security.pins is not None:
            self._remark(self._security.pins.told(next_key))
            if self._connection is not None:
                self._connection.next_key = self._next_key

    def _remark(self, remark: Remark | None) -> None:
        if remark is not None:
            self._sink.log(messages.Log(level=remark.level, text=remark.text))

    def _wait_for_approval(self, refused: NotEnrolledError) -> None:
        text = f"{refused} (waiting for that for as long as setup_timeout allows)"
        self._sink.log(messages.Log(level="warning", text=text))

    def _converse(self, connection: Connection) -> None:
        machine, watch = self._machine, self._watch
        self._socket_fd, monitor_fd = (int(one.getsockopt(zmq.FD)) for one in (connection.socket, connection.monitor))
        for fd in (self._socket_fd, self._bell.fileno()):
            self._ears.register(fd, select.POLLIN)
        wake_fd, abort_fd = self._alarm.fileno(), self._abortion.fileno()
        for fd in (self._socket_fd, monitor_fd, wake_fd, abort_fd):
            watch.register(fd, select.EPOLLIN)
        machine.start(time.monotonic())
        self._connection = connection
        ready = {monitor_fd: 0}  # what has happened already is not told by the descriptor
        while abort_fd not in ready:
            if wake_fd in ready:
                self._alarm.silence()
            with self._turn:
                failed = self._notice(connection) if monitor_fd in ready else None
                count = None if self._is_finished else self._exchange(connection, most=_TURN_MESSAGES)
                if count is None:
                    return
                if count < _TURN_MESSAGES and self._digest(machine.tick(time.monotonic())):
                    return
                if machine.outgoing and self._exchange(connection, most=0) is None:
                    return
                self._sleeps_until_s = machine.next_deadline_s()
            if self._is_led:
                self._bell.ring()
            if failed is not None:  # not in our turn: it takes a while, and no tick may wait for that
                settle(connection, failed, abort_fd)
            ready = dict(watch.poll(max(0.0, self._sleeps_until_s - time.monotonic())))

    def _notice(self, connection: Connection) -> LinkEvent | None:
        """Digest what happened to the connection. Returns the last attempt to make it again, if that failed."""
        failed = None
        for event in connection.events():
            if event.change is LinkChange.DOWN:
                self._machine.connection_lost()
            elif event.change is LinkChange.UP:
                self._proved(connection)
                self._machine.connection_made()
                failed = None
            elif event.attempt is not None:
                failed = event
        return failed

    def _digest(self, events: list[Event]) -> bool:
        for event in events:
            if isinstance(event, Delivered):
                self._deliver(event.body)
            elif isinstance(event, Noticed):
                self._told(event.next_key)
            elif isinstance(event, Opened):
                self.welcome = event.welcome
                self._told(event.welcome.next_key)
                self._alarm.ring()  # the thread may have to wake earlier now than it meant to, to beat in time
                self._opened.set()
            elif isinstance(event, Over):
                self.is_home = event.is_home
                self._fail(error_for(self.endpoint, event))
                return True
        return False

    def _deliver(self, body: bytes | memoryview) -> None:
        arrived = []
        for message in wire.decode(body, wire.FROM_WORKER):
            kind = type(message)
            if kind in _SIGNS_OF_LIFE:
                self.alive_s = time.monotonic()
            if kind not in _OF_FILES:
                arrived.append(message)
            elif self._files is not None:
                self._files(message)
        self._inbox.put(arrived)

    def _finish(self, answer: messages.Result | messages.Ticked) -> None:
        with self._lock:
            pending = self._pending.pop(answer.call, None)
        self.answer_count += 1
        if pending is not None:
            pending.place = self.answer_count
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
