# SPDX-License-Identifier: Apache-2.0
"""The process everybody talks to: admits, routes and keeps time, never runs an action and never waits for one.

Bodies pass through it unread. What can be slow happens elsewhere: actions in workers, ending them in their shepherds.
"""

from __future__ import annotations

import json
import logging
import math
import platform
import secrets
import select
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Protocol

import zmq

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import (
    BODY_LIMIT_BYTES,
    MAGIC,
    NO_SESSION,
    SESSION_ID_BYTES,
    Frame,
    FrameError,
    FrameVersionError,
    Kind,
    decode_frame,
)
from scenario_execution_remote.protocol.messages import RefusalCode
from scenario_execution_server.complaints import Complaints
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.errors import NotEnrolledError, RefusedError
from scenario_execution_server.launcher import Exit, ExitReason, Handle, Launcher
from scenario_execution_server.legacy import LegacyDialect
from scenario_execution_server.sessions import NumberedDialect, Parts, Session, SessionKey, SessionTable
from scenario_execution_server.signals import raised
from scenario_execution_server.watch import Watch
from scenario_execution_server.worker.channel import ChannelError, FrontChannel
from scenario_execution_server.worker.origin import Origin, marked

_HAS_MESSAGE, _EVENTS = int(zmq.POLLIN), int(zmq.EVENTS)  # plain numbers: an enum's arithmetic costs more than the call
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_NOBLOCK = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_TURN_MESSAGES = 64  # messages taken from one door before the others have their turn
_TURN_S = 0.02  # and no longer than this: what one client sends may be slow to read, and must not become anybody's wait
_CHORES_EVERY_S = 0.25  # silence is judged to a quarter of a second
_REFRESH_EVERY_S = 0.25  # enrolled and revoked keys count within a second,
_REVOKED_GRACE_S = 0.3  # of which this much is left to the actions of a revoked client
_HELLO_LIMIT_BYTES = 64 * 1024  # a HELLO is a few hundred bytes, and it is all the front ever unpacks of version 2
_LEGACY_LIMIT_BYTES = 1024 * 1024  # version 1 requests are unpacked here; theirs are a few kilobytes
_WORKER_FRAME_BYTES = BODY_LIMIT_BYTES + 1  # either way: a body as clients take it, and its mark on the way to a worker
_WAITING_FOR_WORKER_BYTES = 4 * _WORKER_FRAME_BYTES  # while it is busy, which holds up no client: this is memory
_TAIL_CHARACTERS = 2000  # of a lost worker's last output, in the sentence about its end
_PROGRAM = "scenario_execution_server"
_FOR_FRONT = frozenset(map(wire.beginning_of, wire.FOR_FRONT))
VISITOR = "se-remote "  # how programs that only look call themselves; a server that serves --once waits for a scenario


class FrontWorker:
    """A session's worker as the front holds it."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.channel = FrontChannel(
            handle.channel, max_frame_bytes=_WORKER_FRAME_BYTES, pending_limit_bytes=_WAITING_FOR_WORKER_BYTES
        )
        self.fd = handle.channel.fileno()
        self.watched = 0  # events that are polled for
        self.bodies: deque[bytes] = deque()  # read from the channel and not dealt with yet


FrontSession = Session[FrontWorker]


class Doors(Protocol):
    """What the front needs of the doors: sockets to poll, and who is speaking."""

    listeners: Any

    @property
    def next_key(self) -> messages.NextKey | None: ...
    def admit(self, listener: Any, frame: zmq.Frame) -> Any: ...
    def permit(self, peer: Any) -> messages.Permit: ...
    def enrol(self, peer: Any, key: str) -> str: ...
    def command(self, words: str) -> str: ...
    def refresh(self) -> None: ...
    def check(self) -> None: ...


class FrontFiles(Protocol):
    """What the front needs of ``custody``."""

    def terms_for(self, session: Any) -> messages.FileTerms: ...
    def session_ended(self) -> None: ...
    def tick(self) -> None: ...


class Front:
    """One server.

    Args:
        settings: What the user wants.
        doors: Bound, guarded sockets.
        launcher: Where workers come from; started before any socket was.
        signals_fd: Becomes readable for each signal that asks to stop.
        log: One line per event.
        watch: Is told what happens, for the audit log and the control socket.
        files: Where clients' files are; None if none are kept.
    """

    def __init__(
        self,
        settings: ServerSettings,
        doors: Doors,
        launcher: Launcher,
        signals_fd: int,
        log: logging.Logger,
        watch: Watch | None = None,
        files: FrontFiles | None = None,
    ) -> None:
        self._settings = settings
        self._doors = doors
        self._launcher = launcher
        self._signals_fd = signals_fd
        self._log = log
        self._sessions: SessionTable[FrontWorker] = SessionTable(limit=settings.max_sessions)
        self._watch = watch or Watch()
        self._watch.look_at(self._sessions)
        self._files = files
        self._poller = select.epoll()  # whose price does not grow with the sessions, as that of zmq.Poller does
        self._workers: dict[int, FrontSession] = {}  # by the descriptor that is polled
        self._behind: dict[int, FrontSession] = {}  # their workers have said more than could be dealt with in one turn
        self._launcher_fds: set[int] = set()
        self._has_launcher_news = True  # its descriptors may have changed, or one of them is readable
        self._complaints = Complaints()
        self._is_stopping = False
        self._is_hurried = False
        self._had_session = False
        self._started_s = time.monotonic()
        self._next_refresh_s = 0.0
        self._next_chores_s = 0.0
        self._welcome = messages.Welcome(
            program=f"{_PROGRAM} {version('scenario-execution-server')}",
            versions=versions_here(),
            watchdog_s=float(settings.watchdog_s),
            shutdown_timeout_s=float(settings.shutdown_timeout_s),
            next_key=None,
        )
        self._next_key = doors.next_key

    def run(self) -> int:
        """Serve until told to stop. Returns the exit code.

        Raises:
            AuthenticatorDeadError: nobody can be authenticated any more; every session has been told to end.
        """
        doors = frozenset(listener.socket.getsockopt(zmq.FD) for listener in self._doors.listeners)
        watched = self._watch.fileno()
        for fd in (*doors, self._signals_fd, *(() if watched is None else (watched,))):
            self._poller.register(fd, _READ)
        while not self._is_done():
            self._watch_launcher()
            is_behind = self._serve_doors() or bool(self._behind)
            wait_s = 0.0 if is_behind else max(0.0, self._next_chores_s - time.monotonic())
            for ready, events in self._poller.poll(wait_s):
                if ready in self._workers:
                    self._serve_worker(self._workers[ready], events)
                elif ready in doors:
                    pass  # it only says that something has changed, once: doors are asked themselves, at each turn
                elif ready == self._signals_fd:
                    self._signalled()
                elif ready == watched:
                    self._watch.serve()
                else:
                    self._has_launcher_news = True
            for session in list(self._behind.values()):
                self._take_from_worker(session)
                self._watch_worker(session)
            if self._has_launcher_news:
                for ended in self._launcher.exits():
                    self._worker_ended(ended)
            if time.monotonic() >= self._next_chores_s:
                self._do_chores(time.monotonic())
        return 0

    # -- from clients ------------------------------------------------------------------------------

    def _serve_doors(self) -> bool:
        """Deal with what has come in. Returns whether to come back at once, as there may be more."""
        listeners = self._doors.listeners
        counts = [self._serve_door(listener) for listener in listeners]
        # what is said at one door may take the news of another from its descriptor
        return _TURN_MESSAGES in counts or (len(counts) > 1 and any(counts))

    def _serve_door(self, listener: Any) -> int:
        """Deal with what has come in, a turn's share at most. Returns how many messages that were; those of a whole
        turn if there may be more."""
        socket, until_s = listener.socket, time.monotonic() + _TURN_S
        for count in range(_TURN_MESSAGES):
            if not socket.getsockopt(_EVENTS) & _HAS_MESSAGE:  # asked, as an exception would cost as much as a message
                return count
            route = socket.recv()
            parts = [socket.recv(copy=False)]
            while parts[-1].more:
                parts.append(socket.recv(copy=False))
            try:
                self._receive(listener, route, parts)
            except Exception:  # noqa: BLE001 - a slip of ours costs one message its answer, and not everybody the server
                self._log.exception("a message could not be handled; please report this")
            if time.monotonic() >= until_s:
                break
        return _TURN_MESSAGES

    def _receive(self, listener: Any, route: bytes, parts: list[zmq.Frame]) -> None:
        last = parts[-1]
        try:
            peer = self._doors.admit(listener, last)
        except RefusedError as refusal:
            self._watch.turned_away(refusal.code.value, refusal.text)
            self._turn_away(listener, route, parts, refusal)
            return
        data = last.buffer
        if len(parts) == 1 and data[:2] == MAGIC:
            self._receive_frame(listener, route, peer, data)
        elif 2 <= len(parts) <= 4 and any(len(part) == 0 for part in parts[:-1]):
            self._receive_legacy(listener, route, peer, [part.bytes for part in parts[:-1]], data)
        else:
            self._complain(peer, f"sent {len(parts)} message parts that no protocol version knows")
            text = "This is no scenario-execution-server message. Compare docs/reference/protocol.md."
            self._send(listener, route, [_refusal(bytes(16), RefusalCode.PROTOCOL, text)])

    def _receive_frame(self, listener: Any, route: bytes, peer: Any, data: memoryview) -> None:
        session_id = NO_SESSION
        try:
            frame = decode_frame(data)
            session_id = frame.session
            session = self._sessions.find(peer.identity, session_id)
            if session is None:
                self._open_or_refuse(listener, route, peer, frame)
            elif isinstance(session.dialect, NumberedDialect):
                self._continue(session, listener, route, frame)
        except (FrameError, wire.WireError) as error:
            self._complain(peer, f"sent a bad frame: {error}")
            if isinstance(error, FrameError) and error.session != NO_SESSION:
                session_id = error.session
            code = RefusalCode.VERSION if isinstance(error, FrameVersionError) else RefusalCode.PROTOCOL
            self._send(listener, route, [_refusal(session_id, code, f"Bad frame: {error}.")])

    def _open_or_refuse(self, listener: Any, route: bytes, peer: Any, frame: Frame) -> None:
        if frame.kind is not Kind.HELLO or self._sessions.has_ended(peer.identity, frame.session):
            if frame.kind is not Kind.BYE:
                text = "The server has no such session (any more); it was ended, or the server was restarted."
                self._send(listener, route, [_refusal(frame.session, RefusalCode.UNKNOWN_SESSION, text)])
            return
        if len(frame.body) > _HELLO_LIMIT_BYTES:
            raise FrameError(f"a HELLO of {len(frame.body)} bytes is longer than {_HELLO_LIMIT_BYTES}")
        if wire.kind_of(frame.body) is messages.Enrol:
            self._enrol(listener, route, peer, frame)
            return
        if wire.kind_of(frame.body) is messages.Inspect:
            self._inspect(listener, route, peer, frame)
            return
        hello: messages.Hello = wire.decode_one(frame.body, messages.Hello)
        now_s = time.monotonic()
        welcome = replace(self._welcome, next_key=self._next_key_for(peer))
        dialect = NumberedDialect(frame.session, now_s, welcome)
        why = incompatible(hello.versions, self._welcome.versions)
        if why is not None:
            self._watch.session_refused(peer, RefusalCode.VERSION.value, why)
            self._send(listener, route, [_refusal(frame.session, RefusalCode.VERSION, why)])
            return
        session = self._open(listener, route, peer, (peer.identity, frame.session), dialect, hello.program)
        if isinstance(session, messages.Refused):
            self._watch.session_refused(peer, session.code, session.text)
            self._send(listener, route, [_refusal(frame.session, RefusalCode(session.code), session.text)])
        else:
            self._continue(session, listener, route, frame)

    def _continue(self, session: FrontSession, listener: Any, route: bytes, frame: Frame) -> None:
        if route != session.route:
            if frame.kind not in (Kind.RESUME, Kind.HELLO):
                return  # an old connection's leftovers; the session lives on its new one
            session.route, session.door = route, listener
        received = session.dialect.machine.receive(frame, time.monotonic())
        for body in received.bodies:
            self._to_worker(session, Origin.CLIENT, body)
        if not received.bodies:  # else it has been looked at already
            self._watch_worker(session)  # what the client has confirmed may let its worker go on
        for reply in session.dialect.machine.take_replies():
            self._send(listener, route, [reply])
        if received.is_bye:
            self._end(session, "bye", "The client said good-bye.")

    def _enrol(self, listener: Any, route: bytes, peer: Any, frame: Frame) -> None:
        enrol: messages.Enrol = wire.decode_one(frame.body, messages.Enrol)
        try:
            name = self._doors.enrol(peer, enrol.key)
        except RefusedError as refusal:
            self._complain(peer, f"could not enrol: {refusal.text}")
            self._send(listener, route, [_refusal(frame.session, refusal.code, refusal.text)])
            return
        body = wire.encode(messages.Enrolled(name=name, next_key=self._next_key_for(peer)))
        self._send(listener, route, [Frame(kind=Kind.WELCOME, session=frame.session, body=body).encode()])

    def _inspect(self, listener: Any, route: bytes, peer: Any, frame: Frame) -> None:
        """Say how the server is, to a client that may know about others."""
        if peer.key is None or peer.is_invited or peer.is_retired or not peer.permissions.admin:
            mend = self._doors.command(f"se-server permit {peer.name} --admin") if peer.key else "se-server status"
            text = f"{peer.name} may not ask about the sessions of others. Its operator runs: {mend}"
            self._watch.session_refused(peer, RefusalCode.NOT_AUTHORISED.value, text)
            self._send(listener, route, [_refusal(frame.session, RefusalCode.NOT_AUTHORISED, text)])
            return
        body = wire.encode(messages.Inspected(status=json.dumps(self._watch.status())))
        self._send(listener, route, [Frame(kind=Kind.WELCOME, session=frame.session, body=body).encode()])

    def _next_key_for(self, peer: Any) -> messages.NextKey | None:
        """What a peer is to be told of the server's next key: who came in without a key of its own needs none."""
        if self._next_key is None or peer.key is None:
            return None
        self._watch.next_key_told(peer)
        return self._next_key

    def _announce_key(self) -> None:
        """Tell the clients of running sessions when another key is announced than they were told."""
        if self._doors.next_key == self._next_key:
            return
        self._next_key = self._doors.next_key
        for session in self._sessions:
            if session.peer.key is not None:
                notice = messages.Notice(next_key=self._next_key_for(session.peer))
                for parts in session.dialect.note(notice):
                    self._send(session.door, session.route, parts)

    def _receive_legacy(self, listener: Any, route: bytes, peer: Any, envelope: Parts, data: memoryview) -> None:
        # One session per connection: this protocol has no session id, and a connection is the one thing that two
        # clients of the same user on the same host cannot share. See docs/decisions/0005-version-1-clients.md.
        # A client chooses its routing id, and must not hit on a version 2 session of its own: that has 16 bytes.
        key = (peer.identity, b"version 1 client" + route)
        session = self._sessions.find(*key)
        dialect = LegacyDialect(time.monotonic()) if session is None else session.dialect
        if len(data) > _LEGACY_LIMIT_BYTES:
            data = memoryview(b"")
        bodies, replies = dialect.receive(envelope, data, time.monotonic())
        if session is None and bodies:  # a heartbeat, a reset of nothing and what is no request need no worker
            opened = self._open(listener, route, peer, key, dialect, "version 1 client")
            if isinstance(opened, messages.Refused):
                self._watch.session_refused(peer, opened.code, opened.text)
                replies = dialect.farewell(opened.code, opened.text)
            else:
                session = opened
        if session is not None:
            for body in bodies:
                self._to_worker(session, Origin.CLIENT, body)
        for reply in replies:
            self._send(listener, route, reply)

    def _turn_away(self, listener: Any, route: bytes, parts: list[zmq.Frame], refusal: RefusedError) -> None:
        """Answer a peer who was admitted once and is not any more; who never was does not come this far."""
        if len(parts) == 1 and parts[0].buffer[:2] == MAGIC:
            try:
                session_id = decode_frame(parts[0].buffer).session
            except FrameError:
                session_id = bytes(16)
            self._send(listener, route, [_refusal(session_id, RefusalCode.NOT_AUTHORISED, str(refusal))])
        elif len(parts) >= 2:
            error = wire.encode_map({"status": "error", "message": str(refusal)})
            self._send(listener, route, [*(part.bytes for part in parts[:-1]), error])

    # -- sessions ----------------------------------------------------------------------------------

    def _open(
        self, listener: Any, route: bytes, peer: Any, key: SessionKey, dialect: Any, program: str
    ) -> FrontSession | messages.Refused:
        """Start a session, or say why not."""
        if peer.is_invited:
            text = f"The invitation for {peer.name} opens no session, it can only enrol. Run: se-remote join LINE"
            return messages.Refused(code=RefusalCode.NOT_AUTHORISED.value, text=text)
        if peer.is_retired:
            text = f"{peer.name} has exchanged this key, and it opens no new session. Run: se-remote keygen --rotate"
            return messages.Refused(code=RefusalCode.NOT_AUTHORISED.value, text=text)
        if self._is_stopping:
            text = "The server is stopping; try again when it is back."
            return messages.Refused(code=RefusalCode.STOPPING.value, text=text)
        if self._sessions.is_full:
            limit = self._settings.max_sessions
            text = f"The server has its {limit} sessions already; end one, or raise --max-sessions."
            return messages.Refused(code=RefusalCode.LIMIT.value, text=text)
        own_limit = peer.permissions.sessions
        # By name: who exchanges a key keeps the sessions of the one before, and must not get as many again.
        own = [s for s in self._sessions if s.peer.key is not None and s.peer.name == peer.name]
        if own_limit is not None and len(own) >= own_limit:
            mend = self._doors.command(f"se-server permit {peer.name} --sessions {own_limit + 1}")
            text = f"{peer.name} has the {own_limit} sessions it may have here; end one, or its operator runs: {mend}"
            return messages.Refused(code=RefusalCode.LIMIT.value, text=text)
        name = key[1].hex()
        # Two clients chose, or one copied, the same id: both are served. Version 1 clients have ids of any length.
        if len(key[1]) != SESSION_ID_BYTES or self._sessions.named(name) is not None:
            name = secrets.token_hex(SESSION_ID_BYTES)
        try:
            handle = self._launcher.start(name)
            self._has_launcher_news = True
        except Exception as error:  # noqa: BLE001 - a launcher may be a plug-in; its fault must not end the others
            self._log.error("cannot start a worker session=%s client=%s why=%r", name, peer.name, str(error))
            text = f"The server could not start a worker: {error}"
            return messages.Refused(code=RefusalCode.LIMIT.value, text=text)
        session: FrontSession = Session(
            key=key, peer=peer, route=route, door=listener, dialect=dialect, worker=FrontWorker(handle),
            started_s=time.monotonic(), alias=name,
        )  # fmt: skip
        self._sessions.add(session)
        self._renew_permit(session)  # the worker's first message, before anything of its client
        if self._files is not None:
            self._to_worker(session, Origin.FRONT, wire.encode(self._files.terms_for(session)))
        self._had_session = self._had_session or not program.startswith(VISITOR)
        self._watch.session_opened(session, program)
        self._log.info(
            "session opened session=%s client=%s from=%s program=%r", name, peer.name, peer.address, program[:80]
        )
        if listener.exposed:
            self._log.warning("session=%s is not encrypted and anybody may open one (--insecure)", name)
        return session

    def _end(self, session: FrontSession, reason: str, text: str, grace_s: float | None = None) -> None:
        """Have a session's actions terminated and shut down, then its worker and all it started ended.

        Args:
            session: The session.
            reason: See `messages.Ended`.
            text: A sentence for its client.
            grace_s: How long its actions may take to stop; None for what the settings say.
        """
        if session.ending is not None:
            return
        session.ending = (reason, text)
        self._log.info("session ending session=%s reason=%s client=%s", session.name, reason, session.peer.name)
        self._to_worker(session, Origin.FRONT, wire.encode(messages.EndSession(reason=reason)))
        allowed_s = float(self._settings.shutdown_timeout_s)
        session.grace_s = 0.0 if self._is_hurried else min(allowed_s, allowed_s if grace_s is None else grace_s)
        self._stop_worker(session, session.grace_s)

    def _worker_ended(self, ended: Exit) -> None:
        session = self._sessions.named(ended.session)
        if session is None:
            return
        self._drain(session)
        if ended.output:
            tail = messages.Output(stream="stderr", data=ended.output)
            self._deliver(session, wire.encode(tail))
        if session.ending is not None and ended.reason in (ExitReason.FINISHED, ExitReason.KILLED):
            reason, text = session.ending
            if ended.reason is ExitReason.KILLED and not self._is_hurried:
                text += f" Its actions did not stop within {session.grace_s:g} s and were killed."
        else:
            reason = "start-failed" if ended.reason is ExitReason.START_FAILED else "worker-lost"
            text = f"The process that ran the actions is gone: {ended.detail}"
            if ended.output:
                text += f" Its last words: {ended.output.decode(errors='replace')[-_TAIL_CHARACTERS:].strip()}"
        for parts in session.dialect.farewell(reason, text):
            self._send(session.door, session.route, parts)
        self._unwatch_worker(session)
        session.worker.channel.close()
        self._sessions.remove(session)
        self._watch.session_ended(session, reason)
        if self._files is not None:
            self._files.session_ended()
        self._log.info(
            "session ended session=%s reason=%s exit=%s client=%s seconds=%.1f detail=%r",
            session.name, reason, ended.reason.value, session.peer.name,
            time.monotonic() - session.started_s, ended.detail,
        )  # fmt: skip

    # -- workers -----------------------------------------------------------------------------------

    def _serve_worker(self, session: FrontSession, events: int) -> None:
        if events & _WRITE:
            session.worker.channel.on_writable()
        if events & ~_WRITE:
            self._take_from_worker(session)
        self._watch_worker(session)

    def _take_from_worker(self, session: FrontSession, turn_s: float = _TURN_S) -> bool:
        """Deal with what a worker has said, for so long at most. Returns whether there was anything."""
        worker, until_s = session.worker, time.monotonic() + turn_s
        if not worker.bodies:
            try:
                worker.bodies.extend(worker.channel.on_readable())
            except ChannelError as error:
                self._log.error("worker misbehaves session=%s why=%r", session.name, str(error))
                session.ending = session.ending or ("worker-lost", f"Its worker misbehaved: {error}.")
                self._stop_worker(session, 0.0)
        had_any = bool(worker.bodies)
        while worker.bodies:
            self._deliver(session, worker.bodies.popleft())
            if time.monotonic() >= until_s:
                break
        if worker.bodies:
            self._behind[worker.fd] = session
        else:
            self._behind.pop(worker.fd, None)
        return had_any

    def _drain(self, session: FrontSession) -> None:
        while self._take_from_worker(session, math.inf):
            pass

    def _deliver(self, session: FrontSession, body: bytes) -> None:
        if body[:2] in _FOR_FRONT:
            self._hear(session, body)
            return
        if isinstance(session.dialect, LegacyDialect):
            for answer in session.dialect.answers(body):
                self._to_worker(session, Origin.CLIENT, answer)
        for parts in session.dialect.deliver(body):
            self._send(session.door, session.route, parts)

    def _hear(self, session: FrontSession, body: bytes) -> None:
        """Take what a worker says to the front alone."""
        try:
            told = wire.decode(body, wire.FOR_FRONT, plain=True)
        except wire.WireError as error:
            self._log.error("worker misbehaves session=%s why=%r", session.name, str(error))
            return
        for message in told:
            self._watch.told_by_worker(session, message)

    def _to_worker(self, session: FrontSession, origin: Origin, body: bytes | memoryview) -> None:
        try:
            session.worker.channel.send(marked(origin, body))
        except ChannelError as error:
            self._log.error("worker does not listen session=%s why=%r", session.name, str(error))
            session.ending = session.ending or ("limit", f"The worker was sent more than it took: {error}.")
            self._stop_worker(session, 0.0)
        self._watch_worker(session)

    def _stop_worker(self, session: FrontSession, grace_s: float) -> None:
        self._launcher.stop(session.worker.handle, grace_s)
        self._has_launcher_news = True

    # -- chores ------------------------------------------------------------------------------------

    def _do_chores(self, now_s: float) -> None:
        self._next_chores_s = now_s + _CHORES_EVERY_S
        self._doors.check()
        self._watch.tick()
        self._has_launcher_news = True  # it looks after sessions that do not end as they should
        if self._files is not None:
            self._files.tick()
        if now_s >= self._next_refresh_s:
            self._next_refresh_s = now_s + _REFRESH_EVERY_S
            self._doors.refresh()
            self._announce_key()
            for session in self._sessions:
                self._renew_permit(session)
        for session in self._sessions.silent(now_s, self._settings.watchdog_s):
            self._end(session, "silent", f"The client was silent for {self._settings.watchdog_s:g} s.")
        limit_s = self._settings.connect_timeout_s
        if limit_s and not self._had_session and now_s - self._started_s >= limit_s:
            self._log.info("nobody came within %g s, as --connect-timeout asks", limit_s)
            self._is_stopping = True

    def _renew_permit(self, session: FrontSession) -> None:
        """Tell the worker what its client may run, if that has changed; end the session of one who may not go on."""
        try:
            permit = self._doors.permit(session.peer)
        except RefusedError as refusal:
            # Who was revoked is gone within a second, whatever its actions think of that. Whose time is over, or who
            # may come from elsewhere only, was trusted to run them and may stop them in order.
            grace_s = _REVOKED_GRACE_S if isinstance(refusal, NotEnrolledError) else None
            self._end(session, "revoked", f"The session was ended: {refusal.text}.", grace_s)
            return
        if permit != session.permit:
            session.permit = permit
            self._to_worker(session, Origin.FRONT, wire.encode(permit))

    def _signalled(self) -> None:
        count = raised(self._signals_fd)
        self._is_hurried = self._is_stopping or count > 1
        self._is_stopping = True
        self._log.info("stopping hurried=%s sessions=%d", self._is_hurried, len(self._sessions))
        for session in self._sessions:
            self._end(session, "stopped", "The server is stopping.")
            if self._is_hurried:
                self._stop_worker(session, 0.0)

    def _is_done(self) -> bool:
        if self._settings.once and self._had_session and len(self._sessions) == 0:
            return True
        return self._is_stopping and len(self._sessions) == 0

    def _watch_launcher(self) -> None:
        """Poll the launcher's descriptors, which change only when something is asked of it."""
        if not self._has_launcher_news:
            return
        self._has_launcher_news = False
        wanted = set(self._launcher.fds())
        for fd in self._launcher_fds - wanted - self._workers.keys():  # a number may be a new channel's by now
            with suppress(OSError):  # it is closed, and was forgotten with that
                self._poller.unregister(fd)
        for fd in wanted:
            try:  # all of them: a number that was wanted before may have been closed, and be another's by now
                self._poller.register(fd, _READ)
            except FileExistsError:
                pass
        self._launcher_fds = wanted

    def _watch_worker(self, session: FrontSession) -> None:
        """Poll a session's channel for what is due: its worker's words unless the client is behind, room to write."""
        channel = session.worker.channel
        wanted = 0
        if not channel.closed:
            wanted = (0 if session.dialect.is_full else _READ) | (_WRITE if channel.wants_write else 0)
        if wanted != session.worker.watched:
            session.worker.watched = wanted
            fd = session.worker.fd
            if fd in self._workers and wanted:
                self._poller.modify(fd, wanted)
            elif wanted:
                self._poller.register(fd, wanted)
                self._workers[fd] = session
            elif fd in self._workers:
                self._poller.unregister(fd)
                del self._workers[fd]

    def _unwatch_worker(self, session: FrontSession) -> None:
        if self._workers.get(session.worker.fd) is session:
            self._poller.unregister(session.worker.fd)
            del self._workers[session.worker.fd]

    def _send(self, listener: Any, route: bytes, parts: Parts) -> None:
        """Hand a message to ZeroMQ. One that it drops is missed by the client, who then asks again (RESUME)."""
        try:
            listener.socket.send(route, _MORE)
            for part in parts[:-1]:
                listener.socket.send(part, _MORE)
            listener.socket.send(parts[-1], _NOBLOCK)
        except zmq.ZMQError as error:
            self._log.debug("message dropped route=%s why=%s", route.hex(), error)

    def _complain(self, peer: Any, what: str) -> None:
        self._watch.session_refused(peer, RefusalCode.PROTOCOL.value, what)
        unsaid = self._complaints.hear(peer.identity, time.monotonic())
        if unsaid is not None:
            self._log.warning("bad input client=%s from=%s what=%r unsaid=%d", peer.name, peer.address, what, unsaid)


def _refusal(session: bytes, code: RefusalCode, text: str) -> bytes:
    body = wire.encode(messages.Refused(code=code.value, text=text))
    return Frame(kind=Kind.REFUSED, session=session, body=body).encode()


def versions_here() -> dict[str, str]:
    """What this installation consists of, as far as the other side may care."""
    names = ("scenario-execution", "py-trees", "scenario-execution-remote", "scenario-execution-server")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def incompatible(theirs: dict[str, str], ours: dict[str, str]) -> str | None:
    """Why the two installations cannot work together, or None: major and minor version of engine and py_trees
    decide."""
    for name in ("scenario-execution", "py-trees"):
        here, there = ours.get(name, "none"), theirs.get(name, "none")
        if here.split(".")[:2] != there.split(".")[:2]:
            return f"The client has {name} {there}, the server {here}. Install the same minor version on both sides."
    return None
