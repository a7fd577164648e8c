# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from scenario_execution_remote.diagnosis import (
    BROKEN_OFF_LATE_S,
    Attempt,
    Certainty,
    Outcome,
    Parties,
    Probe,
    Reach,
    diagnose,
    start_command,
    unresolved,
)
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
from tests.support.keys import CLIENT, SERVER

ROBOT = Endpoint.parse("robot")
PLAINLY = Parties(endpoint=ROBOT, own=None, server_key=None)
PINNED = Parties(endpoint=ROBOT, own=CLIENT.public, server_key=SERVER.public)


def met(tongue: Tongue = Tongue.ZMTP, mechanism: str = "", *, closed: bool = False) -> Probe:
    service, said = ("an SSH server", "SSH-2.0") if tongue is Tongue.OTHER else ("", "")
    greeting = Greeting(tongue=tongue, mechanism=mechanism, service=service, said=said)
    return Probe(reach=Reach.REACHED, greeting=greeting, closed=closed)


def missed(reach: Reach) -> Probe:
    return Probe(reach=reach, detail="what the system says")


NULL, CURVE, PLAIN = (met(mechanism=name) for name in ("NULL", "CURVE", "PLAIN"))
SILENT, HUNG_UP = met(Tongue.NOTHING), met(Tongue.NOTHING, closed=True)
FINAL, PROBABLE, PASSING = Certainty.FINAL, Certainty.PROBABLE, Certainty.PASSING

TABLE = [
    # who asks, how the attempt ended, who is there, what that means, how certain it is
    (PLAINLY, Outcome.NOBODY, missed(Reach.REFUSED), ServerUnreachableError, PASSING),
    (PLAINLY, Outcome.NOBODY, missed(Reach.NO_FILE), ServerUnreachableError, PASSING),
    (PLAINLY, Outcome.NOBODY, missed(Reach.NOT_A_SOCKET), ServerUnreachableError, FINAL),
    (PLAINLY, Outcome.NOBODY, missed(Reach.NO_PERMISSION), ServerUnreachableError, FINAL),
    (PINNED, Outcome.UNANSWERED, missed(Reach.UNANSWERED), ServerUnreachableError, PASSING),
    (PINNED, Outcome.NOBODY, missed(Reach.OTHER), ServerUnreachableError, PASSING),
    (PINNED, Outcome.NOBODY, CURVE, ServerSilentError, PASSING),  # it came up between attempt and look
    (PLAINLY, Outcome.NOBODY, NULL, ServerSilentError, PASSING),
    (PINNED, Outcome.STALLED, SILENT, ServerSilentError, PASSING),
    (PINNED, Outcome.BROKEN_OFF, HUNG_UP, ServerSilentError, PASSING),  # a forwarder whose server is not there yet
    (PLAINLY, Outcome.STALLED, met(Tongue.UNFINISHED), ServerSilentError, PASSING),
    (PLAINLY, Outcome.BROKEN_OFF, met(Tongue.OTHER), WrongServiceError, FINAL),
    (PINNED, Outcome.STALLED, met(Tongue.OTHER), WrongServiceError, FINAL),
    (PINNED, Outcome.BROKEN_OFF, met(Tongue.OLD_ZMTP), WrongServiceError, FINAL),
    (PLAINLY, Outcome.MISMATCH, CURVE, EncryptionRequiredError, FINAL),
    (PLAINLY, Outcome.MISMATCH, PLAIN, WrongServiceError, FINAL),
    (PLAINLY, Outcome.BROKEN_OFF, NULL, WrongServiceError, PROBABLE),  # socket types that do not fit
    (PLAINLY, Outcome.STALLED, NULL, ServerSilentError, PASSING),
    (PLAINLY, Outcome.MISMATCH, NULL, ServerSilentError, PASSING),  # it was exchanged between attempt and look
    (PINNED, Outcome.MISMATCH, NULL, NotEncryptedError, FINAL),
    (PINNED, Outcome.MISMATCH, PLAIN, NotEncryptedError, FINAL),
    (PINNED, Outcome.BROKEN_OFF, CURVE, ServerIdentityError, PROBABLE),
    (PINNED, Outcome.STALLED, CURVE, ServerSilentError, PASSING),  # its authenticator does not answer
]


@pytest.mark.parametrize(("parties", "outcome", "probe", "error", "certainty"), TABLE)
def test_what_was_seen_means_what_the_table_says(
    parties: Parties, outcome: Outcome, probe: Probe, error: type[HandshakeError], certainty: Certainty
) -> None:
    finding = diagnose(parties, Attempt(outcome=outcome), probe)
    assert (type(finding.error), finding.certainty) == (error, certainty)


def test_a_server_that_hangs_up_late_is_not_accused_of_a_wrong_key() -> None:
    late = Attempt(outcome=Outcome.BROKEN_OFF, took_s=BROKEN_OFF_LATE_S)
    assert type(diagnose(PINNED, late, CURVE).error) is ServerSilentError
    assert type(diagnose(PLAINLY, late, NULL).error) is ServerSilentError


def test_a_key_that_the_scenario_gives_is_to_be_corrected_there() -> None:
    given = replace(PINNED, is_key_in_scenario=True)
    error = diagnose(given, Attempt(outcome=Outcome.BROKEN_OFF), CURVE).error
    assert f"the key {SERVER.public.fingerprint}, which server_key gives in the scenario" in str(error)
    assert "se-remote trust" not in str(error) and error.next_command.startswith('remote("robot:7613", server_key:')


def test_a_refused_key_is_named_with_the_command_that_enrols_it() -> None:
    finding = diagnose(PINNED, Attempt(outcome=Outcome.DENIED, status=400), met())
    assert isinstance(finding.error, NotEnrolledError)
    assert finding.certainty is FINAL
    assert finding.error.own_fingerprint == CLIENT.public.fingerprint
    assert str(finding.error).endswith(f"se-server enrol NAME {CLIENT.public.text}")


def test_a_server_that_admits_nobody_without_a_key_sends_for_one() -> None:
    error = diagnose(PLAINLY, Attempt(outcome=Outcome.DENIED, status=400), met()).error
    assert str(error).endswith("se-remote keygen")


@pytest.mark.parametrize("status", [300, 500])
def test_an_authenticator_in_trouble_is_not_mistaken_for_a_refusal(status: int) -> None:
    finding = diagnose(PINNED, Attempt(outcome=Outcome.DENIED, status=status), met())
    assert (type(finding.error), finding.certainty) == (ServerSilentError, PASSING)
    assert str(status) in str(finding.error)


def test_a_wrong_server_key_is_worded_as_probable_and_shows_what_was_expected() -> None:
    error = diagnose(PINNED, Attempt(outcome=Outcome.BROKEN_OFF), CURVE).error
    assert "probably" in str(error)
    assert SERVER.public.fingerprint in str(error)


@pytest.mark.parametrize("parties", [PLAINLY, PINNED], ids=["plainly", "pinned"])
def test_whatever_is_seen_there_is_an_answer_that_ends_with_a_command(parties: Parties) -> None:
    probes = [missed(reach) for reach in Reach if reach is not Reach.REACHED]
    probes += [met(tongue, mechanism) for tongue in Tongue for mechanism in ("NULL", "CURVE", "PLAIN", "")]
    for outcome, probe, took_s in itertools.product(Outcome, probes, (0.0, 5.0)):
        finding = diagnose(parties, Attempt(outcome=outcome, took_s=took_s), probe)
        assert finding.error.next_command and str(finding.error).endswith(finding.error.next_command)


def test_no_finding_ever_offers_to_go_on_without_encryption() -> None:
    for outcome, probe in itertools.product(Outcome, (NULL, PLAIN, CURVE, SILENT)):
        finding = diagnose(PINNED, Attempt(outcome=outcome, status=400), probe)
        assert "--insecure" not in str(finding.error)
        if finding.error.next_command.startswith("scenario_execution_server"):
            assert "--curve" in finding.error.next_command


def test_a_name_that_does_not_exist_is_final_and_a_silent_name_server_is_not() -> None:
    assert unresolved(ROBOT, "not known", is_final=True).certainty is FINAL
    assert unresolved(ROBOT, "no answer", is_final=False).certainty is PASSING
    assert str(unresolved(ROBOT, "not known", is_final=True).error).endswith("getent hosts robot")


@pytest.mark.parametrize(
    ("text", "encrypted", "command"),
    [
        ("127.0.0.1", False, "scenario_execution_server --port 7613 --curve"),
        ("127.0.0.1:9", True, "scenario_execution_server --port 9 --curve"),
        ("robot", False, "scenario_execution_server --port 7613 --curve"),
        ("/run/my se", False, "scenario_execution_server --socket '/run/my se'"),
    ],
)
def test_the_command_that_starts_a_server_fits_the_endpoint(text: str, encrypted: bool, command: str) -> None:
    assert start_command(Endpoint.parse(text), encrypted=encrypted) == command
