# SPDX-License-Identifier: Apache-2.0
"""The page about connection errors says what the code says: every class, every sentence, every exit code."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from scenario_execution_remote import connection, errors, probe, transport
from scenario_execution_remote.diagnosis import (
    Attempt,
    Certainty,
    Finding,
    Outcome,
    Parties,
    Probe,
    Reach,
    diagnose,
    unresolved,
)
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.greeting import Greeting, Tongue
from tests.support.keys import CLIENT, SERVER
from tests.support.workspace import ROOT

PAGE = (ROOT / "docs" / "reference" / "connection-errors.md").read_text(encoding="utf-8")
ROBOT, SOCKET = Endpoint.parse("robot"), Endpoint.parse("/run/se.sock")
PLAINLY = Parties(endpoint=ROBOT, own=None, server_key=None)
LOCALLY = Parties(endpoint=SOCKET, own=None, server_key=None)
PINNED = Parties(endpoint=ROBOT, own=CLIENT.public, server_key=SERVER.public)
IN_SCENARIO = replace(PINNED, is_key_in_scenario=True)
WHEN = {
    Certainty.FINAL: "at once",
    Certainty.PROBABLE: "if a second attempt ends alike",
    Certainty.PASSING: "at the deadline",
}


# The transport tries such a key again until the deadline, because somebody may be enrolling it just now.
AWAITED = "a warning at once, the error at the deadline"


def when(found: Finding) -> str:
    return AWAITED if isinstance(found.error, errors.NotEnrolledError) else WHEN[found.certainty]


def at(reach: Reach, detail: str = "") -> Probe:
    return Probe(reach=reach, detail=detail)


def met(tongue: Tongue, mechanism: str = "", *, closed: bool = False, service: str = "", said: str = "") -> Probe:
    greeting = Greeting(tongue=tongue, mechanism=mechanism, service=service, said=said)
    return Probe(reach=Reach.REACHED, greeting=greeting, closed=closed)


def after(parties: Parties, outcome: Outcome, seen: Probe, status: int = 0) -> Finding:
    return diagnose(parties, Attempt(outcome=outcome, status=status), seen)


SSH = met(Tongue.OTHER, service="an SSH server", said="SSH-2.0-OpenSSH_9.2")
NULL, CURVE = met(Tongue.ZMTP, "NULL"), met(Tongue.ZMTP, "CURVE")
SHOWN = [
    after(PLAINLY, Outcome.NOBODY, at(Reach.REFUSED)),
    after(PLAINLY, Outcome.UNANSWERED, at(Reach.UNANSWERED)),
    after(PLAINLY, Outcome.NOBODY, at(Reach.OTHER, "no route to host")),
    unresolved(ROBOT, "Name or service not known", is_final=True),
    unresolved(ROBOT, "no name server answers", is_final=False),
    after(LOCALLY, Outcome.NOBODY, at(Reach.NO_FILE)),
    after(LOCALLY, Outcome.NOBODY, at(Reach.NOT_A_SOCKET)),
    after(LOCALLY, Outcome.NOBODY, at(Reach.NO_PERMISSION, "permission denied")),
    after(PLAINLY, Outcome.STALLED, met(Tongue.NOTHING)),
    after(PLAINLY, Outcome.BROKEN_OFF, met(Tongue.NOTHING, closed=True)),
    after(PLAINLY, Outcome.STALLED, met(Tongue.UNFINISHED)),
    after(PINNED, Outcome.STALLED, CURVE),
    after(PINNED, Outcome.DENIED, CURVE, 500),
    after(PLAINLY, Outcome.BROKEN_OFF, SSH),
    after(PLAINLY, Outcome.BROKEN_OFF, met(Tongue.OLD_ZMTP)),
    after(PLAINLY, Outcome.BROKEN_OFF, NULL),
    after(PLAINLY, Outcome.MISMATCH, met(Tongue.ZMTP, "PLAIN")),
    after(PINNED, Outcome.MISMATCH, NULL),
    after(PLAINLY, Outcome.MISMATCH, CURVE),
    after(PINNED, Outcome.BROKEN_OFF, CURVE),
    after(IN_SCENARIO, Outcome.BROKEN_OFF, CURVE),
    after(PINNED, Outcome.DENIED, CURVE, 400),
    after(PLAINLY, Outcome.DENIED, NULL, 400),
]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def family(root: type[BaseException]) -> list[type[BaseException]]:
    return [root, *(cls for child in root.__subclasses__() for cls in family(child))]


def test_the_sentences_of_the_page_are_those_of_the_code_in_the_same_order() -> None:
    shown = [[f"`{type(found.error).__name__}`", str(found.error), when(found)] for found in SHOWN]
    assert [[name, sentence, moment] for name, _, sentence, moment in rows("Not connected")] == shown


def test_every_error_class_is_on_the_page_with_its_exit_code() -> None:
    ours = [cls for cls in family(errors.RemoteError) if cls.__module__ == errors.__name__]
    expected = {(f"`{cls.__name__}`", str(cls.exit_code)) for cls in ours}  # type: ignore[attr-defined]
    assert {(name, code) for name, code, *_ in rows("Exit codes")} == expected
    assert {(name, code) for name, code, *_ in rows("Not connected")} <= expected


def test_the_head_of_the_errors_draws_every_class() -> None:
    drawn = set(re.findall(r"\w+Error", errors.__doc__ or "")) - {"ValueError"}
    ours = {cls.__name__ for cls in family(errors.RemoteError) if cls.__module__ == errors.__name__}
    assert drawn == ours


@pytest.mark.parametrize("name", [name for name, *_ in rows("Numbers")])
def test_the_numbers_of_the_page_are_those_of_the_code(name: str) -> None:
    ((_, value, *_),) = [row for row in rows("Numbers") if row[0] == name]
    home = {module.__name__.rpartition(".")[2]: module for module in (transport, connection, probe)}
    module, _, constant = name.strip("`").partition(".")
    number, unit = value.split()
    assert float(number) * {"s": 1, "MiB": 2**20}[unit] == getattr(home[module], constant)
