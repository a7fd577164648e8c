# SPDX-License-Identifier: Apache-2.0
"""The client's folders in texts and values, replaced by those that stand for them here, and back. No I/O."""

from __future__ import annotations

import re
from typing import Any

# Where a path in a text begins and ends: not in the middle of a longer one or of a word, but behind "=", ":" or "//".
_BEGINNING = r"(?<![\w.~-])"
_END = r"(?![\w-]|\.\w)"


class PathMap:
    """Pairs of folders, the client's and the one that stands for it.

    Attributes:
        is_empty: Whether there are none, so that nothing ever changes.
    """

    def __init__(self) -> None:
        self.is_empty = True
        self._inward: dict[str, str] = {}
        self._outward: dict[str, str] = {}
        self._inward_pattern: re.Pattern[str] | None = None
        self._outward_pattern: re.Pattern[str] | None = None

    def add(self, there: str, here: str) -> None:
        """The folder *here* stands for the client's folder *there*; ``/`` stays, as it begins every path."""
        if there.strip("/"):
            self.is_empty = False
            self._inward[there.rstrip("/")] = here
            self._outward[here] = there.rstrip("/")
            self._inward_pattern = _pattern(self._inward)
            self._outward_pattern = _pattern(self._outward)

    def inward(self, value: Any) -> Any:
        """*value* as it is meant here; the same object if nothing in it changes."""
        return _mapped(value, self._inward_pattern, self._inward)

    def outward(self, value: Any) -> Any:
        """*value* as it is meant on the client; the same object if nothing in it changes."""
        return _mapped(value, self._outward_pattern, self._outward)


def _pattern(folders: dict[str, str]) -> re.Pattern[str]:
    longest_first = sorted(folders, key=len, reverse=True)
    return re.compile(f"{_BEGINNING}(?:{'|'.join(map(re.escape, longest_first))}){_END}")


def _mapped(value: Any, pattern: re.Pattern[str] | None, folders: dict[str, str]) -> Any:
    if pattern is None:
        return value
    try:
        return _replaced(value, pattern, folders)
    except RecursionError:  # it contains itself; the wire says so in better words
        return value


def _replaced(value: Any, pattern: re.Pattern[str], folders: dict[str, str]) -> Any:
    kind = type(value)
    if kind is str:
        return value if pattern.search(value) is None else pattern.sub(lambda found: folders[found[0]], value)
    if kind is dict:
        pairs = [(_replaced(key, pattern, folders), _replaced(item, pattern, folders)) for key, item in value.items()]
        is_same = all(new[0] is old[0] and new[1] is old[1] for new, old in zip(pairs, value.items(), strict=True))
        return value if is_same else dict(pairs)
    if kind in (list, tuple, set, frozenset):
        old_items = list(value)
        items = [_replaced(item, pattern, folders) for item in old_items]
        is_same = all(item is old for item, old in zip(items, old_items, strict=True))
        return value if is_same else kind(items)
    return value
