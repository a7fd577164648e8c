# SPDX-License-Identifier: Apache-2.0
"""What front and worker say to each other inside the server, where no client hears it or can say it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """From the front, before the client's first word and whenever it changes: which actions may be created from now on.

    Attributes:
        client: What the client is called here.
        actions: Globs of action names.
        mend: The command that would permit more, but for the name of the action at its end.
    """

    client: str
    actions: list[str]
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTerms:
    """From the front, behind the first :class:`Permit` and whenever it changes: whose files these are, and where.

    Attributes:
        client: What the client is called here.
        session: What the session is called in the log.
        folder: Absolute path of the folder on the server for what belongs to this client alone; it need not exist.
        keep_s: How long results that are not home when the session is over are kept there; 0 for not at all.
        may_put: Whether the client may put files of its own there.
        total_bytes: What the session may carry, both ways together; nil for any amount, as in all that follow.
        count: How many files, likewise.
        rate_bytes_s: How fast, all sessions of the client together.
        stored_bytes: What may lie in the folder.
        mend: What to do if that is not enough, as the end of a sentence that goes on with all limits.
        own_limits: Those that go on to count then, as words of a key file.
        put_mend: What to do if the client may not put files there, as the end of a sentence.
        cache_limit_bytes: How much of what clients have sent is kept for their next sessions, of all together.
        cache_age_s: How long what is not used is kept.
    """

    client: str
    session: str
    folder: str
    keep_s: float
    may_put: bool
    total_bytes: int | None
    count: int | None
    rate_bytes_s: int | None
    stored_bytes: int | None
    mend: str
    own_limits: str
    put_mend: str
    cache_limit_bytes: int
    cache_age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    """From the front: stop and shut down everything, then exit."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The worker is ready for its first call; ``pid`` is its process."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What the client has had done to an action, for the audit log: its name, and ``what``: ``set-up``, ``refused`` (by
    its permissions), ``failed`` (to be created or set up) or ``cancelled`` (stopped while RUNNING)."""

    what: str
    action: str


FromFront = EndSession | Permit | FileTerms
ForFront = Started | Deed
