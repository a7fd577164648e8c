# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator

import pytest

from scenario_execution_keys.errors import KeysError
from scenario_execution_remote.errors import (
    ConnectAbortedError,
    EncryptionRequiredError,
    EndpointError,
    FaultError,
    HandshakeError,
    InvitationError,
    LimitReachedError,
    NotEncryptedError,
    NotEnrolledError,
    OwnKeyError,
    RemoteError,
    RotationError,
    ServerIdentityError,
    ServerSilentError,
    ServerUnreachableError,
    SessionLostError,
    SshError,
    WorkerLostError,
    WrongServiceError,
    fault,
)

EVERY_REASON: list[HandshakeError] = [
    ServerUnreachableError("robot:7613", "nobody listens", advice="start it", next_command="scenario_execution_server"),
    ServerSilentError("robot:7613", "says nothing", advice="start it", next_command="scenario_execution_server"),
    WrongServiceError("robot:22", "an SSH server", "SSH-2.0", next_command="scenario_execution_server --port 22"),
    NotEncryptedError(
        "robot:7613", expected="sefp-a", mechanism="NULL", next_command="scenario_execution_server --curve"
    ),
    EncryptionRequiredError("robot:7613"),
    ServerIdentityError("robot:7613", expected="sefp-a"),
    NotEnrolledError("robot:7613", own_fingerprint="sefp-b", own_key="sepub-b"),
    NotEnrolledError("robot:7613"),
    InvitationError("robot:7613", "used already"),
    RotationError("robot:7613", "it says no"),
    SshError("robot", "ssh said no"),
    OwnKeyError("robot:7613", "no key pair for robot:7613", advice="make one", next_command="se-remote keygen"),
]


def family(root: type[RemoteError] | type[KeysError]) -> Iterator[type[RemoteError] | type[KeysError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def test_every_error_has_an_exit_code_of_its_own_also_beside_those_of_the_keys() -> None:
    classes = set(family(RemoteError)) | set(family(KeysError))
    codes = sorted(cls.exit_code for cls in classes if cls.__module__.startswith("scenario_execution_"))
    assert len(codes) == len(set(codes))
    assert all(2 < code < 126 for code in codes)


@pytest.mark.parametrize("error", EVERY_REASON, ids=lambda error: type(error).__name__)
def test_the_sentence_names_the_endpoint_and_ends_with_the_next_command(error: HandshakeError) -> None:
    assert error.next_command
    assert str(error).endswith(error.next_command)
    assert error.endpoint in str(error)
    assert "\n" not in str(error)


def test_every_reason_not_to_be_connected_is_among_those_above() -> None:
    # being told to stop mends nothing and needs no command
    named = {type(error) for error in EVERY_REASON} | {ConnectAbortedError, HandshakeError}
    assert {cls for cls in family(HandshakeError) if cls.__module__.startswith("scenario_execution_")} == named


def test_a_client_that_is_not_enrolled_is_told_the_command_with_its_own_key_in_it() -> None:
    text = str(NotEnrolledError("robot:7613", own_fingerprint="sefp-b", own_key="sepub-b"))
    assert "sefp-b" in text and text.endswith("se-server enrol NAME sepub-b")


@pytest.mark.parametrize(
    "error", [EncryptionRequiredError("/run/se"), ServerIdentityError("/run/se", expected="sefp-a")]
)
def test_a_unix_socket_is_pinned_in_the_scenario_because_the_known_servers_hold_none(error: HandshakeError) -> None:
    assert error.next_command == 'remote("/run/se", server_key: "sepub-...")'


def test_a_lost_session_says_how_long_it_was_silent() -> None:
    assert "5.0 s" in str(SessionLostError("robot:7613", silent_for_s=5.04))


def test_a_fault_becomes_the_error_of_its_code() -> None:
    lost = fault("worker-lost", "it was killed", action_id=3)
    assert type(lost) is WorkerLostError
    assert (lost.code, lost.message, lost.action_id, str(lost)) == ("worker-lost", "it was killed", 3, "it was killed")
    assert type(fault("limit", "too many sessions")) is LimitReachedError


def test_a_fault_of_a_newer_server_is_still_a_fault() -> None:
    unknown = fault("out-of-coffee", "later, please")
    assert type(unknown) is FaultError
    assert unknown.code == "out-of-coffee"


def test_an_endpoint_error_keeps_what_was_given() -> None:
    error = EndpointError("robot:0", "has no port")
    assert (error.text, error.why) == ("robot:0", "has no port")
