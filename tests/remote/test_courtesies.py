# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scenario_execution_remote.courtesies import error_for, hello, shut_out, versions_here
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import (
    NotEnrolledError,
    RemoteError,
    SessionLostError,
    VersionsDifferError,
    fault,
)
from scenario_execution_remote.protocol.agreement import digest_here
from scenario_execution_remote.protocol.client import Over


@pytest.mark.parametrize("reason", ["limit", "stopping", "worker-lost", "protocol", "never heard of"])
def test_what_a_server_says_at_the_end_is_shown_and_obeyed_by_no_terminal(reason: str) -> None:
    said = "full\x1b]0;title\x07\x1b[2J\rINFO all is well\u202e\x9b31m\nlast words: \u00fc\t!"
    shown = str(error_for(Endpoint.parse("127.0.0.1"), Over(reason, said)))
    assert shown == r"full\x1b]0;title\x07\x1b[2J\rINFO all is well\u202e\x9b31m" + "\nlast words: \u00fc\t!"


@pytest.mark.parametrize(("end", "why"), [
    (None, ""),
    (SessionLostError("h", silent_for_s=5.0), ""),
    (fault("bye", ""), ""),
    (fault("stopped", "The server is stopping. Run the scenario again when it is back."), ""),
    (fault("revoked", "The session was ended: the key k is not enrolled. Run: x."),
     "the session was ended: the key k is not enrolled. Run: x"),
    (fault("not-authorised", "the key k is not enrolled. Run: x"), "the key k is not enrolled. Run: x"),
    (NotEnrolledError("h"),
     "the server at h does not admit clients without a key; make a key here and have it enrolled on the server: "
     "se-remote keygen"),
])  # fmt: skip
def test_who_is_let_in_no_more_knows_it_from_the_end_of_the_session(end: RemoteError | None, why: str) -> None:
    assert shut_out(end) == why


def test_a_session_begins_with_the_digest_of_the_messages_that_are_known_here() -> None:
    assert hello("test", 5.0).versions == versions_here()
    assert versions_here()["messages"] == digest_here()


def test_versions_that_do_not_fit_are_an_error_of_their_own() -> None:
    assert isinstance(error_for(Endpoint.parse("127.0.0.1"), Over("version", "no")), VersionsDifferError)
