# SPDX-License-Identifier: Apache-2.0
"""What a client may do, as rules."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from scenario_execution_keys.errors import PermissionValueError
from scenario_execution_keys.limits import FileLimits
from scenario_execution_keys.permissions import (
    MAX_SESSIONS,
    OPTIONS,
    Permissions,
    is_allowed,
    parse_when,
    show_instant,
)
from tests.support.workspace import ROOT

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=timezone.utc)
FULL = {
    "actions": "log nav_*",
    "from": "192.0.2.0/24 2001:db8::/32 127.0.0.1/32",
    "until": "2030-02-01T00:00:00Z",
    "sessions": "2",
    "files": "total=20G count=1000 rate=50M stored=0",
    "admin": "yes",
}


def test_without_options_everything_is_allowed_but_administration() -> None:
    may = Permissions.from_metadata({"name": "alice", "enrolled": "2030-01-01T00:00:00Z", "x-desk": "4"})
    assert may == Permissions()
    assert is_allowed("anything", may.globs)
    assert may.objection("203.0.113.9", NOW) is None
    assert not may.admin


@pytest.mark.parametrize("metadata", [FULL, {"observe": "yes"}, {}], ids=["full", "observer", "nothing"])
def test_what_is_written_is_read_back(metadata: dict[str, str]) -> None:
    assert Permissions.from_metadata(metadata).to_metadata() == metadata


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action", "log"),
        ("Actions", "log"),
        ("allow", "log"),
        ("permissions", "none"),
        ("actions", ""),
        ("actions", "nav/*"),
        ("actions", "log;rm"),
        ("actions", "x" * 129),
        ("from", ""),
        ("from", "192.0.2.1/24"),
        ("from", "192.0.2.0/33"),
        ("from", "robot.lab"),
        ("from", "192.0.2.0/24, 198.51.100.0/24"),
        ("until", ""),
        ("until", "tomorrow"),
        ("until", "2030-02-01T00:00:00"),
        ("until", "2030-02-01"),
        ("until", "90d"),
        ("files", ""),
        ("files", "none"),
        ("files", "total"),
        ("files", "total=-1"),
        ("files", "total=1g"),
        ("files", "total=1 total=2"),
        ("files", "count=1k"),
        ("files", "rate=0"),
        ("files", "speed=1M"),
        ("sessions", "0"),
        ("sessions", "-1"),
        ("sessions", "many"),
        ("sessions", "\u0662"),
        ("sessions", str(MAX_SESSIONS + 1)),
        ("observe", ""),
        ("observe", "true"),
        ("admin", "Yes"),
    ],
)
def test_an_unknown_name_or_value_refuses_the_whole_entry_by_name(name: str, value: str) -> None:
    with pytest.raises(PermissionValueError) as caught:
        Permissions.from_metadata({"sessions": "1", name: value})
    assert caught.value.option == name
    assert str(caught.value).startswith(f"{name}: ")


def test_who_only_looks_has_no_list_of_actions_beside_it() -> None:
    with pytest.raises(PermissionValueError, match="observe"):
        Permissions.from_metadata({"observe": "yes", "actions": "log"})


@pytest.mark.parametrize(
    ("globs", "action", "allowed"),
    [
        ("log", "log", True),
        ("log", "Log", False),
        ("log", "logger", False),
        ("nav_*", "nav_to_pose", True),
        ("nav_*", "navigate", False),
        ("log nav_?", "nav_1", True),
        ("[!r]*", "run_process", False),
        ("log", "log\n", False),
        ("* log", "run_process", True),
    ],
)
def test_a_glob_covers_whole_names(globs: str, action: str, allowed: bool) -> None:
    assert is_allowed(action, Permissions.from_metadata({"actions": globs}).globs) is allowed


def test_an_observer_may_run_nothing() -> None:
    assert not is_allowed("log", Permissions(observe=True).globs)


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("192.0.2.77", True),
        ("192.0.3.1", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("", False),
        ("unix", False),
    ],
)
def test_a_network_admits_its_own_addresses_only(address: str, admitted: bool) -> None:
    may = Permissions.from_metadata({"from": FULL["from"]})
    assert (may.objection(address, NOW) is None) is admitted


@pytest.mark.parametrize(("seconds", "admitted"), [(-1, True), (0, False), (1, False)])
def test_a_permission_ends_at_its_moment(seconds: int, admitted: bool) -> None:
    may = Permissions(until=NOW)
    assert (may.objection("127.0.0.1", NOW + timedelta(seconds=seconds)) is None) is admitted


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("90s", "2030-01-31T12:01:30Z"),
        ("15m", "2030-01-31T12:15:00Z"),
        ("8h", "2030-01-31T20:00:00Z"),
        ("90d", "2030-05-01T12:00:00Z"),
        ("2w", "2030-02-14T12:00:00Z"),
        ("2030-02-01T00:00:00Z", "2030-02-01T00:00:00Z"),
        ("2030-02-01T00:00:00+02:00", "2030-01-31T22:00:00Z"),
        ("2030-02-01 00:00:00.500z", "2030-02-01T00:00:00Z"),
    ],
)
def test_a_moment_is_typed_as_a_span_or_as_a_date_time(typed: str, meant: str) -> None:
    assert show_instant(parse_when(typed, NOW)) == meant


def test_without_a_time_zone_that_of_this_machine_is_meant() -> None:
    local = datetime(2031, 5, 6, 7, 8).astimezone()
    assert parse_when("2031-05-06T07:08", NOW) == local
    assert parse_when("2031-05-06", NOW) == datetime(2031, 5, 6).astimezone()


@pytest.mark.parametrize("typed", ["", "0d", "-3d", "soon", "3 years", "999999w", "2029-01-01T00:00:00Z", "15"])
def test_what_is_no_moment_to_come_is_refused(typed: str) -> None:
    with pytest.raises(PermissionValueError, match="until"):
        parse_when(typed, NOW)


def test_the_options_in_the_reference_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "reference" / "keys.md").read_text(encoding="utf-8")
    section = text.partition("\n## Permissions\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `--[^|]*\| `(\w+)` \|", section, re.MULTILINE) == list(OPTIONS)
    assert f"1 to {MAX_SESSIONS}" in section


@pytest.mark.parametrize(
    ("name", "needed", "words"),
    [
        ("stored", 1_200_000, "total=5k stored=3M"), ("total", 2_000_000, "total=4M"), ("count", 1, "total=5k count=2"),
        ("stored", 0, "total=5k stored=0"), ("count", 5001, "total=5k count=20000"),
    ],
)  # fmt: skip
def test_a_limit_that_is_too_low_is_raised_to_a_round_number_and_the_others_stay(
    name: str, needed: int, words: str
) -> None:
    raised = FileLimits.parse(["total=5k"]).raised(name, needed)
    assert raised.text == words and FileLimits.parse(words.split()) == raised
