# SPDX-License-Identifier: Apache-2.0
"""Sends what has changed in the session's output folders to the client, beside the calls and behind them in urgency."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_remote.files.folder import Folder, Look
from scenario_execution_remote.files.names import NameRefusedError
from scenario_execution_remote.files.outlet import Outlet
from scenario_execution_remote.files.quota import Quota, QuotaExceededError
from scenario_execution_remote.files.sending import digest_of, is_settled, nothing
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker.conversation import Conversation, ConversationOver
from scenario_execution_server.worker.pauses import audible_pause

# A file system notes the time of a change to one tick of the kernel, 10 ms at most: what has changed so shortly before
# it was looked at may change again and look the same.
_TOO_RECENT_NS = 20_000_000


@dataclass(slots=True)
class _Known:
    """What the client has been promised of a name, or has; *is_sure*: see _TOO_RECENT_NS.

    Attributes:
        digest: Of the content that was sent, or that the client has put there.
        sent: As which number that was sent, and the outlet's total then.
        is_ordered: Whether it is still to be sent, if need be; or could not be.
    """

    look: Look
    is_sure: bool
    digest: bytes = b""
    sent: tuple[int, int] | None = None
    is_ordered: bool = False


_AT_THE_CLIENTS = (0, 0)  # from the beginning


@dataclass(frozen=True, slots=True)
class _Order:
    number: int
    mount: int
    name: str
    is_gone: bool = False


def _key(order: _Order) -> tuple[int, str]:
    return order.mount, order.name


class Courier:
    """The files of one session on their way to its client, in one thread.

    Args:
        conversation: To the client.
        quota: What may be sent.
    """

    def __init__(self, conversation: Conversation, quota: Quota) -> None:
        self._conversation = conversation
        self._folders: dict[int, Folder] = {}
        self._known: dict[tuple[int, str], _Known] = {}
        self._complained: set[str] = set()
        self._last_number = 0
        self._orders: deque[_Order] = deque()
        self._changed = threading.Condition()
        self._is_busy = False
        self._is_over = False
        self._thread: threading.Thread | None = None
        self._is_incomplete = False  # something could not be read
        self._is_over_quota = False
        self._outlet = Outlet(conversation.say_pieces, conversation.wait_for, quota, audible_pause(conversation))
        conversation.divert({messages.Taken: self._outlet.taken, messages.Declined: self._outlet.declined})

    @property
    def outlet(self) -> Outlet:
        """The way to the client."""
        return self._outlet

    def watch(self, mount: int, path: Path) -> None:
        """From now on, what changes in this folder is to be sent."""
        self._folders[mount] = folder = Folder(path)
        for name, look in folder.walk([]):
            self._known[mount, name] = _Known(look, is_sure=True, sent=_AT_THE_CLIENTS)

    # -- the main thread ---------------------------------------------------------------------------

    def may_replace(self, place: Path | None, name: str) -> bool:
        """Whether the client has what lies at *name* in *place*, if anything does, and nobody writes to it."""
        return all(self._may_replace(mount, inner) for mount, inner in self._seen_as(place, name))

    def _may_replace(self, mount: int, name: str) -> bool:
        folder = self._folders[mount]
        look = folder.look(name)
        if look is None or look.is_folder:
            return True
        known = self._known.get((mount, name))
        if known is None or known.look != look or not self._is_home(known) or not is_settled(folder, name, look):
            return False
        return known.is_sure or not look.is_file or self._is_as_sent(mount, name)

    def _is_home(self, known: _Known) -> bool:
        """Whether the client has this: what is on its way to it, was too much, or found its disk full is here alone."""
        if known.is_ordered or known.sent is None:
            return False
        number, total = known.sent
        return self._outlet.has_taken(total) and not self._outlet.is_declined(number)

    def note(self, place: Path | None, name: str, digest: bytes) -> None:
        """The client has put this there, or taken it away: it need not be sent."""
        for mount, inner in self._seen_as(place, name):
            look = self._folders[mount].look(inner)
            if look is None:
                self._known.pop((mount, inner), None)
            else:
                self._known[mount, inner] = _Known(look, True, digest, _AT_THE_CLIENTS)

    def _seen_as(self, place: Path | None, name: str) -> Iterator[tuple[int, str]]:
        """The output folders that *name* lies in, as inputs may, and its name there."""
        path = f"{place}/{name}"
        for mount, folder in self._folders.items():
            if path.startswith(f"{folder.path}/"):
                yield mount, path[len(str(folder.path)) + 1 :]

    def collect(self, *, everything: bool = False) -> None:
        """Find what has changed and announce it; in the main thread.

        Args:
            everything: Also what somebody still writes to, as nothing will be collected later.
        """
        orders: list[_Order] = []
        for mount, folder in self._folders.items():
            orders += self._changes(mount, folder, everything)
        if not orders:
            return
        there = [known for order in orders if (known := self._known.get(_key(order))) is not None]
        size_bytes = sum(known.look.size_bytes for known in there)
        self._conversation.say(messages.Collected(number=self._last_number, size_bytes=size_bytes))
        with self._changed:
            self._orders.extend(orders)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
            self._thread.start()

    def wait_until_done(self) -> None:
        """Wait until everything is sent, or the client is gone; what is sent, the front delivers."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or not (self._orders or self._is_busy))

    def is_all_home(self, within_s: float = 0.0) -> bool:
        """Whether the client has everything that could travel, as it is now; in the main thread, at the end.

        Args:
            within_s: How long to wait for its word, in seconds.
        """
        try:
            is_taken = self._conversation.wait_for(lambda: self._is_idle() and self._outlet.is_all_taken, within_s)
        except ConversationOver:
            is_taken = self._is_idle() and self._outlet.is_all_taken
        if not is_taken or self._outlet.has_been_declined or self._is_incomplete:
            return False
        changes = [order for mount, folder in self._folders.items() for order in self._changes(mount, folder, True)]
        return all(order.is_gone or self._is_as_sent(*_key(order)) for order in changes)

    def _is_idle(self) -> bool:
        return not (self._orders or self._is_busy)

    def _is_as_sent(self, mount: int, name: str) -> bool:
        """Whether something that looks changed has the content that was sent."""
        known = self._known.get((mount, name))
        if known is None or not known.digest:
            return False
        try:
            return digest_of(self._folders[mount], name) == known.digest
        except (OSError, NameRefusedError):
            return False

    def _changes(self, mount: int, folder: Folder, everything: bool) -> list[_Order]:
        orders = []
        problems: list[str] = []
        seen = set()
        now_ns = time.time_ns()
        for name, look in folder.walk(problems):
            key = (mount, name)
            seen.add(key)
            known = self._known.get(key)
            if known is not None and known.look == look and (known.is_sure or not look.is_file):
                continue
            if not everything and not is_settled(folder, name, look):
                continue  # it comes when it is complete: at the end of an action, or of them all
            is_sure = look.mtime_ns < now_ns - _TOO_RECENT_NS
            is_same = known is not None and known.look == look
            digest, sent = (known.digest, known.sent) if known is not None and is_same else (b"", None)
            self._known[key] = _Known(look, is_sure, digest, sent, is_ordered=True)
            orders.append(self._order(mount, name))
        for key in [key for key in self._known if key[0] == mount and key not in seen]:
            del self._known[key]
            orders.append(self._order(mount, key[1], is_gone=True))
        for problem in problems:
            if problem not in self._complained:
                self._complained.add(problem)
                self._conversation.say(messages.Log(level="warning", text=f"In the output folder {problem}."))
        # What has gone goes first, deepest first: a file may have taken the place of a folder.
        gone = sorted((order for order in orders if order.is_gone), key=lambda order: order.name, reverse=True)
        numbers = [order.number for order in orders]
        there = [order for order in orders if not order.is_gone]
        return [
            _Order(number, order.mount, order.name, order.is_gone)
            for number, order in zip(numbers, [*gone, *there], strict=True)
        ]

    def _order(self, mount: int, name: str, *, is_gone: bool = False) -> _Order:
        self._last_number += 1
        return _Order(self._last_number, mount, name, is_gone)

    # -- the courier's thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._is_busy = False
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._orders)
                    self._is_busy = True
                while self._orders:
                    self._send(self._orders.popleft())
                self._outlet.flush()
        except ConversationOver:
            pass
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _send(self, order: _Order) -> None:
        folder, outlet = self._folders[order.mount], self._outlet
        if order.is_gone:
            outlet.put(nothing(order.number, order.mount, order.name, "gone"))
            return
        known = self._known.get(_key(order))
        try:
            if known is not None and known.digest and digest_of(folder, order.name) == known.digest:
                outlet.put(nothing(order.number, order.mount, order.name))
                known.is_ordered = False
                return
            digest = outlet.put_all_of(folder, order.number, order.mount, order.name)
            if digest is not None and known is not None:
                known.digest = digest
                self._is_incomplete = self._is_incomplete or not digest
            if known is not None and digest != b"":
                known.sent, known.is_ordered = (order.number, outlet.total), False
        except QuotaExceededError as error:
            self._is_incomplete = True
            if not self._is_over_quota:  # said of the first one: there may be ten thousand
                self._is_over_quota = True
                text = f"In the output folder {error}. It stays on the server, like all that is more."
                self._conversation.say(messages.Log(level="error", text=text))
        except FileNotFoundError:
            pass  # it has gone since; the next look says so
        except (OSError, NameRefusedError) as error:
            text = str(error) if isinstance(error, NameRefusedError) else f"{ascii(order.name)}: {error}"
            self._is_incomplete = self._is_incomplete or isinstance(error, OSError)
            self._conversation.say(messages.Log(level="warning", text=f"In the output folder {text}."))
