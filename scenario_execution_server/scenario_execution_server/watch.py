# SPDX-License-Identifier: Apache-2.0
"""What front and doors tell about themselves: to the audit log, and to whoever asks over the control socket.

It watches and decides nothing; without a log and a socket it is a watch that nobody reads.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from scenario_execution_keys.errors import KeyTextError
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_remote.protocol import messages
from scenario_execution_server.audit_file import AuditFile
from scenario_execution_server.control import ControlSocket
from scenario_execution_server.ledger import NOBODY, Happening, Ledger, Who

_SEEN_CLIENTS = 10_000  # names are the operator's, so this is only a bound
_CHANGES = {
    "enrolled": Happening.ENROLLED,
    "revoked": Happening.REVOKED,
    "next_key": Happening.NEXT_KEY,
    "new_key": Happening.KEY_CHANGED,
    "permitted": Happening.PERMITTED,
}
_DEEDS = {
    "set-up": Happening.ACTION_SET_UP,
    "refused": Happening.ACTION_REFUSED,
    "failed": Happening.ACTION_FAILED,
    "cancelled": Happening.ACTION_CANCELLED,
}


def utc_now() -> str:
    """The time as entries have it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Watch:
    """One server's. All methods belong to the front's thread.

    Args:
        facts: What does not change while the server runs, for its status.
        file: Where entries go; None for nowhere.
    """

    def __init__(self, facts: Mapping[str, Any] | None = None, file: AuditFile | None = None) -> None:
        self.facts: dict[str, Any] = dict(facts or {})
        self.control: ControlSocket | None = None
        self.kept_results: Callable[[], list[dict[str, Any]]] = list
        self._file = file
        self._ledger = Ledger()
        self._sessions: Iterable[Any] = ()
        self._programs: dict[str, str] = {}
        self._pids: dict[str, int] = {}
        self._seen: dict[str, dict[str, Any]] = {}
        self._told: set[str] = set()  # names of those who know the next server key; enrolled clients, so bounded
        self._since_s = time.monotonic()
        self._started = utc_now()

    # -- from the front ------------------------------------------------------------------------------------------------

    def look_at(self, sessions: Iterable[Any]) -> None:
        """These are the sessions, now and later."""
        self._sessions = sessions

    def fileno(self) -> int | None:
        """Readable when :meth:`serve` has something to do; None if it never will."""
        return None if self.control is None else self.control.fileno()

    def serve(self) -> None:
        """Answer whoever asks."""
        if self.control is not None:
            self.control.serve()

    def tick(self) -> None:
        """Called now and then."""
        if self.control is not None:
            self.control.tick()
        for entry in self._ledger.report(utc_now(), time.monotonic()):
            self._put(entry)

    def session_opened(self, session: Any, program: str) -> None:
        """A session has begun."""
        self._programs[session.name] = program
        self._saw(session.peer)
        self._note(Happening.SESSION_OPENED, who_is(session.peer), session=session.name, program=program)

    def session_ended(self, session: Any, reason: str) -> None:
        """A session is over and nothing of it runs any more."""
        self._programs.pop(session.name, None)
        self._pids.pop(session.name, None)
        self._saw(session.peer)
        seconds = round(time.monotonic() - session.started_s, 3)
        self._note(Happening.SESSION_ENDED, who_is(session.peer), session=session.name, reason=reason, seconds=seconds)

    def session_refused(self, peer: Any, reason: str, text: str) -> None:
        """A peer that is known was refused something."""
        self._note(Happening.REFUSED, who_is(peer), reason=reason, why=text)

    def turned_away(self, reason: str, text: str) -> None:
        """A message of a peer that may not speak to the server, or not any more, was refused."""
        self._note(Happening.REFUSED, NOBODY, reason=reason, why=text)

    def told_by_worker(self, session: Any, told: messages.Started | messages.Deed) -> None:
        """What a session's worker says to the server alone."""
        if isinstance(told, messages.Started):
            self._pids[session.name] = told.pid
        elif told.what in _DEEDS:
            self._note(_DEEDS[told.what], who_is(session.peer), session=session.name, action=told.action)

    # -- from the doors ------------------------------------------------------------------------------------------------

    def admitted(self, peer: Any) -> None:
        """A peer has come in."""
        self._saw(peer)
        entry = self._ledger.admit(who_is(peer), utc_now(), time.monotonic())
        if entry is not None:
            self._put(entry)

    def handshake_refused(self, key: str | None, address: str, why: str) -> None:
        """Somebody was refused at the door."""
        if key is None:
            reason = "no-key"
        elif why:
            reason = "not-permitted"
        else:
            reason, why = "not-enrolled", "the key is not enrolled"
        who = Who(fingerprint=_fingerprint(key), address=address)
        self._note(Happening.REFUSED, who, reason=reason, why=why)

    def refusals_uncounted(self, times: int) -> None:
        """More were refused at the door than anybody could remember."""
        if times:
            self._ledger.count("too-many-to-tell", times)

    def results_kept(self, client: str, path: str) -> None:
        """Results were not home when their session was over, and are kept."""
        self._note(Happening.RESULTS_KEPT, Who(client=client), path=path)

    def results_removed(self, client: str, path: str, reason: str) -> None:
        """Kept results were removed."""
        self._note(Happening.RESULTS_REMOVED, Who(client=client), path=path, reason=reason)

    def keys_changed(self, changes: Mapping[str, Iterable[tuple[str, str]]]) -> None:
        """The list of enrolled clients has changed: by kind, their names and fingerprints."""
        for kind, clients in changes.items():
            for name, fingerprint in clients:
                self._note(_CHANGES[kind], Who(client=name, fingerprint=fingerprint))

    def next_key(self, fingerprint: str | None, counts_from: str | None) -> None:
        """Another key is announced as the server's next one; None: none any more."""
        self._told.clear()
        happening = Happening.SERVER_KEY_KEPT if fingerprint is None else Happening.SERVER_KEY_ANNOUNCED
        self.facts |= {"next_server_key": fingerprint, "next_server_key_from": counts_from}
        self._note(happening, Who(fingerprint=fingerprint), counts_from=counts_from)

    def next_key_told(self, peer: Any) -> None:
        """This client was told of it."""
        self._told.add(peer.name)

    def server_key_changed(self, fingerprint: str) -> None:
        """The next key is the server's now."""
        self._told.clear()
        self.facts |= {"server_key": fingerprint, "next_server_key": None, "next_server_key_from": None}
        self._note(Happening.SERVER_KEY_CHANGED, Who(fingerprint=fingerprint))

    def is_in_use(self, identity: str) -> bool:
        """Whether a peer that came in like this has a session."""
        return any(session.peer.identity == identity for session in self._sessions)

    # -- from the command line -----------------------------------------------------------------------------------------

    def started(self) -> None:
        """The server listens."""
        self._note(Happening.SERVER_STARTED, NOBODY, version=self.facts.get("version"))

    def close(self) -> None:
        """The server has ended."""
        for entry in self._ledger.report(utc_now(), time.monotonic(), at_once=True):
            self._put(entry)
        self._note(Happening.SERVER_STOPPED, NOBODY)
        if self.control is not None:
            self.control.close()
        if self._file is not None:
            self._file.close()

    def answer(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer to a question over the control socket."""
        if question.get("ask") == "status":
            return self.status()
        return {"error": 'the questions are: {"ask": "status"}'}

    def status(self) -> dict[str, Any]:
        """How the server is. Keys are stable; more may come."""
        now_s = time.monotonic()
        sessions = [self._session(session, now_s) for session in self._sessions]
        return {
            **self.facts,
            "pid": os.getpid(),
            "started": self._started,
            "uptime_s": round(now_s - self._since_s, 1),
            "next_server_key_told": sorted(self._told),
            "authenticator": "alive",  # its death ends the server within a second, so that nobody could be told of it
            "sessions": sessions,
            "clients": self._clients(sessions),
            "refusals": dict(self._ledger.refusals),
            "folders_kept": self.kept_results(),
            "audit": self._audit(),
        }

    def _session(self, session: Any, now_s: float) -> dict[str, Any]:
        who = who_is(session.peer)
        is_ready = session.name in self._pids
        state = f"ending ({session.ending[0]})" if session.ending else "running" if is_ready else "starting"
        return {
            "session": session.name,
            "client": who.client,
            "fingerprint": who.fingerprint,
            "address": who.address,
            "program": self._programs.get(session.name, "")[:100],
            "age_s": round(now_s - session.started_s, 1),
            "state": state,
            "worker_pid": self._pids.get(session.name),
            "folder": str(session.worker.handle.folder),
        }

    def _clients(self, sessions: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """What `se-server clients` wants to know, by name."""
        found = {name: {**seen, "sessions": 0} for name, seen in self._seen.items()}
        for session in sessions:
            about = found.setdefault(session["client"], {"address": session["address"], "sessions": 0})
            about["last_seen"] = utc_now()[:19] + "Z"
            about["sessions"] += 1
        return found

    def _audit(self) -> dict[str, Any]:
        if self._file is None:
            return {"path": None, "trouble": None, "lost": 0}
        return {"path": str(self._file.path), "trouble": self._file.trouble or None, "lost": self._file.lost_count}

    def _saw(self, peer: Any) -> None:
        if peer.key is not None and (peer.name in self._seen or len(self._seen) < _SEEN_CLIENTS):
            self._seen[peer.name] = {"last_seen": utc_now()[:19] + "Z", "address": peer.address}

    def _note(self, happening: Happening, who: Who, **details: object) -> None:
        entry = self._ledger.enter(happening, who, utc_now(), time.monotonic(), **details)
        if entry is not None:
            self._put(entry)

    def _put(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry | {"server": os.getpid()}))


def who_is(peer: Any) -> Who:
    """The same for entries."""
    return Who(client=peer.name, fingerprint=_fingerprint(peer.key), address=peer.address)


@functools.lru_cache(maxsize=1000)  # asked for with each entry, and a client can make thousands a second
def _fingerprint(z85: str | None) -> str | None:
    if z85 is None:
        return None
    try:
        return PublicKey(z85).fingerprint
    except KeyTextError:
        return None
