# SPDX-License-Identifier: Apache-2.0
"""What happens on a server, put down as entries of the audit log: bounded, counted, and without secrets. No I/O.

A client can make things happen as fast as it likes. Each has a budget; what is above it is counted, and the count is an
entry of its own once a minute.
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

_TEXT_CHARACTERS = 200  # action names and programs come from clients, who may send megabytes
_REMEMBERED = 1000  # clients and strangers, about 300 kB
_TOLD_AGAIN_AFTER_S = 60.0  # a client that reconnects all the time is told as one that comes once a minute
REPORT_EVERY_S = 60.0


class Happening(str, enum.Enum):
    """The kinds of entries; stable names."""

    SERVER_STARTED = "server-started"
    SERVER_STOPPED = "server-stopped"
    ADMITTED = "admitted"
    REFUSED = "refused"
    SESSION_OPENED = "session-opened"
    SESSION_ENDED = "session-ended"
    ACTION_SET_UP = "action-set-up"
    ACTION_REFUSED = "action-refused"
    ACTION_FAILED = "action-failed"
    ACTION_CANCELLED = "action-cancelled"
    ENROLLED = "enrolled"
    REVOKED = "revoked"
    NEXT_KEY = "next-key"
    KEY_CHANGED = "key-changed"
    PERMITTED = "permitted"
    SERVER_KEY_ANNOUNCED = "server-key-announced"
    SERVER_KEY_KEPT = "server-key-kept"
    SERVER_KEY_CHANGED = "server-key-changed"
    RESULTS_KEPT = "results-kept"
    RESULTS_REMOVED = "results-removed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Whom an entry is about, as far as that is known.

    Attributes:
        client: The name it is enrolled under, or what stands for it.
        fingerprint: Of its key.
        address: Where it comes from.
    """

    client: str | None = None
    fingerprint: str | None = None
    address: str | None = None


NOBODY = Who()


@dataclass(slots=True)
class _Budget:
    """Tokens that come back with time."""

    tokens: float
    at_s: float

    def take(self, now_s: float, burst: float, per_s: float) -> bool:
        self.tokens = min(burst, self.tokens + (now_s - self.at_s) * per_s)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


# (how many at once, how many a second after that)
_REFUSALS_OF_ONE = (10.0, 0.1)  # a client in a restart loop; the log on standard error says as much once a minute
_REFUSALS_OF_ALL = (100.0, 5.0)  # random keys make every refusal a new stranger: 80 MB a day at worst
_DEEDS_OF_ONE = (1000.0, 20.0)  # a scenario sets up hundreds of actions at once, and then lives off them
_UNLIMITED = frozenset({Happening.SERVER_STARTED, Happening.SERVER_STOPPED, Happening.SUPPRESSED})


class Ledger:
    """Makes entries. One thread's.

    Attributes:
        refusals: How often each reason was given since the start.
    """

    def __init__(self) -> None:
        self.refusals: Counter[str] = Counter()
        self._budgets: OrderedDict[tuple[str, str], _Budget] = OrderedDict()
        self._all_refusals = _Budget(_REFUSALS_OF_ALL[0], 0.0)
        self._suppressed: Counter[tuple[str, str]] = Counter()
        self._admitted: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._next_report_s = 0.0

    def enter(
        self, happening: Happening, who: Who, when: str, now_s: float, **details: object
    ) -> dict[str, Any] | None:
        """The entry for something that happened; None if this client has had its share.

        Args:
            happening: What.
            who: Whom it is about.
            when: In UTC, as it shall stand there.
            now_s: Seconds of a monotonic clock.
            details: More, cut to a sensible length; what is None is left out.
        """
        if happening is Happening.REFUSED:
            self.refusals[str(details.get("reason", "unknown"))] += 1
        if happening not in _UNLIMITED and not self._may(happening, who, now_s):
            self._suppressed[(happening.value, self._kept_name(who))] += 1
            return None
        return _entry(happening, who, when, details)

    def admit(self, who: Who, when: str, now_s: float) -> dict[str, Any] | None:
        """The entry for a client that came in; None if it was told a moment ago."""
        question = (who.fingerprint or who.client or "", who.address or "")
        told_s = self._admitted.get(question)
        if told_s is not None and now_s - told_s < _TOLD_AGAIN_AFTER_S:
            return None
        self._admitted[question] = now_s
        self._admitted.move_to_end(question)
        while len(self._admitted) > _REMEMBERED:
            self._admitted.popitem(last=False)
        return self.enter(Happening.ADMITTED, who, when, now_s)

    def count(self, reason: str, times: int) -> None:
        """Refusals of which nothing else is known."""
        self.refusals[reason] += times
        self._suppressed[(Happening.REFUSED.value, "")] += times

    def report(self, when: str, now_s: float, *, at_once: bool = False) -> list[dict[str, Any]]:
        """Once a minute: what was not entered because it was too much."""
        if not at_once and now_s < self._next_report_s:
            return []
        self._next_report_s = now_s + REPORT_EVERY_S
        suppressed, self._suppressed = self._suppressed, Counter()
        return [
            _entry(Happening.SUPPRESSED, Who(client=name or None), when, {"of": kind, "times": times})
            for (kind, name), times in suppressed.items()
        ]

    def _may(self, happening: Happening, who: Who, now_s: float) -> bool:
        is_refusal = happening is Happening.REFUSED
        burst, per_s = _REFUSALS_OF_ONE if is_refusal else _DEEDS_OF_ONE
        one = ("refused" if is_refusal else "deeds", who.fingerprint or who.client or who.address or "")
        budget = self._budgets.get(one)
        if budget is None:
            budget = self._budgets[one] = _Budget(burst, now_s)
            if len(self._budgets) > _REMEMBERED:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(one)
        if not budget.take(now_s, burst, per_s):
            return False
        return not is_refusal or self._all_refusals.take(now_s, *_REFUSALS_OF_ALL)

    def _kept_name(self, who: Who) -> str:
        """Whose count it is: that of a client, or of all strangers together, who can be any number."""
        return who.client or ""


def _entry(happening: Happening, who: Who, when: str, details: dict[str, Any]) -> dict[str, Any]:
    known = {"client": who.client, "fingerprint": who.fingerprint, "address": who.address, **details}
    kept = {name: _cut(value) for name, value in known.items() if value is not None}
    return {"when": when, "event": happening.value, **kept}


def _cut(value: object) -> object:
    if isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "..."
