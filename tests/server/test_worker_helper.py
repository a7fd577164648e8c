# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from scenario_execution_server.worker.helper import Helper

LIMIT_S = 30.0  # far more than any of this takes


def test_it_does_one_thing_after_the_other_and_closes_behind_the_last() -> None:
    done: list[int] = []
    helper = Helper("test")
    for number in range(3):
        helper.do(lambda number=number: done.append(number))  # type: ignore[misc]
    assert helper.close(LIMIT_S) and done == [0, 1, 2]


def test_without_anything_to_do_it_has_no_thread() -> None:
    before = threading.active_count()
    helper = Helper("test")
    assert threading.active_count() == before and helper.close(0.0)


def test_what_fails_does_not_keep_it_from_what_comes_behind(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[int] = []
    helper = Helper("test")
    helper.do(lambda: done.append(1 // 0))
    helper.do(lambda: done.append(1))
    assert helper.close(LIMIT_S) and done == [1]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_one_that_hangs_keeps_nobody_from_closing_it() -> None:
    is_over = threading.Event()
    helper = Helper("test")
    helper.do(lambda: is_over.wait(LIMIT_S) and None)
    assert not helper.close(0.0)
    is_over.set()
    assert helper.close(LIMIT_S)


def test_one_that_hangs_keeps_no_process_from_ending() -> None:
    source = "\n".join([
        "import threading",
        "from scenario_execution_server.worker.helper import Helper",
        "helper = Helper('test')",
        "helper.do(threading.Event().wait)",
        "print(helper.close(0.0))",
    ])  # fmt: skip
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert done.stdout == "False\n"
