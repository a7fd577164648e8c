# SPDX-License-Identifier: Apache-2.0
"""What a worker says, handed out in order, and no further than the tree has come.

The set-up of all actions of a server is sent at once, so that it costs one round trip and not one for each. What an
action logs, writes or asks in its ``setup()`` must still not show before the tree has reached that action. So the inbox
pauses in front of the first set-up, as the tree may be busy with another server's, and behind the result of each, until
somebody waits for the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from .protocol import messages


class Sink(Protocol):
    """Who takes what the worker says by itself. Called in the order of arrival, in the thread that listens."""

    def log(self, record: messages.Log) -> None: ...
    def output(self, chunk: messages.Output) -> None: ...
    def feedback(self, change: messages.Feedback) -> None: ...
    def write(self, write: messages.Write) -> None: ...
    def registered_key(self, registration: messages.RegisteredKey) -> None: ...
    def registered(self, registration: messages.Registered) -> None: ...
    def answer(self, question: messages.Ask) -> bytes | None: ...
    def trouble(self, text: str) -> None: ...
    def foreign(self, value: object) -> object: ...


class Inbox:
    """The messages of one worker on their way to a sink. :meth:`put` and :meth:`hand_out` belong to whose turn it is.

    Args:
        sink: Takes what the worker says by itself.
        finish: Takes the answers to calls.
        send: Sends the answer to a worker's question.

    Attributes:
        waiting: What has arrived and is not handed out.
    """

    def __init__(
        self,
        sink: Sink,
        finish: Callable[[messages.Result | messages.Ticked], None],
        send: Callable[[bytes], None],
    ) -> None:
        self._sink = sink
        self._finish = finish
        self._send = send
        self.waiting: deque[Any] = deque()
        self._steps: set[int] = set()
        self._is_paused = False

    def pause_behind(self, call: int) -> None:
        """Hand out nothing behind the answer to *call*, until :meth:`go_on`. To be called before it is sent."""
        if not self._steps:
            self._is_paused = True
        self._steps.add(call)

    @property
    def is_paused(self) -> bool:
        """Whether what has arrived is held back."""
        return self._is_paused and bool(self._steps)

    def go_on(self) -> None:
        """Somebody waits for the next step; from any thread. :meth:`hand_out` has to be called afterwards."""
        self._is_paused = False

    def go_on_to_the_end(self) -> None:
        """Nobody will wait for the steps that are left, as with a set-up that has failed; else as :meth:`go_on`."""
        self._steps.clear()

    def put(self, arrived: list[Any]) -> None:
        """Take what has arrived, and hand out what may be."""
        if self.waiting or self._steps:
            self.waiting.extend(arrived)
            self.hand_out()
            return
        for message in arrived:
            self._hand_out(message)

    def hand_out(self, *, everything: bool = False) -> None:
        """Hand out what may be, or all there is."""
        while self.waiting and (everything or not self.is_paused):
            self._hand_out(self.waiting.popleft())

    def _hand_out(self, message: Any) -> None:
        try:
            if isinstance(message, (messages.Result, messages.Ticked)):
                if message.call in self._steps:
                    self._steps.discard(message.call)
                    self._is_paused = True
                self._finish(message)
            else:
                self._hand_to_sink(message)
        except Exception as error:  # noqa: BLE001 - both run the user's own logger and streams
            self._sink.trouble(f"a message of the server could not be handled: {error!r}")

    def _hand_to_sink(self, message: Any) -> None:
        sink = self._sink
        if isinstance(message, messages.Log):
            sink.log(message)
        elif isinstance(message, messages.Output):
            sink.output(message)
        elif isinstance(message, messages.Feedback):
            sink.feedback(message)
        elif isinstance(message, messages.Write):
            sink.write(message)
        elif isinstance(message, messages.RegisteredKey):
            sink.registered_key(message)
        elif isinstance(message, messages.Registered):
            sink.registered(message)
        elif isinstance(message, messages.Ask):
            answer = sink.answer(message)
            if answer is not None:
                self._send(answer)
