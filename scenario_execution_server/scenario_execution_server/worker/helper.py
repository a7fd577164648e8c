# SPDX-License-Identifier: Apache-2.0
"""A thread for what takes longer than others may wait, as on a slow disk; one that hangs keeps no process from ending.

The threads of ``concurrent.futures`` do: the interpreter waits for them at its end, however long that takes.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue


class Helper:
    """Does one thing after the other. For one thread, which gives it what to do.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Callable[[], None]) -> None:
        """Do *work* when what was given before is done."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._work.put(work)

    def close(self, within_s: float) -> bool:
        """Finish; returns whether all is done within so many seconds. What is not goes on until the process ends."""
        if self._thread is None:
            return True
        self._work.put(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the thread's top: what comes behind has to be done all the same
                traceback.print_exc()
