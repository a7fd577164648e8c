# SPDX-License-Identifier: Apache-2.0
"""What a worker does about files: folders that stand for the client's, and the results that lie in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from py_trees.common import Status

from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker import keeping
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.courier import Courier
from scenario_execution_server.worker.faults import fault_from
from scenario_execution_server.worker.places import Places

_RUNNING = Status.RUNNING.name
_LAST_WORD_S = 3.0  # what has been sent is confirmed within a round trip, by a client that still listens


class Files:
    """The files of one session. Changes the current directory to the one where its actions work.

    Args:
        conversation: To the client.
        folder: The session's own.
    """

    def __init__(self, conversation: Conversation, folder: Path) -> None:
        self._places = Places(folder)
        self._courier = Courier(conversation)
        conversation.translate(self._places.translated, self._places.told)
        self._is_copying = False
        self._folder = folder
        self._stands_for: dict[str, str] = {}
        self.terms: messages.FileTerms | None = None  # what the front says about them
        os.chdir(self._places.work)
        os.environ["PWD"] = str(self._places.work)  # shells and some programs believe it

    def mount(self, call: messages.Mount) -> messages.Result:
        """Make a folder that stands for one of the client's, if the server does not have the same."""
        fault, place = None, None
        try:
            place = self._places.mount(call)
            if place is not None:
                self._courier.watch(call.mount, place)
                self._is_copying = True
                self._stands_for[place.name] = call.path
                self._sign()
        except OSError as error:
            fault = fault_from(error, "protocol")
        return messages.Result(
            call=call.call, status=None, stopped=False, feedback="", fault=fault,
            value="copy" if place is not None else "shared", nodes=[],
        )  # fmt: skip

    def translated(self, call: Any) -> Any:
        """*call* as it is meant here, now that all before it are carried out."""
        return self._places.translated(call)

    def collect_after(self, call: Any, results: Sequence[Any]) -> None:
        """Announce what has changed, if an action has ended with one of these results; before they are said."""
        if not self._is_copying:
            return
        if isinstance(call, messages.EndScenario):
            self._courier.collect(everything=True)
        elif isinstance(call, (messages.Stop, messages.Shutdown)) or any(_is_end(result) for result in results):
            self._courier.collect()

    def finish(self) -> None:
        """Send what is left when nothing runs any more, and wait until it is on its way."""
        if self._is_copying:
            self._courier.collect(everything=True)
            self._courier.wait_until_done()
            self.close(_LAST_WORD_S)

    def close(self, within_s: float = 0.0) -> None:
        """Note if the client has everything: what it may not have is kept, see ``keeping``.

        Args:
            within_s: How long the client may take to say so, in seconds.
        """
        if self._is_copying and self._courier.is_all_home(within_s):
            (self._folder / keeping.HOME).touch()

    def _sign(self) -> None:
        """Write down whose results these are, for whoever finds the folder without us."""
        if self.terms is not None and self.terms.keeps:
            keeping.write_about(
                self._folder,
                {
                    "client": self.terms.client, "session": self.terms.session, "stands_for": self._stands_for,
                    "shelf": f"{self.terms.folder}/{keeping.RESULTS}",
                },
            )  # fmt: skip


def _is_end(said: Any) -> bool:
    result = said.result if isinstance(said, messages.Ticked) else said
    return isinstance(result, messages.Result) and (result.fault is not None or result.status not in (None, _RUNNING))
