# SPDX-License-Identifier: Apache-2.0
"""What comes in at the doors: who says it, whose session it belongs to, and the answer to what belongs to none."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Protocol

import zmq

from scenario_execution_remote.courtesies import versions_here
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.agreement import MEND
from scenario_execution_remote.protocol.frames import (
    HEADER_BYTES,
    MAGIC,
    NO_SESSION,
    Frame,
    FrameError,
    FrameVersionError,
    Kind,
    decode_frame,
    read_data,
)
from scenario_execution_remote.protocol.messages import RefusalCode
from scenario_execution_server.complaints import Complaints
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.errors import RefusedError
from scenario_execution_server.hosting import FrontSession, Hosting
from scenario_execution_server.legacy import LegacyDialect
from scenario_execution_server.opening import incompatible, objection
from scenario_execution_server.sessions import NumberedDialect, Parts, SessionKey
from scenario_execution_server.watch import Watch
from scenario_execution_server.worker.origin import Origin

_HAS_MESSAGE = int(zmq.POLLIN)  # a plain number: an enum's arithmetic costs more than the call
_TURN_MESSAGES = 64  # messages taken from one door before the others have their turn
_TURN_S = 0.02  # and no longer than this: what one client sends may be slow to read, and must not become anybody's wait
_MOST_PARTS = 4  # of a message; those of version 1 have two or three, and one more behind a proxy
_ENVELOPE_LIMIT_BYTES = 1024  # of version 1 requests: routing ids of up to 255 bytes, which go back with the reply
_HELLO_LIMIT_BYTES = 64 * 1024  # a HELLO is a few hundred bytes, and it is all that is ever unpacked here of version 2
_LEGACY_LIMIT_BYTES = 1024 * 1024  # version 1 requests are unpacked here; theirs are a few kilobytes
_PROGRAM = "scenario_execution_server"


class Clients(Protocol):
    """What the front needs of ``clients``: who is speaking, and what it may do."""

    def admit(self, kind: Any, frame: zmq.Frame) -> Any: ...
    def permit(self, peer: Any) -> messages.Permit: ...
    def enrol(self, peer: Any, key: str) -> str: ...
    def command(self, words: str) -> str: ...


class Doors(Protocol):
    """What the front needs of the doors: sockets to poll, and who may come in."""

    listeners: Any

    @property
    def clients(self) -> Clients: ...
    @property
    def next_key(self) -> messages.NextKey | None: ...
    def refresh(self) -> None: ...
    def check(self) -> None: ...


class Reception:
    """Where clients of one server are heard.

    Args:
        settings: What the user wants.
        doors: Bound, guarded sockets.
        hosting: The sessions.
        log: One line per event.
        watch: Is told what happens.
    """

    def __init__(
        self, settings: ServerSettings, doors: Doors, hosting: Hosting, log: logging.Logger, watch: Watch
    ) -> None:
        self._doors = doors
        self._clients = doors.clients
        self._hosting = hosting
        self._log = log
        self._watch = watch
        self._complaints = Complaints()
        self._unread: set[zmq.Socket[bytes]] = set()  # those whose last message has parts that nobody wants
        ours = version("scenario-execution-server")
        self._welcome = messages.Welcome(
            program=f"{_PROGRAM} {ours}",
            versions=versions_here() | {"scenario-execution-server": ours},
            watchdog_s=float(settings.watchdog_s),
            shutdown_timeout_s=float(settings.shutdown_timeout_s),
            next_key=None,
        )
        self._next_key = doors.next_key

    def serve(self) -> bool:
        """Deal with what has come in. Returns whether to come back at once, as there may be more."""
        listeners = self._doors.listeners
        if len(listeners) == 1:
            return self._serve_door(listeners[0]) == _TURN_MESSAGES
        counts = [self._serve_door(listener) for listener in listeners]
        # what is said at one door may take the news of another from its descriptor
        return _TURN_MESSAGES in counts or any(counts)

    def _serve_door(self, listener: Any) -> int:
        """Deal with what has come in, a turn's share at most. Returns how many messages that were; those of a whole
        turn if there may be more."""
        socket, until_s = listener.socket, time.monotonic() + _TURN_S
        news = [(socket, _HAS_MESSAGE)]
        if socket in self._unread and not self._skip_rest(socket, until_s):
            return _TURN_MESSAGES
        for count in range(_TURN_MESSAGES):
            if not zmq.zmq_poll(news, 0):  # asked, as an exception would cost as much as a message
                return count
            route = socket.recv()
            parts = [socket.recv(copy=False)]
            while parts[-1].more and len(parts) <= _MOST_PARTS:
                parts.append(socket.recv(copy=False))
            if parts[-1].more:
                self._unread.add(socket)
            try:
                self._receive(listener, route, parts)
            except Exception:  # noqa: BLE001 - a slip of ours costs one message its answer, and not everybody the server
                self._log.exception("a message could not be handled; please report this")
            if socket in self._unread and not self._skip_rest(socket, until_s):
                break
            if time.monotonic() >= until_s:
                break
        return _TURN_MESSAGES

    def _skip_rest(self, socket: zmq.Socket[bytes], until_s: float) -> bool:
        """Read on to the end of a message, whose parts may be millions. Returns whether that was reached in time."""
        while socket.recv(copy=False).more:
            if time.monotonic() >= until_s:
                return False
        self._unread.discard(socket)
        return True

    def _receive(self, listener: Any, route: bytes, parts: list[zmq.Frame]) -> None:
        last = parts[-1]
        try:
            peer = self._clients.admit(listener.kind, last)
        except RefusedError as refusal:
            self._watch.turned_away(refusal.code.value, refusal.text)
            self._turn_away(listener, route, parts, refusal)
            return
        data = last.buffer
        if len(parts) == 1 and self._take_next(route, peer, data):
            return
        if len(parts) == 1 and data[:2] == MAGIC:
            self._receive_frame(listener, route, peer, data)
        elif _is_request(parts):
            self._receive_legacy(listener, route, peer, [part.bytes for part in parts[:-1]], data)
        else:
            count = str(len(parts)) if len(parts) <= _MOST_PARTS else f"more than {_MOST_PARTS}"
            self._complain(peer, f"sent {count} message parts that no protocol version knows")
            text = "This is no scenario-execution-server message. Compare docs/reference/protocol.md."
            self._hosting.send(listener, route, [_refusal(bytes(16), RefusalCode.PROTOCOL, text)])

    def _take_next(self, route: bytes, peer: Any, data: memoryview) -> bool:
        """Hand a message to its session's worker, if all is as it mostly is: a session that goes on where it was, and
        nothing to be sent because of it. If not, nothing has changed."""
        found = read_data(data)
        if found is None:
            return False
        name, seq, ack = found
        session = self._hosting.sessions.find(peer.identity, name)
        if session is None or session.route != route or not isinstance(session.dialect, NumberedDialect):
            return False
        if not session.dialect.take_next(seq, ack, len(data) - HEADER_BYTES, time.monotonic()):
            return False
        self._hosting.tell(session, Origin.CLIENT, data[HEADER_BYTES:])
        return True

    def _receive_frame(self, listener: Any, route: bytes, peer: Any, data: memoryview) -> None:
        session_id = NO_SESSION
        try:
            frame = decode_frame(data)
            session_id = frame.session
            session = self._hosting.sessions.find(peer.identity, session_id)
            if session is None:
                self._open_or_refuse(listener, route, peer, frame)
            elif isinstance(session.dialect, NumberedDialect):
                self._continue(session, listener, route, frame)
        except (FrameError, wire.WireError) as error:
            self._complain(peer, f"sent a bad frame: {error}")
            if isinstance(error, FrameError) and error.session != NO_SESSION:
                session_id = error.session
            code = RefusalCode.VERSION if isinstance(error, FrameVersionError) else RefusalCode.PROTOCOL
            # a good frame of another version, or with a message that has another form here
            advice = f" {MEND}" if isinstance(error, (FrameVersionError, wire.WireError)) else ""
            self._hosting.send(listener, route, [_refusal(session_id, code, f"Bad frame: {error}.{advice}")])

    def _open_or_refuse(self, listener: Any, route: bytes, peer: Any, frame: Frame) -> None:
        if frame.kind is not Kind.HELLO or self._hosting.sessions.has_ended(peer.identity, frame.session):
            if frame.kind is not Kind.BYE:
                text = "The server has no such session (any more); it was ended, or the server was restarted."
                self._hosting.send(listener, route, [_refusal(frame.session, RefusalCode.UNKNOWN_SESSION, text)])
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
            self._hosting.send(listener, route, [_refusal(frame.session, RefusalCode.VERSION, why)])
            return
        session = self._open(listener, route, peer, (peer.identity, frame.session), dialect, hello.program)
        if isinstance(session, messages.Refused):
            self._hosting.send(listener, route, [_refusal(frame.session, RefusalCode(session.code), session.text)])
        else:
            self._continue(session, listener, route, frame)
            self._note_told(peer)

    def _continue(self, session: FrontSession, listener: Any, route: bytes, frame: Frame) -> None:
        if route != session.route:
            if frame.kind not in (Kind.RESUME, Kind.HELLO):
                return  # an old connection's leftovers; the session lives on its new one
            session.route, session.door = route, listener
        received = session.dialect.receive(frame, time.monotonic())
        for body in received.bodies:
            self._hosting.tell(session, Origin.CLIENT, body)
        if not received.bodies:  # else it has been looked at already
            self._hosting.watch_worker(session)  # what the client has confirmed may let its worker go on
        for reply in session.dialect.take_replies():
            self._hosting.send(listener, route, [reply])
        if received.is_bye:
            self._hosting.end(session, "bye", "The client said good-bye.")

    def _receive_legacy(self, listener: Any, route: bytes, peer: Any, envelope: Parts, data: memoryview) -> None:
        # One session per connection: this protocol has no session id, and a connection is the one thing that two
        # clients of the same user on the same host cannot share. See docs/decisions/0005-version-1-clients.md.
        # A client chooses its routing id, and must not hit on a version 2 session of its own: that has 16 bytes.
        key = (peer.identity, b"version 1 client" + route)
        session = self._hosting.sessions.find(*key)
        dialect = LegacyDialect(time.monotonic()) if session is None else session.dialect
        if len(data) > _LEGACY_LIMIT_BYTES:
            data = memoryview(b"")
        bodies, replies = dialect.receive(envelope, data, time.monotonic())
        if session is None and bodies:  # a heartbeat, a reset of nothing and what is no request need no worker
            opened = self._open(listener, route, peer, key, dialect, "version 1 client")
            if isinstance(opened, messages.Refused):
                replies = dialect.farewell(opened.code, opened.text)
            else:
                session = opened
        if session is not None:
            for body in bodies:
                self._hosting.tell(session, Origin.CLIENT, body)
        for reply in replies:
            self._hosting.send(listener, route, reply)

    def _open(
        self, listener: Any, route: bytes, peer: Any, key: SessionKey, dialect: Any, program: str
    ) -> FrontSession | messages.Refused:
        """Start a session, or say why not."""
        hosting = self._hosting
        why_not = objection(peer, hosting.sessions, is_stopping=hosting.is_stopping, command=self._clients.command)
        opened = why_not or hosting.open(listener, route, peer, key, dialect, program)
        if isinstance(opened, messages.Refused):
            self._watch.session_refused(peer, opened.code, opened.text)
        return opened

    def _enrol(self, listener: Any, route: bytes, peer: Any, frame: Frame) -> None:
        enrol: messages.Enrol = wire.decode_one(frame.body, messages.Enrol)
        try:
            name = self._clients.enrol(peer, enrol.key)
        except RefusedError as refusal:
            self._complain(peer, f"could not enrol: {refusal.text}")
            self._hosting.send(listener, route, [_refusal(frame.session, refusal.code, refusal.text)])
            return
        body = wire.encode(messages.Enrolled(name=name, next_key=self._next_key_for(peer)))
        self._hosting.send(listener, route, [Frame(kind=Kind.WELCOME, session=frame.session, body=body).encode()])
        self._note_told(peer)

    def _inspect(self, listener: Any, route: bytes, peer: Any, frame: Frame) -> None:
        """Say how the server is, to a client that may know about others."""
        if peer.key is None or peer.is_invited or peer.is_retired or not peer.permissions.admin:
            mend = self._clients.command(f"se-server permit {peer.name} --admin") if peer.key else "se-server status"
            text = f"{peer.name} may not ask about the sessions of others. The server's operator runs: {mend}"
            self._watch.session_refused(peer, RefusalCode.NOT_AUTHORISED.value, text)
            self._hosting.send(listener, route, [_refusal(frame.session, RefusalCode.NOT_AUTHORISED, text)])
            return
        body = wire.encode(messages.Inspected(status=json.dumps(self._watch.status())))
        self._hosting.send(listener, route, [Frame(kind=Kind.WELCOME, session=frame.session, body=body).encode()])

    def _next_key_for(self, peer: Any) -> messages.NextKey | None:
        """What a peer is to be told of the server's next key: who came in without a key of its own needs none."""
        return None if peer.key is None else self._next_key

    def _note_told(self, peer: Any) -> None:
        """It has been: only who is let in is told."""
        if self._next_key_for(peer) is not None:
            self._watch.next_key_told(peer)

    def announce_key(self) -> None:
        """Tell the clients of running sessions when another key is announced than they were told."""
        if self._doors.next_key == self._next_key:
            return
        self._next_key = self._doors.next_key
        for session in self._hosting.sessions:
            if session.peer.key is not None:
                notice = messages.Notice(next_key=self._next_key_for(session.peer))
                for parts in session.dialect.note(notice):
                    self._hosting.send(session.door, session.route, parts)
                self._note_told(session.peer)

    def _turn_away(self, listener: Any, route: bytes, parts: list[zmq.Frame], refusal: RefusedError) -> None:
        """Answer a peer who was admitted once and is not any more; who never was does not come this far."""
        if _is_request(parts):
            error = wire.encode_map({"status": "error", "message": str(refusal)})
            self._hosting.send(listener, route, [*(part.bytes for part in parts[:-1]), error])
            return
        try:
            session_id = decode_frame(parts[0].buffer).session
        except FrameError:
            session_id = NO_SESSION
        self._hosting.send(listener, route, [_refusal(session_id, RefusalCode.NOT_AUTHORISED, str(refusal))])

    def _complain(self, peer: Any, what: str) -> None:
        self._watch.session_refused(peer, RefusalCode.PROTOCOL.value, what)
        unsaid = self._complaints.hear(peer.identity, time.monotonic())
        if unsaid is not None:
            self._log.warning("bad input client=%s from=%s what=%r unsaid=%d", peer.name, peer.address, what, unsaid)


def _is_request(parts: list[zmq.Frame]) -> bool:
    """Whether this may be a request of version 1: an envelope with an empty part in it, and the request."""
    envelope = [len(part) for part in parts[:-1]]
    return len(parts) <= _MOST_PARTS and 0 in envelope and sum(envelope) <= _ENVELOPE_LIMIT_BYTES


def _refusal(session: bytes, code: RefusalCode, text: str) -> bytes:
    body = wire.encode(messages.Refused(code=code.value, text=text))
    return Frame(kind=Kind.REFUSED, session=session, body=body).encode()
