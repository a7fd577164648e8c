# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the channel: calls come in one at a time, everything else goes out in order."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_server.worker.channel import ChannelBrokenError
from scenario_execution_server.worker.origin import taken_apart

_HELD_BYTES = 64 * 1024  # no more is held back: far below what a body may be, with whatever is said next
_LOOKS = 100  # payloads that are read to see what waits: a tree in step has one or two on their way


class Channel(Protocol):
    """What the conversation needs of ``worker.channel``."""

    def send(self, *payload: bytes | memoryview) -> None: ...
    def receive(self) -> bytes | memoryview | None: ...
    def wait(self, timeout_s: float) -> bool: ...


class ConversationOver(Exception):
    """The front closed the channel; nobody will answer any more."""


class Conversation:
    """One channel shared by all threads of a worker, without a thread of its own.

    Whoever waits for something reads the channel: the main thread while it waits for the next call, an action's thread
    while it waits for an answer and the main thread is busy. One reads at a time and hands the others what is theirs.

    Args:
        channel: Whole payloads, in order, in both directions; ``send`` may be called from any thread.
        foreign: Gives objects that cannot travel a stand-in, see ``wire.encode``.
    """

    def __init__(self, channel: Channel, foreign: wire.Foreign | None = None) -> None:
        self._channel = channel
        self._foreign = foreign
        self._lock = threading.RLock()
        self._turn = threading.Condition(self._lock)
        self._waiting_count = 0  # threads that another one reads for
        self._is_somebody_reading = False
        self._is_over = False
        self._payload_count = 0  # so many have been read
        self._calls: deque[Any] = deque()
        self._asked: set[int] = set()  # tickets whose answers somebody waits for; no other answer is kept
        self._answers: dict[int, messages.Answer] = {}
        self._tickets = itertools.count(1)
        self._sending = threading.Lock()
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._diverted: dict[type, Callable[[Any], None]] = {}
        self._heard: Callable[[Any], Any] = _unchanged
        self._said: Callable[[Any], Any] = _unchanged

    def divert(self, takers: Mapping[type, Callable[[Any], None]]) -> None:
        """Hand messages of these types to their takers at once, and not to who waits for a call. They must be quick."""
        self._diverted.update(takers)

    def translate(self, heard: Callable[[Any], Any], said: Callable[[Any], Any]) -> None:
        """Put each answer that is *heard* and each message that is *said* from now on into other words. Calls are left
        to who carries them out, as one may change what the next one means."""
        self._heard, self._said = heard, said

    def say(self, message: Any) -> None:
        """Send one message to the client; from any thread. What the worker printed before goes out before it.

        Raises:
            CannotTravelError: a value inside has no form on the wire.
        """
        self._send(wire.encode(self._said(message), self._foreign))

    def tell_front(self, message: Any) -> None:
        """Send one message to the front, which knows it by the beginning of its payload: so nothing goes before it."""
        if self._held:
            self._send()
        self._send(wire.encode(message))

    def say_pieces(self, pieces: Iterable[messages.Piece]) -> None:
        """Send pieces of files at once; see :meth:`say`."""
        self._send(*wire.encode_pieces([self._said(piece) for piece in pieces]).parts)

    def say_soon(self, message: Any) -> None:
        """Send one message along with whatever is said next, or before anything is waited for; see :meth:`say`. For
        who takes the calls."""
        payload = wire.encode(self._said(message), self._foreign)
        with self._sending:
            self._held.append(payload)
            self._held_bytes += len(payload)
        if self._held_bytes > _HELD_BYTES:
            self._send()

    def _send(self, *payload: bytes | memoryview) -> None:
        try:
            with self._sending:  # what was held back goes first, whoever speaks
                held, self._held, self._held_bytes = self._held, [], 0
                self._channel.send(*held, *payload)
        except ChannelBrokenError:
            pass  # nobody listens any more; whoever waits for a call or an answer is told, an action's log line is not

    def next_call(self, timeout_s: float | None = None) -> Any:
        """Wait for the next message that is not an answer; None if none comes within *timeout_s* seconds.

        Raises:
            ConversationOver: the front hung up.
        """
        return self._wait(self._take_call, timeout_s)

    def has_next(self, kinds: frozenset[type]) -> bool:
        """Whether the next call has come already and is of one of these types; for who takes the calls."""
        return bool(self._calls) and type(self._calls[0]) in kinds

    def peek(self) -> Any:
        """The next call, if it has come already; else None. For who takes the calls."""
        return self._calls[0] if self._calls else None

    def waiting(self, kinds: frozenset[type]) -> list[Any]:
        """The calls of these types that have come by now and wait; for who takes the calls.

        Raises:
            ConversationOver: the front hung up.
        """
        for _ in range(_LOOKS):
            count = self._payload_count
            self.pause(0.0)
            if self._payload_count == count:
                break
        return [call for call in self._calls if type(call) in kinds]

    def _take_call(self) -> Any:
        return self._calls.popleft() if self._calls else None

    def ask(self, question: messages.Question, key: str) -> Any:
        """Ask the client and wait for its answer; from any thread.

        Raises:
            KeyError: the client has no such key.
            ConversationOver: the front hung up.
        """
        ticket = next(self._tickets)
        self._asked.add(ticket)
        try:
            self.say(messages.Ask(ticket=ticket, question=question.value, key=key))
            answer: messages.Answer = self._wait(lambda: self._answers.pop(ticket, None))
        finally:
            self._asked.discard(ticket)
            self._answers.pop(ticket, None)
        if answer.error is None:
            return answer.value
        if answer.error == "KeyError":
            raise KeyError(answer.text)
        raise RuntimeError(f"{answer.error}: {answer.text}")

    def wait_for(self, condition: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Wait until *condition* is true, which a taker of diverted messages makes it; from any thread.

        Returns:
            Whether it is, within *timeout_s* seconds.

        Raises:
            ConversationOver: the front hung up.
        """
        return bool(self._wait(lambda: condition() or None, timeout_s))

    def pause(self, seconds: float) -> None:
        """Let so much time pass, and go on listening meanwhile; from any thread.

        Raises:
            ConversationOver: the front hung up.
        """
        self._wait(lambda: None, seconds)

    def _wait(self, take: Callable[[], Any], timeout_s: float | None = None) -> Any:
        """What *take* finds, once it finds something; None if it takes longer than *timeout_s*."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        has_looked = False  # even without time to wait, what is there already is read
        with self._lock:
            while True:
                found = take()
                if found is not None:
                    return found
                if self._is_over:
                    raise ConversationOver
                left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
                if left_s == 0.0 and (has_looked or self._is_somebody_reading):
                    return None
                if self._is_somebody_reading:
                    self._waiting_count += 1
                    try:
                        self._turn.wait(left_s)
                    finally:
                        self._waiting_count -= 1
                else:
                    has_looked = True
                    self._look(left_s)

    def _look(self, left_s: float | None) -> None:
        """Read and file what comes within *left_s* seconds, for all threads. The lock is held, but not meanwhile."""
        received: list[Any] | None = []
        if self._held and left_s != 0.0:
            self._send()
        self._is_somebody_reading = True
        self._lock.release()
        try:
            if left_s is None or self._channel.wait(left_s):
                received = self._read()
        finally:
            self._lock.acquire()
            self._is_somebody_reading = False
            try:
                self._file(received)
            finally:  # whatever a taker or translator raises
                if self._waiting_count:
                    self._turn.notify_all()

    def _read(self) -> list[Any] | None:
        payload = self._channel.receive()
        if payload is None:
            return None
        self._payload_count += 1
        try:
            accepted, body = taken_apart(payload)
            return wire.decode(body, accepted)
        except ValueError as error:
            text = f"The client sent what this worker does not understand: {error}"
            self.say(messages.Log(level="error", text=text))
            return []

    def _file(self, received: list[Any] | None) -> None:
        if received is None:
            self._is_over = True
            return
        for message in received:
            if type(message) in self._diverted:
                self._diverted[type(message)](message)
            elif isinstance(message, messages.Answer):
                if message.ticket in self._asked:
                    self._answers[message.ticket] = self._heard(message)
            else:
                self._calls.append(message)


def _unchanged(message: Any) -> Any:
    return message
