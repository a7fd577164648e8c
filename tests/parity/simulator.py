# SPDX-License-Identifier: Apache-2.0
"""A simulator in which nothing happens but the passing of time, in steps of a tenth of a second."""

from __future__ import annotations

from scenario_execution.simulation import SimulationInterface


class Simulator(SimulationInterface):
    """Counts its steps."""

    def __init__(self) -> None:
        self.step_count = 0

    @property
    def dt(self) -> float:
        return 0.1

    def setup(self, **kwargs: object) -> None:
        pass

    def reset(self) -> None:
        self.step_count = 0

    def step(self) -> None:
        self.step_count += 1

    def shutdown(self) -> None:
        pass
