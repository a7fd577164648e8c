# SPDX-License-Identifier: Apache-2.0
"""Notices that much of what is taken along is what earlier runs have left, which hardly any action reads. No I/O.

Nothing is left out for that: an action may compare with an earlier run, and nobody but its user knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from scenario_execution_remote.files.figures import amount
from scenario_execution_remote.files.progress import LARGE_BYTES

VERDICT = "test.xml"  # the engine writes it into every output directory
_SHOWN = 5  # folders in a sentence


class Outcomes:
    """Those in one folder.

    Args:
        sizes: The files of the folder that are taken along, by name from there on, in bytes.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._marked = {name.removesuffix(f"/{VERDICT}") for name in sizes if name.endswith(f"/{VERDICT}")}
        self._sizes: dict[str, int] = {}
        if self._marked:
            for name, size_bytes in sizes.items():
                outcome = self._around(name)
                if outcome:
                    self._sizes[outcome] = self._sizes.get(outcome, 0) + size_bytes
        self._sent_bytes = 0
        self._is_told = False

    def sends(self, name: str, size_bytes: int) -> None:
        """This is sent, as the server has not got it."""
        if self._marked and self._around(name):
            self._sent_bytes += size_bytes

    def remark(self) -> str:
        """Which they are, and how large, once so much of them is sent that it is worth a line; empty before and after
        that."""
        if self._is_told or self._sent_bytes < LARGE_BYTES:
            return ""
        self._is_told = True
        names = sorted(self._sizes, key=lambda name: (-self._sizes[name], name))
        shown = ", ".join(f"{ascii(name)} ({amount(self._sizes[name])})" for name in names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"{shown}{more}"

    def _around(self, name: str) -> str:
        """The outermost outcome that *name* lies in; empty if it lies in none."""
        at = name.find("/")
        while at >= 0:
            if name[:at] in self._marked:
                return name[:at]
            at = name.find("/", at + 1)
        return ""
