# SPDX-License-Identifier: Apache-2.0
"""What a person sees of files on their way, on a terminal and in a log."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator

import pytest

from scenario_execution_remote.files.progress import LARGE_BYTES
from scenario_execution_remote.files.reporting import Reporter


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal:
    """A pseudo-terminal, and what was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.stream = open(theirs, "w", encoding="utf-8")
        os.set_blocking(self._ours, False)

    def read(self) -> str:
        try:
            return os.read(self._ours, 65536).decode()
        except BlockingIOError:
            return ""

    def close(self) -> None:
        self.stream.close()
        os.close(self._ours)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_a_bar_is_drawn_on_a_terminal_after_a_second_and_taken_away_at_the_end(terminal: Terminal) -> None:
    clock, told = Clock(), list[tuple[str, str]]()
    reporter = Reporter("files", lambda level, text: told.append((level, text)), terminal.stream, clock)
    reporter.expect(1000)
    reporter.begin("x.bag")
    clock.now_s = 0.9
    reporter.advance(100)
    assert terminal.read() == ""
    clock.now_s = 1.1
    reporter.advance(400)
    seen = terminal.read()
    assert "x.bag [##########" in seen and "50%" in seen and "left" in seen and seen.endswith("\r")
    reporter.finish()
    reporter.end()
    assert terminal.read() == "\r\x1b[K"
    assert told == []


def test_what_is_quick_leaves_no_trace(terminal: Terminal) -> None:
    told = list[tuple[str, str]]()
    reporter = Reporter("files", lambda level, text: told.append((level, text)), terminal.stream, Clock())
    reporter.expect(1000)
    reporter.begin("x")
    reporter.advance(1000)
    reporter.end()
    assert terminal.read() == "" and told == []


def test_a_log_gets_a_line_now_and_then_and_no_bar() -> None:
    clock, told, stream = Clock(), list[tuple[str, str]](), io.StringIO()
    reporter = Reporter("files come home", lambda level, text: told.append((level, text)), stream, clock)
    reporter.expect(1000)
    reporter.begin("x")
    for second in range(40):
        clock.now_s = float(second)
        reporter.advance(10)
    assert stream.getvalue() == ""
    assert len(told) == 2
    assert told[0][0] == "info" and told[0][1].startswith("files come home: x [###")


def test_what_was_large_is_summed_up_in_one_line_at_the_end() -> None:
    clock, told = Clock(), list[tuple[str, str]]()
    reporter = Reporter("files come home", lambda level, text: told.append((level, text)), io.StringIO(), clock)
    reporter.expect(LARGE_BYTES)
    clock.now_s = 2.0
    reporter.advance(LARGE_BYTES)
    reporter.finish()
    reporter.end()
    assert told == [("info", "files come home: 1 file, 64.0 MB in 0:02, 32.0 MB/s")]


def test_a_stream_that_is_closed_meanwhile_does_no_harm(terminal: Terminal) -> None:
    clock = Clock()
    reporter = Reporter("files", lambda level, text: None, terminal.stream, clock)
    reporter.expect(1000)
    clock.now_s = 2.0
    reporter.advance(10)
    terminal.stream.close()
    clock.now_s = 3.0
    reporter.advance(10)
    reporter.end()
