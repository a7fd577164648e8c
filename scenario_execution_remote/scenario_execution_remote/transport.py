# SPDX-License-Identifier: Apache-2.0
"""Connect to a server: authenticate, and if it cannot be done say in words why not.

Each attempt is one socket with a monitor. If it fails, a probe looks who is there, ``diagnosis`` says what both mean,
and either that is reported or the next attempt follows. A time-out alone is never an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import zmq

from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_remote.addresses import Address, addresses_of
from scenario_execution_remote.connection import (
    EPIPE,
    HANDSHAKE_LIMIT_S,
    Connection,
    LinkChange,
    LinkEvent,
    close_sockets,
    open_sockets,
    read_monitor,
)
from scenario_execution_remote.diagnosis import Attempt, Certainty, Finding, Outcome, Parties, Probe, Reach, diagnose
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import (
    HandshakeError,
    NotEnrolledError,
    OwnKeyError,
    ServerIdentityError,
    ServerUnreachableError,
)
from scenario_execution_remote.patience import Patience
from scenario_execution_remote.probe import PROBE_S, look_at

__all__ = ["Connection", "LinkChange", "LinkEvent", "connect", "settle"]

PAUSE_FIRST_S = 0.05  # between attempts: a server that is just starting is met without a noticeable wait,
PAUSE_LAST_S = 0.25  # and one that starts seconds later costs four attempts a second
PAUSE_REFUSED_S = 0.5  # while somebody may enrol our key: noticed at once by people, and no burden on the server
PEEK_AFTER_S = 0.5  # a handshake that takes longer is worth a look at who is there, before its own limit is reached
NEXT_ADDRESS_AFTER_S = 1.2  # a name with several addresses: past the first repeated SYN (1 s), try the next
PROBE_SHARE = 0.2  # of the time that is left, kept for a look at who is there, PROBE_S at most
LEAST_ATTEMPT_S = 0.2  # a shorter last attempt could mistake a slow link for a dead one


def connect(
    endpoint: Endpoint,
    *,
    own: KeyPair | None,
    server_key: PublicKey | None,
    deadline_s: float,
    context: zmq.Context[zmq.Socket[bytes]],
    silence_s: float = 5.0,
    abort_fd: int | None = None,
    on_refused: Callable[[NotEnrolledError], None] | None = None,
    spare: KeyPair | None = None,
    next_key: PublicKey | None = None,
    is_key_in_scenario: bool = False,
) -> Connection:
    """Connect, and return when the handshake has succeeded.

    Args:
        endpoint: The server.
        own: Our key pair; needed if *server_key* is given.
        server_key: The server's public key; CURVE if given, no encryption if None. There is no downgrade.
        deadline_s: When to give up, as a value of ``time.monotonic()``, not a duration.
        context: The context the socket is made in.
        silence_s: Silence after which ZMTP heartbeats take the connection down (and libzmq reconnects), in seconds.
        abort_fd: A descriptor that becomes readable if the caller wants this to stop; it is not read.
        on_refused: Called once if the server does not admit our key. It is then tried again until the deadline, because
            somebody may be enrolling it just now. None: that error is raised at once.
        spare: Another pair of ours, tried where the server does not admit the first: the one before a rotation.
        next_key: Another key of the server, which it may prove instead: the one that it has announced.
        is_key_in_scenario: Whether *server_key* stands in the scenario; for sentences.

    Raises:
        HandshakeError: one of its children, named for what is true. What trying again cannot change is raised at once,
            what a server that is just starting looks like when the deadline is reached.
    """
    if server_key is not None and own is None:
        raise OwnKeyError(
            endpoint.text,
            f"the server at {endpoint} is pinned to {server_key.fingerprint}, and this client has no key of its own",
            advice="make one",
            next_command="se-remote keygen",
        )
    patience = Patience(endpoint.text, deadline_s, abort_fd)
    errand = _Errand(
        parties=Parties(
            endpoint=endpoint, own=own.public if server_key and own else None, server_key=server_key,
            is_key_in_scenario=is_key_in_scenario,
        ),  # fmt: skip
        own=own if server_key else None,
        patience=patience,
        context=context,
        silence_s=silence_s,
    )
    pause_s = PAUSE_FIRST_S
    before: HandshakeError | None = None
    while True:
        trial = errand
        result = _round(trial)
        if isinstance(result, Finding) and isinstance(result.error, ServerIdentityError) and next_key is not None:
            trial = replace(errand, parties=replace(errand.parties, server_key=next_key))
            second = _round(trial)
            if isinstance(second, Connection) or not isinstance(second.error, ServerIdentityError):
                result = second
        if isinstance(result, Finding) and isinstance(result.error, NotEnrolledError) and spare is not None:
            parties = replace(trial.parties, own=spare.public)
            second = _round(replace(trial, parties=parties, own=spare))
            if isinstance(second, Connection):
                result = second
        if isinstance(result, Connection):
            if result.server_key != next_key:
                result.next_key = next_key
            return result
        if isinstance(result.error, NotEnrolledError) and on_refused is not None:
            if not isinstance(before, NotEnrolledError):
                on_refused(result.error)
            if patience.left_s - PAUSE_REFUSED_S < LEAST_ATTEMPT_S:
                raise result.error
            before = result.error
            patience.pause(PAUSE_REFUSED_S)
            continue
        is_repeated = type(result.error) is type(before)
        if result.certainty is Certainty.FINAL or (result.certainty is Certainty.PROBABLE and is_repeated):
            raise result.error
        if patience.left_s - pause_s < LEAST_ATTEMPT_S:
            raise result.error
        before = result.error
        patience.pause(pause_s)
        pause_s = min(2 * pause_s, PAUSE_LAST_S)


def settle(connection: Connection, event: LinkEvent, abort_fd: int | None = None) -> None:
    """After an attempt to reconnect that failed: return if another may succeed. Takes a second at most.

    Whoever greets with another mechanism may hang up before libzmq has read that, which is then an attempt like those
    that a server with another key breaks off; so the look decides.

    Raises:
        HandshakeError: none will; one of its children, as from :func:`connect`.
        ConnectAbortedError: *abort_fd* became readable.
    """
    if event.attempt is None:  # nothing has failed
        return
    patience = Patience(connection.parties.endpoint.text, time.monotonic() + PROBE_S, abort_fd)
    finding = _finding(connection.parties, event.attempt, connection.address, patience)
    if event.change is LinkChange.REFUSED or finding.certainty is Certainty.FINAL:
        raise finding.error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """What one call of :func:`connect` is about."""

    parties: Parties
    own: KeyPair | None
    patience: Patience
    context: zmq.Context[zmq.Socket[bytes]]
    silence_s: float


def _round(errand: _Errand) -> Connection | Finding:
    """One attempt at each address; what was learnt from the most telling of those that failed."""
    addresses = addresses_of(errand.parties.endpoint, errand.patience)
    if isinstance(addresses, Finding):
        return addresses
    findings: list[Finding] = []
    for number, address in enumerate(addresses, start=1):
        result = _attempt(errand, address, is_last=number == len(addresses))
        if isinstance(result, Connection) or result.certainty is Certainty.FINAL:
            return result
        findings.append(result)
    # somebody who does not answer says more than nobody there; among equals the first address is the preferred one
    return min(findings, key=lambda finding: isinstance(finding.error, ServerUnreachableError))


def _attempt(errand: _Errand, address: Address, *, is_last: bool) -> Connection | Finding:
    parties, patience = errand.parties, errand.patience
    # The look at who is there has to fit in before the deadline, not behind it.
    until_s = patience.deadline_s - min(PROBE_S, PROBE_SHARE * patience.left_s)
    connect_by_s = until_s if is_last else min(until_s, time.monotonic() + NEXT_ADDRESS_AFTER_S)
    socket, monitor = open_sockets(parties, errand.own, address, errand.context, errand.silence_s)
    is_kept = False
    try:
        handshake = _Handshake(monitor, patience)
        end = handshake.wait(connect_by_s, until_s, at_most_s=PEEK_AFTER_S)
        spare_s = until_s - time.monotonic()
        if end is None and handshake.connected_s is not None and spare_s > 0:
            # Slow, or not a server at all. A service that speaks another language is recognised here, seconds before
            # libzmq gives up; anything else may still become a connection.
            peek = look_at(address, patience, most_s=min(PROBE_S, spare_s))
            finding = diagnose(parties, handshake.as_attempt(None), peek)
            if finding.certainty is Certainty.FINAL:
                return finding
            end = handshake.wait(connect_by_s, until_s)
        if end is not None and end[0] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            is_kept = True
            return Connection(parties, address, socket, monitor)
        attempt = handshake.as_attempt(end)
    finally:
        if not is_kept:
            close_sockets(socket, monitor, 0.0)
    return _finding(parties, attempt, address, patience)


def _finding(parties: Parties, attempt: Attempt, address: Address, patience: Patience) -> Finding:
    """What a failed attempt means, after a look at who is there if that can tell more."""
    if attempt.outcome is Outcome.UNANSWERED:
        probe = Probe(reach=Reach.UNANSWERED)  # a plain connection would wait for the same answer
    elif attempt.outcome is Outcome.DENIED:
        probe = Probe(reach=Reach.REACHED)  # the server itself has answered, there is nothing left to ask
    else:
        probe = look_at(address, patience)
    return diagnose(parties, attempt, probe)


class _Handshake:
    """What the monitor tells about one attempt, until its end is known."""

    def __init__(self, monitor: zmq.Socket[bytes], patience: Patience) -> None:
        self._monitor = monitor
        self._patience = patience
        self.connected_s: float | None = None

    def wait(
        self, connect_by_s: float, finish_by_s: float, *, at_most_s: float = HANDSHAKE_LIMIT_S
    ) -> tuple[int, int] | None:
        """The event and value that end the attempt; None if they are not there *at_most_s* after the connect."""
        while True:
            for event, value in read_monitor(self._monitor):
                if event == zmq.EVENT_CONNECTED:
                    self.connected_s = time.monotonic()
                else:
                    return event, value
            connected_s = self.connected_s
            until_s = connect_by_s if connected_s is None else min(finish_by_s, connected_s + at_most_s)
            if time.monotonic() >= until_s:
                return None
            self._patience.wait(self._monitor, zmq.POLLIN, until_s)

    def as_attempt(self, end: tuple[int, int] | None) -> Attempt:
        """The same for ``diagnosis``."""
        if self.connected_s is None:
            return Attempt(outcome=Outcome.UNANSWERED if end is None else Outcome.NOBODY)
        took_s = time.monotonic() - self.connected_s
        event, value = end or (0, 0)
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return Attempt(outcome=Outcome.DENIED, status=value, took_s=took_s)
        if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            return Attempt(outcome=Outcome.MISMATCH, took_s=took_s)
        if event == zmq.EVENT_DISCONNECTED or (event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL and value == EPIPE):
            return Attempt(outcome=Outcome.BROKEN_OFF, took_s=took_s)
        return Attempt(outcome=Outcome.STALLED, took_s=took_s)
