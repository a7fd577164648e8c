# SPDX-License-Identifier: Apache-2.0
"""The process everybody talks to: one loop that gives doors, workers and the server's own chores their turns.

It never runs an action and never waits for one.
"""

from __future__ import annotations

import logging
import select
import time

import zmq

from scenario_execution_server.config import ServerSettings
from scenario_execution_server.hosting import FrontFiles, Hosting
from scenario_execution_server.launcher import Launcher
from scenario_execution_server.reception import Doors, Reception
from scenario_execution_server.signals import raised
from scenario_execution_server.watch import Watch

_CHORES_EVERY_S = 0.25  # silence is judged to a quarter of a second; enrolled and revoked keys count within a second


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
        self._signals_fd = signals_fd
        self._log = log
        self._watch = watch or Watch()
        self._files = files
        self._poller = select.epoll()  # whose price does not grow with the sessions, as that of zmq.Poller does
        self._hosting = Hosting(settings, doors.clients.permit, launcher, self._poller, log, self._watch, files)
        self._watch.look_at(self._hosting.sessions)
        self._reception = Reception(settings, doors, self._hosting, log, self._watch)
        self._started_s = time.monotonic()
        self._next_chores_s = 0.0

    def run(self) -> int:
        """Serve until told to stop. Returns the exit code.

        Raises:
            AuthenticatorDeadError: nobody can be authenticated any more; every session has been told to end.
        """
        hosting = self._hosting
        doors = frozenset(listener.socket.getsockopt(zmq.FD) for listener in self._doors.listeners)
        watched = self._watch.fileno()
        for fd in (*doors, self._signals_fd, *(() if watched is None else (watched,))):
            self._poller.register(fd, select.EPOLLIN)
        while True:
            is_behind = self._reception.serve() or bool(hosting.behind)
            if hosting.has_news:
                hosting.hear_of_ends()
                if self._is_done():
                    return 0
                hosting.watch_launcher()  # whose descriptors are other ones when a session has begun or ended
            wait_s = 0.0 if is_behind else max(0.0, self._next_chores_s - time.monotonic())
            for fd, events in self._poller.poll(wait_s):
                # A door's only says that something has changed, and once: doors are asked themselves, in each turn.
                if hosting.serve(fd, events) or fd in doors:
                    continue
                if fd == self._signals_fd:
                    self._signalled()
                elif fd == watched:
                    self._watch.serve()
                else:
                    hosting.expect_ends()
            if hosting.behind:
                hosting.catch_up()
            now_s = time.monotonic()
            if now_s >= self._next_chores_s:
                self._next_chores_s = now_s + _CHORES_EVERY_S
                self._do_chores(now_s)

    def _do_chores(self, now_s: float) -> None:
        hosting = self._hosting
        self._watch.tick()
        hosting.expect_ends()  # the launcher looks after sessions that do not end as they should
        if self._files is not None:
            self._files.tick()
        self._doors.refresh()
        self._reception.announce_key()
        for session in hosting.sessions:
            hosting.renew_permit(session)
        hosting.end_the_silent(now_s)
        limit_s = self._settings.connect_timeout_s
        if limit_s and not hosting.had_any and now_s - self._started_s >= limit_s:
            self._log.info("nobody came within %g s, as --connect-timeout asks", limit_s)
            hosting.stop()
        self._doors.check()  # last, as it wakes the authenticator, and both would take the interpreter from each other

    def _signalled(self) -> None:
        count = raised(self._signals_fd)
        is_hurried = self._hosting.is_stopping or count > 1
        if is_hurried:
            what = "stopping at once, what still runs is killed"
        else:
            what = "stopping, the actions are asked to end; a second Ctrl-C or SIGTERM kills what still runs"
        self._log.info("%s sessions=%d", what, len(self._hosting.sessions))
        self._hosting.stop(is_hurried=is_hurried)

    def _is_done(self) -> bool:
        hosting = self._hosting
        is_over = hosting.is_stopping or (self._settings.once and hosting.had_any)
        return is_over and len(hosting.sessions) == 0
