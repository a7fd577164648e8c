# SPDX-License-Identifier: Apache-2.0
"""What an enrolled client may do, read from the metadata of its key file and decided without files or clock.

::

    option      value                                   absent
    actions     globs of action names, with blanks      every action
    from        networks (CIDR) or addresses            from anywhere
    until       ISO date-time with time zone            without end
    sessions    how many at a time                      as many as the server has
    files       limits, see `limits`                    as the server says
    observe     yes: may connect and run nothing        no
    admin       yes: may ask for the server's status   no

A name that is neither an option nor a known remark refuses the entry: a misspelt restriction must not be none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase

from scenario_execution_keys.errors import PERMIT_HELP, PermissionValueError
from scenario_execution_keys.limits import FileLimits

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OPTIONS = ("actions", "from", "until", "sessions", "files", "observe", "admin")
# What we, zmq.auth and czmq's key maker write to tell people something; and anybody's own, as x-NAME.
REMARKS = frozenset({"name", "enrolled", "role", "created", "comment", "email", "organization", "version", "endpoint"})
# Written by a running server when a client exchanges its key; the first one, as its files lie in a folder of that.
NEXT_KEY, ROTATED, FIRST_KEY = "next-key", "rotated", "first-key"
NEXT_FROM = "next-from"  # beside it in a pin of a server: when its next key counts
NOTES = REMARKS | {NEXT_KEY, ROTATED, FIRST_KEY}
REMARK_PREFIX = "x-"
MAX_SESSIONS = 10_000  # above any --max-sessions; a larger number is a slip of the finger

_GLOB = re.compile(r"[A-Za-z0-9_.*?\[\]!-]{1,128}")  # what action names consist of, and what fnmatch knows
_SPAN = re.compile(r"([1-9][0-9]{0,5})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_YES, _NO = "yes", "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a client may not come in, as a clause, and the option of `permit` that would change it."""

    why: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What one client may do. Without arguments: everything except administration.

    Attributes:
        actions: Globs of the actions it may run; None for all.
        networks: Where it may come from; empty for anywhere.
        until: When it ends, with time zone; None for never.
        sessions: How many sessions it may have at a time; None for as many as the server has.
        files: How much of files it may carry and leave.
        observe: Whether it may only look.
        admin: Whether it may ask how the server is and whose sessions run; nothing else, and also as an observer.
    """

    actions: tuple[str, ...] | None = None
    networks: tuple[Network, ...] = ()
    until: datetime | None = None
    sessions: int | None = None
    files: FileLimits = FileLimits()
    observe: bool = False
    admin: bool = False

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Permissions:
        """Read the metadata of a client's key file.

        Raises:
            PermissionValueError: If a name is unknown, or a value is not one of its option. Nothing is guessed.
        """
        for name in metadata:
            if name not in OPTIONS and name not in NOTES and not name.startswith(REMARK_PREFIX):
                raise PermissionValueError(
                    f"this is no option of a client; there are {', '.join(OPTIONS)}, "
                    f"and {REMARK_PREFIX}NAME for remarks",
                    option=name,
                )
        found = cls(
            actions=parse_actions(metadata["actions"].split()) if "actions" in metadata else None,
            networks=parse_networks(metadata["from"].split()) if "from" in metadata else (),
            until=parse_instant(metadata["until"]) if "until" in metadata else None,
            sessions=parse_sessions(metadata["sessions"]) if "sessions" in metadata else None,
            files=FileLimits.parse(metadata["files"].split()) if "files" in metadata else FileLimits(),
            observe=_parse_flag("observe", metadata),
            admin=_parse_flag("admin", metadata),
        )
        if found.observe and found.actions is not None:
            raise PermissionValueError("observe allows no action, so actions cannot stand beside it", option="observe")
        return found

    def to_metadata(self) -> dict[str, str]:
        """The same as metadata; what is as by default is left out."""
        found = {
            "actions": " ".join(self.actions) if self.actions is not None else None,
            "from": " ".join(map(str, self.networks)) or None,
            "until": show_instant(self.until) if self.until is not None else None,
            "sessions": str(self.sessions) if self.sessions is not None else None,
            "files": self.files.text or None,
            "observe": _YES if self.observe else None,
            "admin": _YES if self.admin else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def globs(self) -> tuple[str, ...]:
        """The actions that may be run, as globs; empty for an observer."""
        if self.observe:
            return ()
        return ("*",) if self.actions is None else self.actions

    def objection(self, address: str, now: datetime) -> Objection | None:
        """Why a client at *address* may not come in *now*; None if it may.

        Args:
            address: An IP address.
            now: With time zone.
        """
        if self.until is not None and now >= self.until:
            return Objection(why=f"its time was over at {show_instant(self.until)}", change="--until WHEN")
        if self.networks and not _is_in(address, self.networks):
            networks = " or ".join(map(str, self.networks))
            return Objection(why=f"it comes from {address}, and may come from {networks}", change="--from CIDR")
        return None

    def summary(self) -> str:
        """In a few words, for a table."""
        if self.observe:
            words = ["observe only"]
        else:
            words = ["all actions" if self.actions is None else " ".join(self.actions)]
        if self.networks:
            words.append("from " + " ".join(map(str, self.networks)))
        if self.sessions is not None:
            words.append(f"{self.sessions} session{'s' if self.sessions > 1 else ''}")
        if self.files.text:
            words.append(f"files {self.files.text}")
        if self.admin:
            words.append("admin")
        return ", ".join(words)


def is_allowed(action: str, globs: Iterable[str]) -> bool:
    """Whether one of the *globs* covers the name of an *action*; upper and lower case differ."""
    return any(fnmatchcase(action, glob) for glob in globs)


def parse_actions(globs: Iterable[str]) -> tuple[str, ...] | None:
    """The globs of ``actions``; None if they cover everything.

    Raises:
        PermissionValueError: If there is none, or one is no glob of action names.
    """
    found = tuple(dict.fromkeys(globs))
    if not found:
        raise PermissionValueError("actions names none; whoever may only look has observe = yes", option="actions")
    for glob in found:
        if not _GLOB.fullmatch(glob):
            raise PermissionValueError(f"{glob!r} is no glob of action names, such as log or nav_*", option="actions")
    return None if "*" in found else found


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of ``from``.

    Raises:
        PermissionValueError: If there is none, or one is neither an address nor a network.
    """
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            why = "has host bits set" if "host bits" in str(error) else "is neither an address nor a network"
            raise PermissionValueError(f"{text!r} {why}; 192.0.2.0/24 would be one", option="from") from None
    if not found:
        raise PermissionValueError("from names no network", option="from")
    return tuple(dict.fromkeys(found))


def parse_instant(text: str) -> datetime:
    """A moment as it stands in a file: an ISO date-time with its time zone, to the second.

    Raises:
        PermissionValueError: If it is none.
    """
    moment = _iso(text)
    if moment is None or moment.tzinfo is None:
        example = "2030-01-31T12:00:00Z is one"
        raise PermissionValueError(f"{text!r} is no date-time with time zone; {example}", option="until")
    return moment.astimezone(timezone.utc).replace(microsecond=0)


def parse_when(text: str, now: datetime, *, option: str = "until", mend: str = PERMIT_HELP) -> datetime:
    """A moment as a person types it: a span such as ``15m`` or ``90d`` from *now*, or an ISO date or date-time.

    What has no time zone is meant on the clock of this machine; a date alone is its first moment.

    Raises:
        PermissionValueError: If it is none of these, or not after *now*.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        try:
            return (now + timedelta(seconds=int(span[1]) * _SECONDS[span[2]])).astimezone(timezone.utc)
        except OverflowError:
            raise PermissionValueError(f"{text!r} is after the end of the calendar", mend, option=option) from None
    moment = _iso(text)
    if moment is None:
        example = "15m, 8h, 90d, 2030-01-31 and 2030-01-31T12:00:00Z are some"
        raise PermissionValueError(f"{text!r} is no moment; {example}", mend, option=option)
    moment = moment.astimezone(timezone.utc).replace(microsecond=0)  # without a time zone, that of this machine
    if moment <= now:
        raise PermissionValueError(f"{show_instant(moment)} is over", mend, option=option)
    return moment


def parse_sessions(text: str) -> int:
    """The number of ``sessions``.

    Raises:
        PermissionValueError: If it is no number from 1 to `MAX_SESSIONS`.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= MAX_SESSIONS:
        raise PermissionValueError(f"{text!r} is no number of sessions from 1 to {MAX_SESSIONS}", option="sessions")
    return int(text)


def show_instant(moment: datetime) -> str:
    """A moment as files and people get it: UTC, to the second."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _iso(text: str) -> datetime | None:
    cleaned = text.strip()
    if cleaned[-1:] in ("Z", "z"):  # datetime.fromisoformat reads it since Python 3.11
        cleaned = cleaned[:-1] + "+00:00"
    try:
        return datetime.fromisoformat(cleaned)
    except (ValueError, OverflowError):
        return None


def _parse_flag(option: str, metadata: Mapping[str, str]) -> bool:
    value = metadata.get(option, _NO)
    if value not in (_YES, _NO):
        raise PermissionValueError(f"{value!r} is neither {_YES} nor {_NO}", option=option)
    return value == _YES


def _is_in(address: str, networks: Iterable[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False  # whoever cannot say where it comes from does not come from there
    return any(parsed in network for network in networks)
