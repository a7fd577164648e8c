# SPDX-License-Identifier: Apache-2.0
"""Takes to the server what a scenario can refer to, before its set-up."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .changes import Changes
from .mounts import INPUT, Mounts
from .offers import Offers, Over
from .protocol import messages

CLOSE_S = 30.0  # for a piece to be read: a disk that hangs keeps no run from ending


class Inputs:
    """Of one session. ``prepare`` belongs to the tree's thread, ``take`` to the link's; files are read and sent by a
    thread of its own. That one looks at an input folder first, and from then on the tree's does.

    Args:
        origin: What the server is called.
        mounts: The session's.
        offers: The session's.
        changes: Is told what was offered; see ``News``.
        behind_results: Does something in the order of arrival with results; see ``Homecoming.behind``.
    """

    def __init__(
        self, origin: str, mounts: Mounts, offers: Offers, changes: Changes,
        behind_results: Callable[[Callable[[], None]], None],
    ) -> None:  # fmt: skip
        self._origin = origin
        self._mounts = mounts
        self._offers = offers
        self._changes = changes
        self._behind_results = behind_results
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    # -- the tree's thread -------------------------------------------------------------------------

    def prepare(
        self,
        *directories: str | None,
        outputs: Sequence[str | None] = (),
        uploads: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Have folders stand for these directories, and take what lies in them to the server.

        Args:
            directories: The directories; '' is the current one.
            outputs: What of them lies in one of these stays here.
            uploads: What else is taken along: for each folder, the names in it.
        """
        self._offers.begin_scenario(outputs, uploads)
        for directory in directories:
            if directory is not None:
                self._mounts.mount(directory, INPUT)
        for folder, names in uploads.items():
            self._mounts.mount(folder, INPUT, names)

    def stop(self) -> None:
        """The session is over: send nothing more."""
        self._offers.stop()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(CLOSE_S)
        self._offers.end_bar()

    def close(self) -> None:
        """Close the folders; behind the last of what has to be done behind results, which looks into them."""
        if self._thread is None or not self._thread.is_alive():
            self._offers.close()

    @property
    def moved_s(self) -> float:
        """When something was last read, sent or put down, as a value of ``time.monotonic()``."""
        return self._offers.moved_s

    # -- the link's thread -------------------------------------------------------------------------

    def take(self, message: Any) -> None:
        """Take what the worker says about files on their way to it."""
        self._offers.moved_s = time.monotonic()
        if isinstance(message, messages.Taken):
            self._offers.taken(message)
        elif isinstance(message, messages.Declined):
            self._offers.declined(message)
        elif isinstance(message, messages.Staged):
            # What the server makes of it may follow at once, and only then takes its place here.
            self._behind_results(functools.partial(self._offers.staged, message))
        else:
            self._queue.put(message)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"files to {self._origin}", daemon=True)
                self._thread.start()

    # -- the sending thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                if isinstance(message, messages.Awaited):
                    self._offer(message.mount)
                else:
                    self._offers.send_contents(message.numbers)
        except Over:
            pass

    def _offer(self, mount: int) -> None:
        """Offer what lies in this mount: all of it or, if it cannot be read, nothing."""
        left: list[str] = []
        chosen = []
        path = self._mounts.path_of(mount, INPUT)
        try:
            if path is not None and not self._offers.is_open(mount):
                self._offers.open(mount, path)
                chosen = self._offers.selection(mount, INPUT).chosen(left)
                self._changes.begin(mount, chosen)
        except OSError as error:
            left.append(str(error))
        self._offers.offer(mount, chosen, left)
        self._offers.tell_left(mount, INPUT, left)
