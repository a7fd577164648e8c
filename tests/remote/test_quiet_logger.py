# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scenario_execution_remote.quiet_logger import QuietLogger
from tests.support.twins import Records


class Chatty(Records):
    """One that keeps debug records as well."""

    def debug(self, msg: str) -> None:
        self.lines.append(f"debug {msg}")


@pytest.mark.parametrize("line", ["Nap.tick()", "Nap.stop(Status.INVALID)", "Nap.stop(Status.RUNNING->Status.SUCCESS)"])
def test_what_the_workers_own_tick_logs_is_not_said_twice(line: str) -> None:
    logger = Chatty()
    QuietLogger(logger, "Nap").debug(line)
    assert logger.lines == []


def test_everything_else_is_passed_on() -> None:
    logger = Chatty()
    quiet = QuietLogger(logger, "Nap")
    quiet.debug("Napkin.tick()")
    quiet.debug("of Nap.tick()")
    quiet.info("Nap.tick()")
    quiet.error("late")
    assert logger.lines == ["debug Napkin.tick()", "debug of Nap.tick()", "info Nap.tick()", "error late"]
    assert quiet.name == logger.name
