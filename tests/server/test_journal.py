# SPDX-License-Identifier: Apache-2.0
"""The log: one line per event, whatever peers write, and nobody waits for its reader."""

from __future__ import annotations

import io
import logging
import re
import threading

import pytest

from scenario_execution_server import journal
from scenario_execution_server.journal import LOGGER_NAME, Journal, Logging, announce, event

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def logged(level: str = "debug", **fields: object) -> str:
    stream = io.StringIO()
    with Logging(stream, level) as log:
        event(log, logging.WARNING, "something happened", **fields)
    return stream.getvalue()


def test_a_line_is_time_in_utc_level_sentence_and_fields() -> None:
    line = logged(client="friend", times=3, nothing=None)
    assert TIME.match(line)
    assert TIME.sub("", line) == "WARNING something happened client=friend times=3\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("two words", '"two words"'),
        ("", '""'),
        ('quote" level=ERROR', r'"quote\" level=ERROR"'),
        ("a=b", '"a=b"'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nfeed\r\t\0", r'"line\nfeed\r\t\x00"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("\u202etxt.exe", r'"\u202etxt.exe"'),
        ("\u2028", r'"\u2028"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("\x85", r'"\x85"'),
    ],
)
def test_no_value_can_forge_a_line_or_a_field(value: str, shown: str) -> None:
    assert TIME.sub("", logged(who=value)) == f"WARNING something happened who={shown}\n"


def test_no_message_can_forge_a_line() -> None:
    stream = io.StringIO()
    with Logging(stream, "info") as log:
        log.warning("peer says %s", "hello\n2026-01-01T00:00:00.000Z INFO all is well")
    assert stream.getvalue().count("\n") == 1


def test_a_traceback_is_one_line_too() -> None:
    stream = io.StringIO()
    with Logging(stream, "info") as log:
        try:
            raise ValueError("first\nsecond")
        except ValueError:
            log.exception("it went wrong")
    assert stream.getvalue().count("\n") == 1
    assert "first\\nsecond" in stream.getvalue()


def test_lines_below_the_level_are_left_out_but_where_it_listens_is_always_said() -> None:
    stream = io.StringIO()
    with Logging(stream, "error") as log:
        event(log, logging.WARNING, "something happened")
        announce(log, "listening on tcp://127.0.0.1:7613")
    assert TIME.sub("", stream.getvalue()) == "INFO listening on tcp://127.0.0.1:7613\n"


def test_afterwards_the_logger_is_as_before() -> None:
    log = logging.getLogger(LOGGER_NAME)
    before = (log.level, log.propagate, list(log.handlers))
    logged()
    assert (log.level, log.propagate, list(log.handlers)) == before


class Stalled(io.StringIO):
    """A terminal after Ctrl-S."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.written_to = threading.Event()

    def write(self, text: str) -> int:
        self.written_to.set()
        assert self.reading.wait(10)
        return super().write(text)


def test_nobody_waits_for_a_reader_that_stalls_and_what_was_lost_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_QUEUE_LINES", 5)
    stream = Stalled()
    handler = Journal(stream)
    log = logging.Logger("test")
    log.addHandler(handler)
    log.info("first")
    assert stream.written_to.wait(10)
    for number in range(8):
        log.info("line %d", number)
    stream.reading.set()
    handler.close()
    lines = stream.getvalue().splitlines()
    assert [line.rsplit("INFO ", 1)[-1] for line in lines[:-1]] == ["first", *(f"line {n}" for n in range(5))]
    assert lines[-1].endswith("log lines were lost, standard error was not read lines=3")


def test_closing_does_not_wait_for_a_reader_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_CLOSE_WITHIN_S", 0.05)
    stream = Stalled()
    handler = Journal(stream)
    handler.emit(logging.makeLogRecord({"msg": "x", "levelname": "INFO"}))
    handler.close()
    stream.reading.set()
    handler._thread.join(10)
    assert not handler._thread.is_alive()


def test_a_closed_standard_error_does_not_end_the_server() -> None:
    stream = io.StringIO()
    handler = Journal(stream)
    stream.close()
    handler.emit(logging.makeLogRecord({"msg": "x", "levelname": "INFO"}))
    handler.close()
    assert not handler._thread.is_alive()


def test_an_announcement_is_written_when_it_returns() -> None:
    class SlowStream(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait(0.05)
            return super().write(text)

    stream, gate = SlowStream(), threading.Event()
    with Logging(stream, "error") as log:
        announce(log, "listening on everything")
        assert "INFO listening on everything" in stream.getvalue()
