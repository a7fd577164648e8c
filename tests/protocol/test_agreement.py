# SPDX-License-Identifier: Apache-2.0
"""The digest by which a client and a server see whether they know the same messages, and what is said if not."""

from __future__ import annotations

import hashlib
import re
from dataclasses import make_dataclass
from typing import Any

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.agreement import MEND, described, digest_here, digest_of, disagreement
from scenario_execution_remote.protocol.frames import Frame, Kind, decode_frame
from tests.support.workspace import ROOT

REFERENCE = ROOT / "docs" / "reference"


def a_message(name: str = "Thing", fields: str = "count size owner", kind: Any = int, part: str = "name") -> type:
    """A message that is not one of ours."""
    first, second, third = fields.split()
    owner = make_dataclass("Owner", [(part, str)])
    return make_dataclass(name, [(first, kind), (second, float | None), (third, owner | None)])


PLAIN = digest_of([(4, a_message())])


def sections() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """Of each message and each part on the page of messages: the group it is in, and its fields and their kinds."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    group = title = ""
    for line in (REFERENCE / "messages.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            group = line[3:]
        elif line.startswith("### "):
            title = line[4:]
            found[title] = (group, [])
        elif field := re.match(r"\* `(\w+)`: (.*?)(?:\. .*)?$", line):
            found[title][1].append((field[1], field[2]))
    return found


def test_the_digest_can_be_made_from_the_page_of_messages_alone() -> None:
    page = sections()

    def said(title: str) -> str:
        kinds = [(name, re.sub(r"\[(\w+)\]\([^)]*\)", linked, kind)) for name, kind in page[title][1]]
        return f"{title.rpartition(' ')[2]}({', '.join(f'{name} {kind}' for name, kind in kinds)})"

    def linked(link: re.Match[str]) -> str:
        return "value" if link[1] == "value" else said(next(one for one in page if one.rpartition(" ")[2] == link[1]))

    exchanged = [title for title, (group, _) in page.items() if group.startswith("In ")]
    exchanged.sort(key=lambda title: int(title.split()[0]))
    text = "".join(f"{title.split()[0]} {said(title)}\n" for title in exchanged)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest_here()


def test_the_lines_on_the_page_are_those_that_the_digest_is_made_of() -> None:
    page = (REFERENCE / "protocol.md").read_text(encoding="utf-8")
    assert f"\n0 {described(messages.Hello)}\n1 {described(messages.Welcome)}\n```" in page


def test_what_goes_on_inside_a_server_is_no_matter_of_its_clients() -> None:
    inside = wire.FROM_FRONT | wire.FOR_FRONT
    numbered = list(enumerate(wire.MESSAGES))
    assert digest_here() == digest_of((number, cls) for number, cls in numbered if cls not in inside)
    assert digest_here() != digest_of(numbered)


@pytest.mark.parametrize(
    "other",
    [
        (5, a_message()),
        (4, a_message("Other")),
        (4, a_message(fields="number size owner")),
        (4, a_message(fields="size count owner")),
        (4, a_message(kind=str)),
        (4, a_message(kind=int | None)),
        (4, a_message(kind=list[int])),
        (4, a_message(part="title")),
        (4, make_dataclass("Thing", [("count", int)])),
    ],
    ids=["number", "name", "field", "order", "type", "nil", "array", "part", "fewer"],
)
def test_whatever_changes_a_message_on_the_wire_changes_the_digest(other: tuple[int, type]) -> None:
    assert re.fullmatch("[0-9a-f]{16}", PLAIN)
    assert digest_of([other]) != PLAIN


def test_an_array_that_may_be_missing_is_not_one_of_items_that_may_be() -> None:
    kinds = (list[int] | None, list[int | None], dict[str, int] | None, dict[str, int | None])
    assert len({digest_of([(4, a_message(kind=kind))]) for kind in kinds}) == len(kinds)


def test_what_does_not_show_on_the_wire_does_not_change_the_digest() -> None:
    other = a_message(kind=int)
    other.__doc__ = "Says more."
    assert digest_of([(4, other)]) == PLAIN
    one, two = (4, a_message()), (7, a_message("Other", kind=bytes))
    assert digest_of([one, two]) == digest_of([two, one])
    assert digest_of([(4, a_message(kind=bytes | memoryview))]) == digest_of([(4, a_message(kind=bytes))])
    assert digest_of([(4, a_message(kind=None | int))]) == digest_of([(4, a_message(kind=int | None))])


CLIENT = {"scenario-execution-remote": "0.2.0", "messages": "0123456789abcdef"}
SERVER = {"scenario-execution-server": "0.1.0", "messages": "0123456789abcdef"}


def test_who_says_the_same_digest_agrees_whatever_else_is_installed() -> None:
    assert disagreement(CLIENT, SERVER) is None


@pytest.mark.parametrize(
    ("client", "server", "why"),
    [
        ({"messages": "fedcba9876543210"}, {}, "their messages are not the same"),
        ({"messages": ""}, {}, "their messages are not the same"),
        ({"messages": None}, {}, "the client does not say which messages it knows, as older ones do not"),
        ({}, {"messages": None}, "the server does not say which messages it knows, as older ones do not"),
    ],
)
def test_who_says_another_digest_or_none_is_told_both_versions_and_what_to_do(
    client: dict[str, str | None], server: dict[str, str | None], why: str
) -> None:
    theirs = {name: value for name, value in (CLIENT | client).items() if value is not None}
    ours = {name: value for name, value in (SERVER | server).items() if value is not None}
    both = "The client has scenario-execution-remote 0.2.0, the server scenario-execution-server 0.1.0"
    assert disagreement(theirs, ours) == f"{both}, and {why}. {MEND}"


def test_a_refusal_has_the_bytes_that_every_version_reads() -> None:
    body = bytes.fromhex("93 02 a7 76 65 72 73 69 6f 6e a3 4e 6f 2e")
    assert wire.encode(messages.Refused(code="version", text="No.")) == body
    header = bytes.fromhex("53 45 09 03") + bytes(32)
    assert decode_frame(header + body) == Frame(kind=Kind.REFUSED, session=bytes(16), body=body)
