# SPDX-License-Identifier: Apache-2.0
"""The sessions and their workers, from the start of one to its last word; no action runs here, and none is waited for.

Bodies pass through unread. What can be slow happens elsewhere: actions in workers, ending them in their shepherds.
"""

from __future__ import annotations

import logging
import math
import secrets
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import zmq

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import BODY_LIMIT_BYTES, SESSION_ID_BYTES
from scenario_execution_remote.protocol.messages import RefusalCode
from scenario_execution_server.config import ServerSettings
from scenario_execution_server.errors import NotEnrolledError, RefusedError
from scenario_execution_server.launcher import Exit, ExitReason, Handle, Launcher
from scenario_execution_server.legacy import LegacyDialect
from scenario_execution_server.sessions import Parts, Session, SessionKey, SessionTable
from scenario_execution_server.watch import Watch
from scenario_execution_server.worker.channel import ChannelError, FrontChannel
from scenario_execution_server.worker.origin import Origin

_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_NOBLOCK = int(zmq.NOBLOCK)  # plain numbers: an enum's arithmetic costs more than the call
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_TURN_S = 0.02  # for one worker: what it says may be slow to pass on, and must not become anybody's wait
_REVOKED_GRACE_S = 0.3  # of the second in which a revocation counts, so much is left to the client's actions
_WORKER_FRAME_BYTES = BODY_LIMIT_BYTES + 1  # either way: a body as clients take it, and its mark on the way to a worker
_WAITING_FOR_WORKER_BYTES = 4 * _WORKER_FRAME_BYTES  # while it is busy, which holds up no client: this is memory
_TAIL_CHARACTERS = 2000  # of a lost worker's last output, in the sentence about its end
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
        self.bodies: deque[bytes | memoryview] = deque()  # read from the channel and not dealt with yet


FrontSession = Session[FrontWorker]


class FrontFiles(Protocol):
    """What the front needs of ``custody``."""

    def terms_for(self, session: Any) -> messages.FileTerms: ...
    def session_ended(self) -> None: ...
    def tick(self) -> None: ...


def _is_gone(ended: Exit) -> str:
    """What to tell the client of a worker that has ended although nobody had asked it to."""
    text = f"The process that ran the actions is gone: {ended.detail}."
    if ended.output:
        text += f" Its last words: {ended.output.decode(errors='replace')[-_TAIL_CHARACTERS:].strip()}"
    return f"{text} For more, see session {ended.session} in the server's log."


def _never_was(ended: Exit) -> str:
    """What to tell the client of a session for which there was no worker."""
    return (
        f"The server could not start a process for this session, and no action has run: {ended.detail}. Try again; if "
        f"that does not help, ask its operator to look for session {ended.session} in the server's log."
    )


class Hosting:
    """The sessions of one server.

    Args:
        settings: What the user wants.
        permit: Says what a peer may run now, or raises RefusedError.
        launcher: Where workers come from.
        poller: Tells of what workers and launcher say; what is polled for is seen to here.
        log: One line per event.
        watch: Is told what happens.
        files: Where clients' files are; None if none are kept.

    Attributes:
        sessions: All of them.
        behind: Those whose workers have said more than could be dealt with in one turn, by descriptor.
        had_any: Whether there was a session that was more than a look.
        is_stopping: Whether the server is about to stop, and takes no more.
        has_news: Whether a session may have begun or ended, so that :meth:`hear_of_ends` is due and then
            :meth:`watch_launcher`.
    """

    def __init__(
        self,
        settings: ServerSettings,
        permit: Callable[[Any], messages.Permit],
        launcher: Launcher,
        poller: select.epoll,
        log: logging.Logger,
        watch: Watch,
        files: FrontFiles | None,
    ) -> None:
        self.sessions: SessionTable[FrontWorker] = SessionTable(limit=settings.max_sessions)
        self.behind: dict[int, FrontSession] = {}
        self.had_any = False
        self.is_stopping = False
        self._is_hurried = False
        self._settings = settings
        self._permit = permit
        self._launcher = launcher
        self._poller = poller
        self._log = log
        self._watch = watch
        self._files = files
        self._workers: dict[int, FrontSession] = {}  # by the descriptor that is polled
        self._launcher_fds: set[int] = set()
        self.has_news = True

    # -- sessions ----------------------------------------------------------------------------------

    def open(
        self, listener: Any, route: bytes, peer: Any, key: SessionKey, dialect: Any, program: str
    ) -> FrontSession | messages.Refused:
        """Start a session to which nothing is to be objected, or say why that cannot be."""
        name = key[1].hex()
        # Two clients chose, or one copied, the same id: both are served. Version 1 clients have ids of any length.
        if len(key[1]) != SESSION_ID_BYTES or self.sessions.named(name) is not None:
            name = secrets.token_hex(SESSION_ID_BYTES)
        try:
            handle = self._launcher.start(name)
            self.has_news = True
        except Exception as error:  # noqa: BLE001 - a launcher may be a plug-in; its fault must not end the others
            self._log.error("cannot start a worker session=%s client=%s why=%r", name, peer.name, str(error))
            text = f"The server could not start a worker: {error}"
            return messages.Refused(code=RefusalCode.LIMIT.value, text=text)
        session: FrontSession = Session(
            key=key, peer=peer, route=route, door=listener, dialect=dialect, worker=FrontWorker(handle),
            started_s=time.monotonic(), alias=name,
        )  # fmt: skip
        self.sessions.add(session)
        self.renew_permit(session)  # the worker's first message, before anything of its client
        if self._files is not None:
            self.tell(session, Origin.FRONT, wire.encode(self._files.terms_for(session)))
        self.had_any = self.had_any or not program.startswith(VISITOR)
        self._watch.session_opened(session, program)
        self._log.info(
            "session opened session=%s client=%s from=%s program=%r", name, peer.name, peer.address, program[:80]
        )
        if listener.exposed:
            self._log.warning("session=%s is not encrypted and anybody may open one (--insecure)", name)
        return session

    def end(self, session: FrontSession, reason: str, text: str, grace_s: float | None = None) -> None:
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
        self.tell(session, Origin.FRONT, wire.encode(messages.EndSession(reason=reason)))
        allowed_s = float(self._settings.shutdown_timeout_s)
        session.grace_s = 0.0 if self._is_hurried else min(allowed_s, allowed_s if grace_s is None else grace_s)
        self._stop_worker(session, session.grace_s)

    def stop(self, *, is_hurried: bool = False) -> None:
        """Take no more sessions and end those there are, without grace if *is_hurried*."""
        self.is_stopping = self.has_news = True
        self._is_hurried = is_hurried
        for session in self.sessions:
            self.end(session, "stopped", "The server is stopping. Run the scenario again when it is back.")
            if is_hurried:
                self._stop_worker(session, 0.0)

    def end_the_silent(self, now_s: float) -> None:
        """End the sessions of clients that have not been heard for too long."""
        limit_s = self._settings.watchdog_s
        for session in self.sessions.silent(now_s, limit_s):
            self.end(session, "silent", f"The client was silent for {limit_s:g} s.")

    def renew_permit(self, session: FrontSession) -> None:
        """Tell the worker what its client may run, if that has changed; end the session of one who may not go on."""
        try:
            permit = self._permit(session.peer)
        except RefusedError as refusal:
            # Who was revoked is gone within a second, whatever its actions think of that. Whose time is over, or who
            # may come from elsewhere only, was trusted to run them and may stop them in order.
            grace_s = _REVOKED_GRACE_S if isinstance(refusal, NotEnrolledError) else None
            self.end(session, "revoked", f"The session was ended: {refusal.text}.", grace_s)
            return
        if permit != session.permit:
            session.permit = permit
            self.tell(session, Origin.FRONT, wire.encode(permit))

    # -- workers -----------------------------------------------------------------------------------

    def serve(self, fd: int, events: int) -> bool:
        """Deal with what has happened at a descriptor; returns whether it is a worker's."""
        session = self._workers.get(fd)
        if session is None:
            return False
        channel = session.worker.channel
        if events & _WRITE:
            channel.on_writable()
        if events & ~_WRITE:
            self.take(session)
        if events & _WRITE or session.dialect.is_full or channel.closed or session.worker.watched != _READ:
            self.watch_worker(session)  # rarely: mostly it is listened to, as before
        return True

    def catch_up(self) -> None:
        """Give those who are behind their next turn."""
        for session in list(self.behind.values()):
            self.take(session)
            self.watch_worker(session)

    def expect_ends(self) -> None:
        """The launcher may have something to tell."""
        self.has_news = True

    def hear_of_ends(self) -> None:
        """Deal with workers that have ended."""
        for ended in self._launcher.exits():
            self._worker_ended(ended)

    def _worker_ended(self, ended: Exit) -> None:
        session = self.sessions.named(ended.session)
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
            text = _never_was(ended) if ended.reason is ExitReason.START_FAILED else _is_gone(ended)
        for parts in session.dialect.farewell(reason, text, ended.is_home):
            self.send(session.door, session.route, parts)
        self._unwatch_worker(session)
        session.worker.channel.close()
        self.sessions.remove(session)
        self._watch.session_ended(session, reason)
        if self._files is not None:
            self._files.session_ended()
        hurried = ended.reason is ExitReason.KILLED and session.ending is not None and self._is_hurried
        detail = "killed at once, as the second signal asks" if hurried else ended.detail
        self._log.info(
            "session ended session=%s reason=%s exit=%s client=%s seconds=%.1f detail=%r",
            session.name, reason, ended.reason.value, session.peer.name,
            time.monotonic() - session.started_s, detail,
        )  # fmt: skip

    def take(self, session: FrontSession, turn_s: float = _TURN_S) -> bool:
        """Deal with what a worker has said, for so long at most. Returns whether there was anything."""
        worker = session.worker
        if not worker.bodies:
            try:
                bodies = worker.channel.on_readable()
                if len(bodies) == 1:  # as mostly
                    self._deliver(session, bodies[0])
                    return True
                worker.bodies.extend(bodies)
            except ChannelError as error:
                self._log.error("worker misbehaves session=%s why=%r", session.name, str(error))
                session.ending = session.ending or ("worker-lost", f"Its worker misbehaved: {error}.")
                self._stop_worker(session, 0.0)
        until_s = time.monotonic() + turn_s
        had_any = bool(worker.bodies)
        while worker.bodies:
            self._deliver(session, worker.bodies.popleft())
            if time.monotonic() >= until_s:
                break
        if worker.bodies:
            self.behind[worker.fd] = session
        else:
            self.behind.pop(worker.fd, None)
        return had_any

    def _drain(self, session: FrontSession) -> None:
        while self.take(session, math.inf):
            pass

    def _deliver(self, session: FrontSession, body: bytes | memoryview) -> None:
        if bytes(body[:2]) in _FOR_FRONT:
            self._hear(session, body)
            return
        if isinstance(session.dialect, LegacyDialect):
            for answer in session.dialect.answers(body):
                self.tell(session, Origin.CLIENT, answer)
        for parts in session.dialect.deliver(body):
            self.send(session.door, session.route, parts)

    def _hear(self, session: FrontSession, body: bytes | memoryview) -> None:
        """Take what a worker says to the front alone."""
        try:
            told = wire.decode(body, wire.FOR_FRONT, plain=True)
        except wire.WireError as error:
            self._log.error("worker misbehaves session=%s why=%r", session.name, str(error))
            return
        for message in told:
            self._watch.told_by_worker(session, message)

    def tell(self, session: FrontSession, origin: Origin, body: bytes | memoryview) -> None:
        try:
            if session.worker.channel.send(origin, body) and session.worker.watched == _READ:
                return  # as mostly: it listens, and is listened to
        except ChannelError as error:
            self._log.error("worker does not listen session=%s why=%r", session.name, str(error))
            session.ending = session.ending or ("limit", f"The worker was sent more than it took: {error}.")
            self._stop_worker(session, 0.0)
        self.watch_worker(session)

    def _stop_worker(self, session: FrontSession, grace_s: float) -> None:
        self._launcher.stop(session.worker.handle, grace_s)
        self.has_news = True

    # -- what is polled for ------------------------------------------------------------------------

    def watch_launcher(self) -> None:
        """Poll the launcher's descriptors, which change only when something is asked of it."""
        self.has_news = False
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

    def watch_worker(self, session: FrontSession) -> None:
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

    def send(self, listener: Any, route: bytes, parts: Parts) -> None:
        """Hand a message to ZeroMQ. One that it drops is missed by the client, who then asks again (RESUME)."""
        try:
            listener.socket.send(route, _MORE)
            for part in parts[:-1]:
                listener.socket.send(part, _MORE)
            listener.socket.send(parts[-1], _NOBLOCK)
        except zmq.ZMQError as error:
            self._log.debug("message dropped route=%s why=%s", route.hex(), error)
