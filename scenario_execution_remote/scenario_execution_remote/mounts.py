# SPDX-License-Identifier: Apache-2.0
"""Has folders of a session stand for folders of this side, unless the server has the very same folders."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from .files.names import OWN_PREFIX
from .pending import Pending
from .protocol import messages
from .protocol.frames import Body

INPUT, OUTPUT = "input", "output"
Tell = Callable[[str, str], None]
"""Takes a level (``debug``, ``warning``, ``error``) and a line for the run's log."""


class Line(Protocol):
    """What is needed of a link."""

    def call(self, *calls: Any) -> Pending: ...
    def next_number(self) -> int: ...
    def post(self, body: Body | None) -> None: ...
    @property
    def is_over(self) -> bool: ...


class Mounts:
    """The mounts of one session. For the tree's thread, but for ``path_of``.

    Args:
        link: The session's link.
        origin: What the server is called in messages.
        mode: ``auto``, ``shared`` or ``copy``, see the modifier.
        tell: Writes to the run's log.
    """

    def __init__(self, link: Line, origin: str, mode: str, tell: Tell) -> None:
        self._link = link
        self._origin = origin
        self._mode = mode
        self._tell = tell
        self._calls: list[tuple[messages.Mount, Pending]] = []
        self._meant: dict[int, messages.Mount] = {}

    def path_of(self, number: int, role: str) -> Path | None:
        """The folder of this side that a mount is about; None if nothing of this role was to be carried there.

        A server asks by number, and must neither write where it is only to read, nor be sent results.
        """
        call = self._meant.get(number)
        return Path(call.path) if call is not None and call.role == role else None

    def names_in(self, number: int) -> list[str]:
        """What of that folder is meant; nothing stands for everything."""
        return self._meant[number].names

    def mount(self, directory: str, role: str, names: Sequence[str] = ()) -> int | None:
        """Have a folder stand for this one, if none does or stands for one above it in the same role. Returns the
        number of the mount, if it is a new one.

        Args:
            directory: The folder.
            role: What is to become of what lies in it.
            names: What of it is meant, if not everything; then it is carried whatever is carried otherwise.
        """
        path = Path(os.path.abspath(directory))
        known = [call for call, _ in self._calls if call.role == role and call.names == list(names)]
        if any(path == one or (one in path.parents and not names) for one in (Path(call.path) for call in known)):
            return None
        marker, content = "", secrets.token_bytes(32)
        if self._mode == "auto":
            try:
                name = f"{OWN_PREFIX}{secrets.token_hex(8)}"
                (path / name).write_bytes(content)
                marker = name
            except OSError:  # what cannot be marked is carried: that is never wrong, only slower
                pass
        number = len(self._calls) + 1
        call = messages.Mount(
            call=self._link.next_number(), mount=number, path=str(path), names=list(names), role=role,
            mode=self._mode, marker=marker, content=content, working_folder=_current_folder(),
        )  # fmt: skip
        if self._mode != "shared":
            self._meant[number] = call
        pending = self._link.call(call)
        self._calls.append((call, pending))
        pending.abandon(lambda answer: self._answered(call, answer))
        return number

    def copied(self, role: str) -> list[int]:
        """The mounts of this role for which a folder there stands, by their numbers."""
        return [
            call.mount
            for call, pending in self._calls
            if call.role == role and isinstance(pending.result, messages.Result) and pending.result.value == "copy"
        ]

    def is_copying(self, role: str) -> bool:
        """Whether anything of this role may have to be carried."""
        return bool(self.copied(role))

    def close(self) -> None:
        """Remove the markers, should the server not have answered."""
        for call, _ in self._calls:
            _remove_marker(call)

    def _answered(self, call: messages.Mount, answer: Any) -> None:
        _remove_marker(call)
        if answer.fault is not None:
            self._tell(
                "error", f"remote({self._origin}): no folder there stands for {call.path}: {answer.fault.text}"
            )


def _remove_marker(call: messages.Mount) -> None:
    if call.marker:
        with suppress(OSError):  # it has gone, or its folder has; nobody takes it for anything else
            (Path(call.path) / call.marker).unlink()


def _current_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed; nothing relative can be meant
        return ""
