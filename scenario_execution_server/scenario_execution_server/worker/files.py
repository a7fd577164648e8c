# SPDX-License-Identifier: Apache-2.0
"""What a worker does about files: folders that stand for the client's, and the results that lie in them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from py_trees.common import Status

from scenario_execution_remote.files.quota import Quota
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker import keeping
from scenario_execution_server.worker.allowance import mend_of
from scenario_execution_server.worker.backlog import Backlog
from scenario_execution_server.worker.cache import Cache
from scenario_execution_server.worker.contents import Contents
from scenario_execution_server.worker.conversation import Conversation
from scenario_execution_server.worker.courier import Courier
from scenario_execution_server.worker.depot import Depot, DepotError
from scenario_execution_server.worker.faults import fault_from
from scenario_execution_server.worker.meter import SharedMeter
from scenario_execution_server.worker.pauses import audible_pause
from scenario_execution_server.worker.permission import NOTHING, check_may_run_something
from scenario_execution_server.worker.places import Places
from scenario_execution_server.worker.room import words_for_disk_error
from scenario_execution_server.worker.staging import Staging, StagingError
from scenario_execution_server.worker.stock import RESULTS

_RUNNING = Status.RUNNING.name
# What comes in between calls, and the calls that have to do with files.
_PIECES: frozenset[type] = frozenset(get_args(messages.Piece))
_ON_THE_WAY: frozenset[type] = _PIECES | {messages.Offer}
_OF_FILES: frozenset[type] = frozenset(
    (messages.FileTerms, messages.Mount, messages.Create, messages.Setup, *get_args(messages.ByHand))
)
_LAST_WORD_S = 3.0  # what has been sent is confirmed within a round trip, by a client that still listens


class Files:
    """The files of one session. Changes the current directory to the one where its actions work.

    Args:
        conversation: To the client.
        folder: The session's own.
    """

    def __init__(self, conversation: Conversation, folder: Path) -> None:
        self._conversation = conversation
        self._pause = audible_pause(conversation)
        self._places = Places(folder)
        self._quota = Quota()
        self._contents = Contents(folder / "contents")
        self._courier = Courier(conversation, self._quota)
        self._staging = Staging(
            conversation.say, self._places, self._contents, self._quota, self._pause,
            lambda mount, name: self._courier.may_replace(self._places.of(mount), name),
            lambda mount, name, digest: self._courier.note(self._places.of(mount), name, digest),
        )  # fmt: skip
        conversation.translate(self._places.translated, self._places.told)
        self._is_copying = False
        self._folder = folder
        self._stands_for: dict[str, str] = {}
        self._terms: messages.FileTerms | None = None
        self._meter: SharedMeter | None = None
        self.permit = NOTHING  # what the client may run, as the front said last: whoever may run nothing has no files
        self._depot: Depot | None = None
        self._backlog = Backlog()  # calls that may need the inputs which are on their way

    def next_call(self, wait_s: float | None) -> Any:
        """The next call that is to be carried out now; deals with those about files itself. None if there is none
        within *wait_s* seconds.

        Raises:
            ConversationOver: the front hung up.
        """
        if self._backlog.calls and not self._staging.is_awaiting:
            call = self._backlog.next_call()
        else:
            call = self._conversation.next_call(wait_s)
            if type(call) in _ON_THE_WAY:
                self._take(call)
                return None
            if self._staging.is_awaiting and not self._may_pass(call):
                return None
        if type(call) not in _OF_FILES:  # at the price of one look, as every tick passes here
            return call
        if isinstance(call, messages.FileTerms):
            self._agree(call)
            return None
        if isinstance(call, messages.ByHand):
            self._conversation.say(self._carry(call))
            return None
        if isinstance(call, messages.Mount):
            self._conversation.say(self._mount(call))
            return None
        if isinstance(call, (messages.Create, messages.Setup)) and self._staging.failure is not None:
            self._conversation.say(_answer(call.call, fault_from(self._staging.failure, "setup")))
            return None
        return call

    def waiting(self, kinds: frozenset[type]) -> list[Any]:
        """The calls of these types that have come by now and wait, for files as well.

        Raises:
            ConversationOver: the front hung up.
        """
        return [*self._backlog.of(kinds), *self._conversation.waiting(kinds)]

    def _may_pass(self, call: Any) -> bool:
        """Whether this is carried out although files are on their way; else it waits for them."""
        if isinstance(call, messages.FromFront):
            return True
        answers = self._backlog.wait(call)
        for answer in answers or ():
            self._conversation.say(answer)
        return answers is not None

    def _take(self, sent: messages.Offer | messages.Piece) -> None:
        if self._depot is not None and self._depot.is_open and not isinstance(sent, messages.Offer):
            self._depot.take(sent, is_more_there=self._conversation.has_next(_PIECES))
        else:
            self._staging.take(sent, is_more_there=self._conversation.has_next(_PIECES))

    def _agree(self, terms: messages.FileTerms) -> None:
        self._terms = terms
        folder = Path(terms.folder)
        if terms.rate_bytes_s is not None and self._meter is None:
            self._meter = SharedMeter(folder)
        self._depot = Depot(terms, self._courier.outlet, self._conversation.say, self._quota, self._pause)
        self._quota.limit(
            total_bytes=terms.total_bytes, count=terms.count, rate_bytes_s=terms.rate_bytes_s,
            mend=functools.partial(mend_of, terms), meter=self._meter,
        )  # fmt: skip
        self._contents.use(Cache(folder.parent, folder.name, terms))

    def _carry(self, call: messages.ByHand) -> messages.Result | messages.Listing:
        """Do what a person asks for with `se-remote`."""
        depot = self._depot
        try:
            if depot is None:
                raise DepotError("this server keeps no files for its clients")
            if isinstance(call, messages.ListFiles):
                return messages.Listing(call=call.call, entries=depot.entries(call.path))
            if isinstance(call, messages.Fetch):
                return _answer(call.call, None, depot.send(call.path))
            if isinstance(call, messages.RemoveFiles):
                return _answer(call.call, None, depot.remove(call.path))
            return _answer(call.call, None, depot.open() if isinstance(call, messages.OpenStore) else depot.close())
        except (DepotError, OSError) as error:
            return _answer(call.call, fault_from(error, "protocol"))

    def _mount(self, call: messages.Mount) -> messages.Result:
        """Make a folder that stands for one of the client's, if the server does not have the same."""
        try:
            check_may_run_something(self.permit)
            place = self._places.mount(call)
            if place is None:
                return _answer(call.call, None, "shared")
            if call.role == "input":
                self._staging.await_offer(call.mount)
            else:
                self._courier.watch(call.mount, place)
                self._is_copying = True
                self._stands_for[f"{keeping.OUTPUT_PREFIX}{len(self._stands_for) + 1}"] = call.path
                self._sign()
            return _answer(call.call, None, "copy")
        except OSError as error:
            if error.errno is not None:  # of the disk; actions would miss what they read, or lose what they write
                self._staging.failure = self._staging.failure or StagingError(
                    f"no folder on the server can stand for {call.path}: {words_for_disk_error(error)}"
                )
            return _answer(call.call, fault_from(error, "protocol"))

    def translated(self, call: Any) -> Any:
        """*call* as it is meant here, now that all before it are carried out."""
        return call if type(call) is messages.TickAll else self._places.translated(call)  # it names no folder

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
        """Drop what is not complete, and note if the client has everything: what it may not have is kept, see
        ``keeping``.

        Args:
            within_s: How long the client may take to say so, in seconds.
        """
        self._staging.close()
        if self._depot is not None:
            self._depot.close()
        if self._is_copying and self._courier.is_all_home(within_s):
            with suppress(OSError):  # on a full disk; then they are kept although they are home
                (self._folder / keeping.HOME).touch()
        if self._meter is not None:
            self._meter.close()

    def _sign(self) -> None:
        """Write down whose results these are, for whoever finds the folder without us."""
        if self._terms is not None and self._terms.keep_s:
            keeping.write_about(
                self._folder,
                {
                    "client": self._terms.client, "session": self._terms.session, "stands_for": self._stands_for,
                    "shelf": f"{self._terms.folder}/{RESULTS}",
                },
            )  # fmt: skip


def _answer(call: int, fault: messages.Fault | None, value: Any = "") -> messages.Result:
    return messages.Result(call=call, status=None, stopped=False, feedback="", fault=fault, value=value, nodes=[])


def _is_end(said: Any) -> bool:
    result = said.result if isinstance(said, messages.Ticked) else said
    return isinstance(result, messages.Result) and (result.fault is not None or result.status not in (None, _RUNNING))
