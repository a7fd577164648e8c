# SPDX-License-Identifier: Apache-2.0
"""The front's side of clients' files: tells workers where they are, and log and watch what became of kept results."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from scenario_execution_keys.limits import FileLimits
from scenario_execution_remote.files.figures import moment
from scenario_execution_remote.protocol.messages import FileTerms
from scenario_execution_server.journal import event
from scenario_execution_server.keeper import Keeper, News
from scenario_execution_server.storage import Storage
from scenario_execution_server.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLimits:
    """How much of what clients have sent is kept, of all together, and for how long what nobody uses."""

    limit_bytes: int
    age_s: float


class Custody:
    """One server's. All methods belong to the front's thread and do not wait.

    Args:
        storage: Where files are.
        keeper: Looks after kept results; None if none are kept.
        log: The server's log.
        watch: Is told as well.
        keep_s: How long results are kept, in seconds; 0 for not at all.
        defaults: What clients may carry whose keys say nothing about it.
        command: Completes a command line so that it works on this server's key store.
    """

    def __init__(
        self,
        storage: Storage,
        keeper: Keeper | None,
        log: logging.Logger,
        watch: Watch,
        keep_s: float,
        defaults: FileLimits,
        cache: CacheLimits,
        command: Callable[[str], str],
    ) -> None:
        self._storage = storage
        self._cache = cache
        self._keeper = keeper
        self._log = log
        self._watch = watch
        self._keep_s = keep_s
        self._defaults = defaults
        self._command = command
        watch.kept_results = self.kept_results

    def terms_for(self, session: Any) -> FileTerms:
        """What the session's worker has to know; the keeper as well."""
        peer = session.peer
        limits = peer.permissions.files.else_as(self._defaults)
        if self._keeper is not None:
            self._keeper.allow(peer.owner, limits.stored)
        if peer.key is None:
            mend, own = "start the server with --file-limits", self._defaults
            put_mend = ""
        else:
            permit = f"its operator may run: {self._command(f'se-server permit {peer.name}')}"
            mend, own = f"{permit} --files", peer.permissions.files
            put_mend = f"{permit} --no-observe (and --allow NAME, if it shall run that action alone)"
        return FileTerms(
            client=peer.name, session=session.name[:8], folder=str(self._storage.folder_of(peer.owner)),
            keep_s=self._keep_s, may_put=not peer.permissions.observe,
            total_bytes=limits.total, count=limits.count, rate_bytes_s=limits.rate, stored_bytes=limits.stored,
            mend=mend, own_limits=own.text, put_mend=put_mend,
            cache_limit_bytes=self._cache.limit_bytes, cache_age_s=self._cache.age_s,
        )  # fmt: skip

    def session_ended(self) -> None:
        """A session is over, and may have left results."""
        if self._keeper is not None:
            self._keeper.look()

    def tick(self) -> None:
        """Called now and then: tell what has happened."""
        for news in self._keeper.news() if self._keeper is not None else ():
            self._tell(news)

    def close(self) -> None:
        """Sessions are over: look for what they left, and tell."""
        if self._keeper is not None:
            self._keeper.close()
        self.tick()

    def kept_results(self) -> list[dict[str, Any]]:
        """What is kept, for the server's status."""
        if self._keeper is None:
            return []
        now_s = datetime.now(timezone.utc).timestamp()
        return [
            {
                "path": str(kept.path), "client": kept.client, "session": kept.session,
                "age_s": round(max(0.0, now_s - kept.since_s), 1), "size_bytes": kept.size_bytes,
                "until": moment(until_s),
            }
            for kept, until_s in self._keeper.kept()
        ]  # fmt: skip

    def _tell(self, news: News) -> None:
        kept = news.kept
        if kept is None:
            event(self._log, logging.WARNING, "trouble with files of sessions", why=news.why)
        elif news.what == "removed":
            event(
                self._log, logging.INFO, "kept results removed", session=kept.session, client=kept.client,
                path=kept.path, bytes=kept.size_bytes, why=news.why,
            )  # fmt: skip
            self._watch.results_removed(kept.client, str(kept.path), news.why)
        else:
            event(
                self._log, logging.INFO, "results are not home and are kept", session=kept.session,
                client=kept.client, path=kept.path, bytes=kept.size_bytes, until=moment(news.until_s),
            )  # fmt: skip
            self._watch.results_kept(kept.client, str(kept.path))
