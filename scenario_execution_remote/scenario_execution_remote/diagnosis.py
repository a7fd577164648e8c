# SPDX-License-Identifier: Apache-2.0
"""From what was seen of a failed attempt to connect to the error that is true, and whether trying again can help.

No I/O and no clock: ``transport`` makes attempts and probes, this decides what they mean. The table for people is
``docs/reference/connection-errors.md``.
"""

from __future__ import annotations

import enum
import shlex
from dataclasses import dataclass

from scenario_execution_keys.keypair import PublicKey
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import (
    EncryptionRequiredError,
    HandshakeError,
    NotEncryptedError,
    NotEnrolledError,
    ServerIdentityError,
    ServerSilentError,
    ServerUnreachableError,
    WrongServiceError,
)
from scenario_execution_remote.greeting import Greeting, Tongue

CURVE = "CURVE"
NULL = "NULL"

# A server with another key drops us after two round trips, a server whose authenticator does not answer when its
# HANDSHAKE_IVL (2 s and more) is over; both look the same otherwise. The end may be noticed a look (1 s) late.
BROKEN_OFF_LATE_S = 1.8


class Outcome(enum.Enum):
    """How one attempt to connect ended, from the monitor's events."""

    NOBODY = "nobody"  # refused before it was connected
    UNANSWERED = "unanswered"  # neither connected nor refused in the time there was
    STALLED = "stalled"  # connected, and the handshake did not end in the time there was
    BROKEN_OFF = "broken-off"  # connected, and the peer closed it during the handshake
    MISMATCH = "mismatch"  # the peer greeted with another security mechanism
    DENIED = "denied"  # the peer's authenticator answered, and not with yes


class Reach(enum.Enum):
    """Whether a plain connection came about, and if not, in which way not."""

    REACHED = "reached"
    REFUSED = "refused"  # nobody listens
    NO_FILE = "no-file"  # no such socket file
    NOT_A_SOCKET = "not-a-socket"
    NO_PERMISSION = "no-permission"
    UNANSWERED = "unanswered"  # neither yes nor no
    OTHER = "other"  # what the operating system says, such as "no route to host"


class Certainty(enum.Enum):
    """What to do with a finding."""

    FINAL = "final"  # trying again gives the same: say so at once
    PROBABLE = "probable"  # say so if a second attempt gives the same
    PASSING = "passing"  # a server that is just starting looks like this: try until the deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was seen of one attempt.

    Attributes:
        outcome: How it ended.
        status: The authenticator's ZAP status code for DENIED, else 0.
        took_s: Seconds from being connected to that end.
    """

    outcome: Outcome
    status: int = 0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a plain connection found out.

    Attributes:
        reach: Whether it came about.
        detail: What the operating system said, if it did not.
        greeting: The peer's first bytes, if it did.
        closed: Whether the peer closed it.
    """

    reach: Reach
    detail: str = ""
    greeting: Greeting = Greeting(tongue=Tongue.NOTHING)
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who wants to speak to whom: the endpoint, our public key and the pinned one (both None without encryption).

    `is_key_in_scenario`: whether the scenario has pinned it, rather than the known servers.
    """

    endpoint: Endpoint
    own: PublicKey | None
    server_key: PublicKey | None
    is_key_in_scenario: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The error that is true now, and how certain that is to stay so."""

    error: HandshakeError
    certainty: Certainty


def diagnose(parties: Parties, attempt: Attempt, probe: Probe) -> Finding:
    """What a failed attempt means, given what a probe right after it found."""
    if attempt.outcome is Outcome.DENIED:
        return _denied(parties, attempt.status)
    if probe.reach is not Reach.REACHED:
        return _unreachable(parties, probe)
    greeting = probe.greeting
    if greeting.tongue is Tongue.OTHER:
        return _wrong_service(parties, greeting.service, greeting.said)
    if greeting.tongue is Tongue.OLD_ZMTP:
        return _wrong_service(parties, "a program with ZeroMQ 3 or older")
    if greeting.tongue is Tongue.NOTHING:
        does = "closes them without a word" if probe.closed else "says nothing"
        return _silent(parties, f"accepts connections and {does}")
    if greeting.tongue is Tongue.UNFINISHED:
        return _silent(parties, "begins to speak ZeroMQ and does not go on")
    if parties.server_key is None:
        return _unencrypted(parties, attempt, greeting.mechanism)
    return _encrypted(parties, parties.server_key, attempt, greeting.mechanism)


def unresolved(endpoint: Endpoint, detail: str, *, is_final: bool) -> Finding:
    """The host's name has no address: there is none (*is_final*), or nobody could be asked."""
    error = ServerUnreachableError(
        endpoint.text,
        f"the host name {endpoint.host} has no address ({detail})",
        advice="check the name in the scenario, or ask the resolver",
        next_command=f"getent hosts {endpoint.host}",
    )
    return Finding(error=error, certainty=Certainty.FINAL if is_final else Certainty.PASSING)


def start_command(endpoint: Endpoint, *, encrypted: bool) -> str:
    """The command that starts a server which listens at *endpoint*."""
    # Also on loopback, where it could do without: nobody is led to an unencrypted server who does not ask for one.
    curve = " --curve" if encrypted or not endpoint.is_unix else ""
    where = f"--socket {shlex.quote(endpoint.path)}" if endpoint.is_unix else f"--port {endpoint.port}"
    return f"scenario_execution_server {where}{curve}"


def _start(parties: Parties) -> str:
    return start_command(parties.endpoint, encrypted=parties.server_key is not None)


def _denied(parties: Parties, status: int) -> Finding:
    endpoint = parties.endpoint.text
    if status == 400:  # ZAP (RFC 27): authentication failure; 300 is a temporary and 500 an internal error
        own = parties.own
        return Finding(
            error=NotEnrolledError(endpoint, own_fingerprint=own.fingerprint, own_key=own.text)
            if own is not None
            else NotEnrolledError(endpoint),
            certainty=Certainty.FINAL,
        )
    return _silent(parties, f"cannot decide whom to admit (its authenticator answered {status})")


def _unreachable(parties: Parties, probe: Probe) -> Finding:
    endpoint = parties.endpoint
    look = f"ls -l {shlex.quote(endpoint.path)}"
    certainty = Certainty.PASSING
    advice, command = "start it there", _start(parties)
    if probe.reach is Reach.REFUSED:
        why = "nobody listens there (connection refused)"
    elif probe.reach is Reach.NO_FILE:
        why = "there is no such socket"
    elif probe.reach is Reach.NOT_A_SOCKET:
        why, certainty = "that is not a socket", Certainty.FINAL
        advice, command = "look what it is", look
    elif probe.reach is Reach.NO_PERMISSION:
        why, certainty = f"this user may not connect ({probe.detail})", Certainty.FINAL
        if endpoint.is_unix:
            advice, command = "run as the server's user, or have the socket opened to this one", look
        else:
            advice = "a rule on this machine forbids it; allow it, or start the server elsewhere"
    elif probe.reach is Reach.UNANSWERED:
        why = "nothing answers, neither yes nor no"
        if not endpoint.is_unix:
            why += " (a firewall that drops packets, or a machine that is off)"
        advice = "open the port and start it there"
    else:
        why = probe.detail
    error = ServerUnreachableError(endpoint.text, why, advice=advice, next_command=command)
    return Finding(error=error, certainty=certainty)


def _wrong_service(parties: Parties, service: str, said: str = "", certainty: Certainty = Certainty.FINAL) -> Finding:
    error = WrongServiceError(parties.endpoint.text, service, said, next_command=_start(parties))
    return Finding(error=error, certainty=certainty)


def _silent(parties: Parties, why: str) -> Finding:
    error = ServerSilentError(
        parties.endpoint.text,
        why,
        advice="if that is the server, see its log and restart it there",
        next_command=_start(parties),
    )
    return Finding(error=error, certainty=Certainty.PASSING)


def _unencrypted(parties: Parties, attempt: Attempt, mechanism: str) -> Finding:
    if mechanism == CURVE:
        return Finding(error=EncryptionRequiredError(parties.endpoint.text), certainty=Certainty.FINAL)
    if mechanism != NULL:
        return _wrong_service(parties, f"a ZeroMQ program that demands {mechanism} authentication")
    if attempt.outcome is Outcome.BROKEN_OFF and attempt.took_s < BROKEN_OFF_LATE_S:
        # libzmq hangs up like this on a socket type that does not fit
        return _wrong_service(parties, "another ZeroMQ program", certainty=Certainty.PROBABLE)
    return _unfinished(parties, attempt)


def _encrypted(parties: Parties, server_key: PublicKey, attempt: Attempt, mechanism: str) -> Finding:
    endpoint = parties.endpoint
    if mechanism != CURVE:
        return Finding(
            error=NotEncryptedError(
                endpoint.text,
                expected=server_key.fingerprint,
                mechanism=mechanism,
                next_command=start_command(endpoint, encrypted=True),
            ),
            certainty=Certainty.FINAL,
        )
    if attempt.outcome is Outcome.BROKEN_OFF and attempt.took_s < BROKEN_OFF_LATE_S:
        error = ServerIdentityError(
            endpoint.text, expected=server_key.fingerprint, is_in_scenario=parties.is_key_in_scenario
        )
        return Finding(error=error, certainty=Certainty.PROBABLE)
    return _unfinished(parties, attempt)


def _unfinished(parties: Parties, attempt: Attempt) -> Finding:
    """The peer is a ZeroMQ server with the right mechanism, and still there is no connection."""
    if attempt.outcome in (Outcome.STALLED, Outcome.BROKEN_OFF):
        return _silent(parties, "begins the handshake and does not finish it (its authenticator may be dead)")
    return _silent(parties, "was starting or stopping while we tried")
