# SPDX-License-Identifier: Apache-2.0
"""Looks after the results that were not home when their session was over: finds them, counts them, removes them.

In a thread of its own, as a folder may be large and a disk slow; the front picks up what there is to tell.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_server.retention import Results, Retention
from scenario_execution_server.storage import Storage, size_of
from scenario_execution_server.worker.folder import remove_folder
from scenario_execution_server.worker.keeping import ended_s, read_about

_LOOK_EVERY_S = 30.0  # nothing of it is urgent but what a session has just left, of which the front tells
_LAST_LOOK_S = 10.0  # for a large folder to be removed; a disk that hangs keeps no server from ending


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something about kept results: they were ``found`` or ``removed``, or there is ``trouble``.

    Attributes:
        what: Which of these.
        kept: The results; None for trouble of another kind.
        why: Why they were removed: ``expired``, ``stored`` (the client may not leave more) or ``limit``; or what the
            trouble is.
        until_s: How long those that were found are kept, in seconds since 1970.
    """

    what: str
    kept: Results | None
    why: str = ""
    until_s: float = 0.0


class Keeper:
    """Everything but the constructor's thread belongs to the front.

    Args:
        storage: Where results are.
        retention: How long they stay, and how much of them.
        clock: Seconds since 1970.
    """

    def __init__(self, storage: Storage, retention: Retention, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._retention = retention
        self._clock = clock
        self._stored_bytes: dict[str, int] = {}
        self._kept: dict[Path, Results] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_closed = False
        self._news: collections.deque[News] = collections.deque()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def allow(self, owner: str, stored_bytes: int | None) -> None:
        """From now on, so much may lie on the server for an owner; None for any amount.

        The front's word, and not one that lies beside the results, where an action could have written it. Before an
        owner's first session it has added nothing.
        """
        if stored_bytes is None:
            self._stored_bytes.pop(owner, None)
        else:
            self._stored_bytes[owner] = stored_bytes

    def look(self) -> None:
        """A session is over: look now."""
        self._wake.set()

    def kept(self) -> list[tuple[Results, float]]:
        """What is kept, oldest first, and until when, in seconds since 1970."""
        with self._lock:
            found = sorted(self._kept.values(), key=lambda kept: kept.since_s)
        return [(kept, self._retention.until_s(kept, self._clock())) for kept in found]

    def news(self) -> list[News]:
        """What has happened since the last call."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def close(self) -> None:
        """Look once more, and stop."""
        self._is_closed = True
        self._wake.set()
        self._thread.join(_LAST_LOOK_S)

    # -- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.clear()
            is_last = self._is_closed  # after that: who closes wakes us behind it
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the thread's only way to say so, and the next look may succeed
                self._complain(str(error) or type(error).__name__)
            if is_last:
                return
            self._wake.wait(_LOOK_EVERY_S)

    def _look(self) -> None:
        for problem in self._storage.rescue():
            self._complain(problem)
        paths, now_s = set(self._storage.results()), self._clock()
        found = {path: kept for path in paths if (kept := self._kept.get(path) or _described(path, now_s)) is not None}
        for path in found.keys() - self._kept.keys():
            until_s = self._retention.until_s(found[path], now_s)
            self._news.append(News(what="found", kept=found[path], until_s=until_s))
        for kept, why in self._retention.to_remove(found.values(), now_s, self._stored_bytes):
            problem = remove_folder(kept.path)
            if problem:
                self._complain(problem)
                continue
            del found[kept.path]
            self._news.append(News(what="removed", kept=kept, why=why))
        with self._lock:
            self._kept = found

    def _complain(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            self._news.append(News(what="trouble", kept=None, why=problem))


def _described(path: Path, now_s: float) -> Results | None:
    """The results in *path*, found now; None if they are gone. An action may have written what is said about them."""
    about = read_about(path) or {}
    client, session = (text if isinstance(text := about.get(key), str) else "" for key in ("client", "session"))
    try:
        since_s = min(ended_s(path, about), now_s)
    except OSError:  # another server has removed them
        return None
    return Results(path=path, client=client[:100], session=session[:8], since_s=since_s, size_bytes=size_of(path))
