# SPDX-License-Identifier: Apache-2.0
"""The pages about the protocol say what the code says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import pytest

from scenario_execution_remote.protocol import client, frames, messages, server, stream, wire
from scenario_execution_remote.protocol.client import RULES, State
from scenario_execution_remote.protocol.frames import Frame, Kind, decode_frame
from scenario_execution_remote.protocol.reference import message_page
from tests.protocol.test_client_session import LOST_AFTER_S, Wire, in_state
from tests.support.documents import split
from tests.support.workspace import ROOT

PAGE = ROOT / "docs" / "reference" / "protocol.md"
TEXT = PAGE.read_text(encoding="utf-8")
MESSAGES = ROOT / "docs" / "reference" / "messages.md"
SESSION = bytes(range(16))


def table(first_heading: str) -> list[list[str]]:
    """The rows of the table whose head begins with this cell, without the head."""
    lines = TEXT.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.startswith(f"| {first_heading} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_page_of_messages_is_what_the_messages_say() -> None:
    anew = "from scenario_execution_remote.protocol.reference import message_page as page; print(page(), end='')"
    assert MESSAGES.read_text(encoding="utf-8") == message_page(), f'run: python -c "{anew}" > {MESSAGES}'


def test_every_message_and_every_field_is_on_the_page_of_messages() -> None:
    page = message_page()
    for number, cls in enumerate(wire.MESSAGES):
        assert page.count(f"### {number} {cls.__name__}\n") == 1
        section = page.partition(f"### {number} {cls.__name__}\n")[2].partition("\n#")[0]
        assert re.findall(r"^\* `(\w+)`", section, re.MULTILINE) == [field.name for field in dataclasses.fields(cls)]


def test_the_version_is_that_of_the_code() -> None:
    assert f"**Protocol version {frames.PROTOCOL_VERSION}.**" in TEXT


def test_the_header_is_laid_out_as_the_code_packs_it() -> None:
    rows = table("offset")
    places = {field: (int(offset), count) for offset, count, field, _ in rows}
    frame = Frame(kind=Kind.BEAT, session=b"s" * 16, seq=0x0102030405060708, ack=0x1112131415161718, body=b"body")
    data = frame.encode()
    expected = {
        "magic": b"SE", "version": b"\x02", "kind": b"\x06", "session": b"s" * 16,
        "seq": bytes(range(1, 9)), "ack": bytes(range(0x11, 0x19)), "body": b"body",
    }  # fmt: skip
    assert {
        field: data[offset:] if count == "rest" else data[offset : offset + int(count)]
        for field, (offset, count) in places.items()
    } == expected


def test_the_kinds_are_those_of_the_code() -> None:
    assert [(int(row[0]), row[1]) for row in table("kind")] == [(kind.value, kind.name) for kind in Kind]


def test_the_table_of_the_client_is_the_one_it_goes_by() -> None:
    states = [State.GREETING, State.OPEN, State.RESUMING, State.ENDING]
    shown = {row[0]: row[1:] for row in table("frame")}
    rules = {
        kind.name: [step.value if (step := steps.get(state)) else "" for state in states]
        for kind, steps in RULES.items()
    }
    assert shown == rules


PROBES: dict[str, Callable[[Wire], object]] = {
    **{kind.name: lambda wired, kind=kind: wired.hear(kind) for kind in Kind},  # type: ignore[misc]
    "gap": lambda wired: wired.hear(Kind.DATA, seq=9),
    "tail missing": lambda wired: wired.hear(Kind.BEAT, seq=9),
    "end": lambda wired: wired.machine.end(),
    "lost": lambda wired: wired.machine.connection_lost(),
    "made": lambda wired: wired.machine.connection_made(),
    "silence": lambda wired: wired.wait(LOST_AFTER_S),
}


def test_the_drawing_shows_every_way_from_state_to_state_and_no_other() -> None:
    (drawing,) = [block for block in split(PAGE)[1] if block.language == "mermaid"]
    drawn = set(re.findall(r"^ +(\w+) --> (\w+):", drawing.text, re.MULTILINE))
    gone = set()
    for state in (State.GREETING, State.OPEN, State.RESUMING, State.ENDING):
        for wants_end in (False, True):
            for probe in PROBES.values():
                wired = in_state(state)
                if wants_end and state is not State.OPEN:
                    wired.machine.end()
                probe(wired)
                gone.add((state.value, wired.machine.state.value))
    assert drawn == {(before, after) for before, after in gone if before != after}


def test_the_limits_are_those_of_the_code() -> None:
    shown = {row[0]: row[1] for row in table("limit")}
    assert shown["DATA frames on their way"] == str(stream.WINDOW_FRAMES)
    assert shown["bytes on their way"] == f"{stream.WINDOW_BYTES}, and one body"
    after = f"{stream.CONFIRM_AFTER_FRAMES} frames or {stream.CONFIRM_AFTER_BYTES} bytes"
    assert shown["confirmed unasked after"] == after
    assert shown["kept for a peer that does not confirm"] == f"{stream.KEPT_LIMIT_BYTES} bytes"
    assert shown["a body"] == f"{frames.BODY_LIMIT_BYTES} bytes"
    assert f"at most {frames.FRAME_LIMIT_BYTES} bytes" in TEXT
    assert f"is sent it {server.FREE_REPETITIONS} times at once" in TEXT
    assert f"up to {server.LONGEST_PAUSE_S:g}." in TEXT
    assert TEXT.count(f"{wire.PLAIN_CONTAINERS_LIMIT} arrays") == 2
    assert f"at least {client.BEATS_PER_SILENCE} of them" in TEXT
    assert f"| {client.BEAT_INTERVAL_S:g} | and" in TEXT


def test_the_refusal_codes_are_those_of_the_code() -> None:
    assert [row[0].strip("`") for row in table("code")] == [code.value for code in messages.RefusalCode]


def test_the_reasons_of_an_end_are_those_its_message_names() -> None:
    assert [row[0] for row in table("reason")] == re.findall(r"`(`[\w-]+`)`", messages.Ended.__doc__ or "")


EXAMPLE: list[tuple[Frame, object]] = [
    (
        Frame(kind=Kind.HELLO, session=SESSION),
        messages.Hello(
            program="demo",
            versions={"scenario-execution": "1.8.0", "py-trees": "2.4.0", "messages": "0123456789abcdef"},
            silence_s=5.0,
        ),
    ),
    (
        Frame(kind=Kind.WELCOME, session=SESSION),
        messages.Welcome(
            program="server", versions={"messages": "0123456789abcdef"},
            watchdog_s=10.0, shutdown_timeout_s=5.0, next_key=None,
        ),
    ),
    (
        Frame(kind=Kind.DATA, session=SESSION, seq=3, ack=2),
        messages.Tick(call=3, action=1, arguments={"mode": ("fast", 2)}, now_s=None, period_s=None, after=None),
    ),
    (
        Frame(kind=Kind.DATA, session=SESSION, seq=3, ack=3),
        messages.Result(call=3, status="RUNNING", stopped=False, feedback="", fault=None, value=None, nodes=[]),
    ),
]


def example_bytes() -> list[bytes]:
    """The hexadecimal bytes of the blocks under "An example": each line up to the words that explain it."""
    shown = []
    for block in split(PAGE)[1]:
        if block.language == "text" and block.text.startswith("53 45"):
            pairs = [re.match(r"(?:\s*\b[0-9a-f]{2}\b)+", line) for line in block.text.splitlines()]
            shown.append(bytes.fromhex("".join(match[0] for match in pairs if match)))
    return shown


@pytest.mark.parametrize("index", range(len(EXAMPLE)))
def test_the_example_is_what_the_code_sends_and_understands(index: int) -> None:
    frame, message = EXAMPLE[index]
    data = example_bytes()[index]
    assert data.hex(" ") == frame._replace(body=wire.encode(message)).encode().hex(" ")
    assert wire.decode(decode_frame(data).body, frozenset({type(message)})) == [message]


def test_the_example_has_no_frame_that_is_not_compared() -> None:
    assert len(example_bytes()) == len(EXAMPLE)
