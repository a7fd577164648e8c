# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and SIGINT as something to poll."""

from __future__ import annotations

import os
import select
import signal

import pytest

from scenario_execution_server.signals import StopSignals, raised


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_makes_the_descriptor_readable_and_interrupts_nothing(number: signal.Signals) -> None:
    with StopSignals() as signals:
        assert select.select([signals], [], [], 0)[0] == []
        os.kill(os.getpid(), number)
        assert select.select([signals], [], [], 10)[0] == [signals]
        assert raised(signals.fileno()) == 1
        assert select.select([signals], [], [], 0)[0] == []


def test_two_signals_at_once_are_counted_as_two() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert raised(signals.fileno()) == 2
        assert raised(signals.fileno()) == 0


def test_a_thousand_signals_block_nothing() -> None:
    with StopSignals() as signals:
        for _ in range(1000):
            os.kill(os.getpid(), signal.SIGTERM)
        assert raised(signals.fileno()) > 1


def test_afterwards_the_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignals():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) != before
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert signal.set_wakeup_fd(-1) == -1
