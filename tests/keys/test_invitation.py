# SPDX-License-Identifier: Apache-2.0
"""The line that invites, as text."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from scenario_execution_keys.errors import EntryNameError, KeyTextError
from scenario_execution_keys.invitation import ENDPOINTS_LIMIT, INVITATION_PREFIX, Invitation, check_endpoints
from tests.support.keys import CLIENT, SERVER

UNTIL = datetime(2030, 1, 31, 12, 0, 7, tzinfo=timezone.utc)
LINE = Invitation(server=SERVER.public, pair=CLIENT, until=UNTIL, endpoints=("robot.lab:7613", "[::1]:7614"))


def test_what_is_invited_is_read_back() -> None:
    assert Invitation.parse(LINE.text) == LINE


def test_a_line_can_be_pasted_anywhere() -> None:
    assert LINE.text.removeprefix(INVITATION_PREFIX).isalnum() and LINE.text == LINE.text.lower()


def test_what_a_mail_does_to_a_line_is_undone() -> None:
    broken = "  " + LINE.text[:70] + "\r\n  " + LINE.text[70:].upper() + "\n"
    assert Invitation.parse(broken) == LINE


def test_no_changed_character_goes_unnoticed() -> None:
    for place in range(len(INVITATION_PREFIX), len(LINE.text) - 1):
        other = "b" if LINE.text[place] == "a" else "a"
        with pytest.raises(KeyTextError):
            Invitation.parse(LINE.text[:place] + other + LINE.text[place + 1 :])


def test_no_missing_end_goes_unnoticed() -> None:
    for length in range(len(LINE.text)):
        with pytest.raises(KeyTextError):
            Invitation.parse(LINE.text[:length])


@pytest.mark.parametrize(
    "text",
    ["", "seinv-", SERVER.public.text, CLIENT.secret.reveal_text(), "seinv-ä", "seinv-" + "a" * 5000, "seinv-1890"],
    ids=["nothing", "prefix", "public key", "secret key", "not ascii", "endless", "not base32"],
)
def test_what_is_no_invitation_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(KeyTextError) as caught:
        Invitation.parse(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_the_secret_of_a_line_is_not_shown_by_accident() -> None:
    assert CLIENT.secret.reveal_z85() not in repr(LINE)


@pytest.mark.parametrize(
    "endpoints",
    [
        [],
        ["robot"],
        ["loopback"],
        ["robot:0"],
        ["/run/s"],
        ["a b:1"],
        [f"r:{n}" for n in range(1, ENDPOINTS_LIMIT + 2)],
    ],
    ids=str,
)
def test_an_invitation_names_hosts_with_ports(endpoints: list[str]) -> None:
    with pytest.raises(EntryNameError):
        check_endpoints(endpoints)
