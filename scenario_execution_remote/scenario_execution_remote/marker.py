# SPDX-License-Identifier: Apache-2.0
"""The decorator that shows in the tree where ``remote()`` stands."""

from __future__ import annotations

from collections.abc import Iterator

import py_trees
from py_trees.common import Status


class Remote(py_trees.decorators.Decorator):
    """Marks in the tree where ``remote()`` stands; passes everything through, so that what is below behaves as
    without it.

    py_trees' own decorators stop their child again when it already is INVALID; an action below would see a second
    ``terminate(INVALID)`` that it does not get locally.
    """

    def tick(self) -> Iterator[py_trees.behaviour.Behaviour]:
        """Tick the child and take over its status."""
        if self.status != Status.RUNNING:
            self.initialise()
        yield from self.decorated.tick()
        self.status = self.update()
        yield self

    def update(self) -> Status:
        """The child's status, with its feedback, which a modifier above may show in place of its own."""
        self.feedback_message = self.decorated.feedback_message
        status: Status = self.decorated.status
        return status

    def stop(self, new_status: Status) -> None:
        """Pass on what the parent asks for, neither more nor less."""
        self.decorated.stop(new_status)
        self.status = new_status
