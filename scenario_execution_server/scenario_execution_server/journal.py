# SPDX-License-Identifier: Apache-2.0
"""The server's log on standard error: one line per event, which no peer can forge and no reader can hold up.

A line is the time in UTC, the level, a sentence, and ``key=value`` fields.
"""

from __future__ import annotations

import collections
import logging
import threading
from datetime import datetime, timezone
from types import TracebackType
from typing import Protocol

LOGGER_NAME = "scenario_execution_server"
_QUEUE_LINES = 10_000  # about 2 MB; a reader that is further behind than this has stopped reading
_CLOSE_WITHIN_S = 1.0  # then the rest stays unwritten: a terminal stopped with Ctrl-S must not hold up the end
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@+*[]%,")


class LineStream(Protocol):
    """What the log is written to: standard error, or a buffer in tests."""

    def write(self, text: str, /) -> object:
        """Write a line."""

    def flush(self) -> object:
        """Hand it on."""


def event(log: logging.Logger, level: int, sentence: str, **fields: object) -> None:
    """Log a sentence with fields; fields that are None are left out.

    Args:
        log: The server's logger.
        level: As in `logging`.
        sentence: What happened; the same words every time, so that it can be searched for.
        fields: What it happened to.
    """
    log.log(level, "%s", sentence, extra={"fields": fields})


def escaped(text: str) -> str:
    """The text on one line: whatever is not printable, or could change how the line is read, as an escape."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def _value(value: object) -> str:
    """Quoted as soon as it could be taken for more than one value."""
    text = str(value)
    if text and all(char in _BARE for char in text):
        return text
    return '"' + escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class LineFormatter(logging.Formatter):
    """One line per record, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        time = datetime.fromtimestamp(record.created, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        parts = [f"{time}Z", record.levelname, escaped(record.getMessage())]
        fields: dict[str, object] = getattr(record, "fields", {})
        parts += [f"{key}={_value(value)}" for key, value in fields.items() if value is not None]
        if record.exc_info:
            parts.append(f"traceback={_value(self.formatException(record.exc_info))}")
        return " ".join(parts)


class Journal(logging.Handler):
    """Writes lines from a thread of its own, so that a stalled terminal or pipe holds up that thread and nobody else.

    Lines that no longer fit into the queue are counted, and the count is written as soon as there is room.
    """

    def __init__(self, stream: LineStream) -> None:
        super().__init__()
        self.setFormatter(LineFormatter())
        self._stream = stream
        self._lines: collections.deque[str] = collections.deque()
        self._lost_count = 0
        self._changed = threading.Condition()
        self._closing = False
        self._is_writing = False
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line; never waits for the stream."""
        line = self.format(record)
        with self._changed:
            if len(self._lines) >= _QUEUE_LINES:
                self._lost_count += 1
                return
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until what was queued before is written, for at most a second."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._is_writing, _CLOSE_WITHIN_S)

    def close(self) -> None:
        """Write what is queued, for at most a second, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_WITHIN_S)
        super().close()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._lost_count or self._closing)
                if not self._lines and not self._lost_count:
                    return
                lines, self._lines = self._lines, collections.deque()
                lost_count, self._lost_count = self._lost_count, 0
                self._is_writing = True
            text = [*lines]
            if lost_count:
                time = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
                text.append(f"{time}Z WARNING log lines were lost, standard error was not read lines={lost_count}")
            try:
                self._stream.write("\n".join(text) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # standard error was closed: there is nobody left to tell
                pass
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()


class Logging:
    """Context in which the server's logger writes to `stream`.

    Args:
        stream: Where lines go.
        level: Least important level, as in `logging`, by its lower-case name.
    """

    def __init__(self, stream: LineStream, level: str) -> None:
        self._stream = stream
        self._level = level
        self._log = logging.getLogger(LOGGER_NAME)
        self._journal: Journal | None = None

    def __enter__(self) -> logging.Logger:
        self._journal = Journal(self._stream)
        self._log.addHandler(self._journal)
        self._log.setLevel(self._level.upper())
        self._log.propagate = False
        return self._log

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._log.removeHandler(self._journal)
            self._journal.close()
        self._log.propagate = True
        self._log.setLevel(logging.NOTSET)


def announce(log: logging.Logger, sentence: str) -> None:
    """Log a sentence whatever the level: it is what whoever starts the server waits for. It is written on return.

    Whoever is told by another way that the server listens (``--ready-fd``) reads in this line where.
    """
    log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, sentence, (), None))
    for handler in log.handlers:
        handler.flush()
