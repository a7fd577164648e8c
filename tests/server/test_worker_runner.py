# SPDX-License-Identifier: Apache-2.0
"""The runner's end of a scenario, without a client."""

from __future__ import annotations

import threading

from scenario_execution.scenario_execution_base import ShutdownHandler

from scenario_execution_server.worker.runner import await_futures


class _Future:
    """What rclpy's futures offer to the engine: whether it is done."""

    def __init__(self) -> None:
        self.looked_at = threading.Event()
        self.is_finished = threading.Event()

    def done(self) -> bool:
        self.looked_at.set()
        return self.is_finished.is_set()


def test_the_end_of_a_scenario_waits_for_the_futures_its_actions_have_left_and_forgets_them() -> None:
    future = _Future()
    ShutdownHandler.get_instance().add_future(future)
    waiting = threading.Thread(target=await_futures)
    waiting.start()
    assert future.looked_at.wait(10)
    assert waiting.is_alive()
    future.is_finished.set()
    waiting.join(10)
    assert not waiting.is_alive()
    assert ShutdownHandler.get_instance().futures == []


def test_a_future_that_is_never_done_does_not_hold_up_the_end_for_ever() -> None:
    ShutdownHandler.get_instance().add_future(_Future())
    await_futures(limit_s=0.05)
    assert ShutdownHandler.get_instance().futures == []
