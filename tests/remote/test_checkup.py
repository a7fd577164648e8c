# SPDX-License-Identifier: Apache-2.0
"""Where an error belongs among the doctor's steps, and what it says of versions and clocks."""

from __future__ import annotations

import pytest

from scenario_execution_remote import errors
from scenario_execution_remote.checkup import Mark, Step, clock_line, compared, failed, session_step_of, step_of
from scenario_execution_remote.diagnosis import Probe, Reach
from scenario_execution_remote.greeting import Greeting, Tongue

SILENT = Probe(reach=Reach.REACHED, greeting=Greeting(tongue=Tongue.NOTHING))
CURVE = Probe(reach=Reach.REACHED, greeting=Greeting(tongue=Tongue.ZMTP, mechanism="CURVE"))
HOW = {"advice": "do", "next_command": "this"}


@pytest.mark.parametrize(
    ("error", "probe", "step"),
    [
        (errors.ServerUnreachableError("a:1", "why", **HOW), Probe(reach=Reach.REFUSED), Step.CONNECTION),
        (errors.ServerSilentError("a:1", "why", **HOW), SILENT, Step.LANGUAGE),
        (errors.ServerSilentError("a:1", "why", **HOW), CURVE, Step.HANDSHAKE),
        (errors.WrongServiceError("a:1", "a web server", "", next_command=""), SILENT, Step.LANGUAGE),
        (errors.NotEncryptedError("a:1", expected="f", mechanism="NULL", next_command=""), CURVE, Step.ENCRYPTION),
        (errors.EncryptionRequiredError("a:1"), CURVE, Step.ENCRYPTION),
        (errors.ServerIdentityError("a:1", expected="f"), CURVE, Step.HANDSHAKE),
        (errors.NotEnrolledError("a:1"), CURVE, Step.ADMISSION),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_belongs_to_the_step_that_failed(error: errors.RemoteError, probe: Probe, step: Step) -> None:
    assert step_of(error, probe) is step


def test_a_failed_step_has_the_errors_sentence_command_and_exit_code() -> None:
    error = errors.EncryptionRequiredError("a:1")
    line = failed(Step.ENCRYPTION, error)
    assert (line.text, line.next_command, line.exit_code) == (str(error), error.next_command, 47)
    assert line.as_json()["status"] == "fail"


def test_a_refused_version_is_a_matter_of_versions_and_a_full_server_is_not() -> None:
    assert session_step_of(errors.fault("version", "no")) is Step.VERSIONS
    assert session_step_of(errors.RemoteProtocolError("no")) is Step.VERSIONS
    assert session_step_of(errors.fault("limit", "no")) is Step.SESSION


def test_the_same_versions_are_named_once() -> None:
    line = compared({"python": "3.11.1"}, {"python": "3.11.1", "more": "1"}, 2)
    assert line.mark is Mark.OK and line.text == "python 3.11.1, protocol 2"


def test_the_digest_of_the_messages_is_for_programs_alone() -> None:
    both = {"python": "3.11.1", "messages": "0123456789abcdef"}
    line = compared(both, both, 2)
    assert line.text == "python 3.11.1, protocol 2"
    assert line.as_json()["here"] == line.as_json()["there"] == both


def test_another_patch_release_is_told_and_another_minor_one_is_a_warning() -> None:
    assert compared({"python": "3.11.1"}, {"python": "3.11.2"}, 2).mark is Mark.OK
    line = compared({"python": "3.11.1"}, {"python": "3.12.1"}, 2)
    assert line.mark is Mark.WARNING and "python 3.11.1 here and 3.12.1 there" in line.text


@pytest.mark.parametrize(("skew_s", "says"), [(4.0, "4.0 s ahead of"), (-60.0, "60.0 s behind")])
def test_a_clock_that_is_off_is_a_warning_that_says_by_how_much(skew_s: float, says: str) -> None:
    line = clock_line(skew_s)
    assert line.mark is Mark.WARNING and says in line.text


def test_a_clock_within_a_second_is_right() -> None:
    assert clock_line(-0.9).mark is Mark.OK
