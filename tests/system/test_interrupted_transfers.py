# SPDX-License-Identifier: Apache-2.0
"""Transfers that break off anywhere: nothing is half there under its name, and nothing is lost.

Where they break off is a matter of chance; a failure shows where it was.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
from pathlib import Path

import pytest

from tests.support.proxy import Proxy
from tests.support.scenarios import ScenarioProcess
from tests.support.servers import BRISK, CURVE, Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve, Start
from tests.system.test_files_by_hand import listed, typed
from tests.system.test_results_come_home import code, here, whole

SIZE_BYTES = 12_000_000
SLOW = ("--file-limits", "rate=6M")  # of which a second's worth is free: the rest takes a second, on any machine
WRITES = (
    f"data = os.urandom({SIZE_BYTES}); (out / 'big').write_bytes(data); import hashlib;"
    " (out / 'a-sum').write_text(hashlib.sha256(data).hexdigest())"
)


@pytest.fixture(params=["once", "again"])
def point() -> int:
    """How much of the file is to have arrived: printed, so that a failure shows it, and no part of the test's name."""
    chosen = random.SystemRandom().randrange(1, SIZE_BYTES - 2_000_000)
    print(f"It breaks off when {chosen} bytes of {SIZE_BYTES} have arrived.")
    return chosen


def wait_until_half_there(client: ScenarioProcess, folder: Path, size_bytes: int) -> None:
    def has_arrived() -> bool:
        assert client.process.poll() is None, client.output
        # Its size runs ahead of nothing: it is written in order.
        return any(path.stat().st_size >= size_bytes for path in _unfinished(folder))

    wait_until(has_arrived, 60.0)


def _unfinished(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob(".scenario-remote-*"):
        if path.exists():  # it may have got its name since
            found.append(path)
    return found


def is_what_was_written(folder: Path) -> bool:
    return hashlib.sha256((folder / "big").read_bytes()).hexdigest() == (folder / "a-sum").read_text()


@pytest.mark.parametrize("part", ["client", "worker", "shepherd"])
def test_what_is_killed_at_any_point_loses_nothing_and_all_can_be_fetched(
    part: str, point: int, serve: Serve, start: Start, run: Run, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, *SLOW)
    client = start(whole(code(server.endpoint, update=WRITES)), "-o", str(here(tmp_path)), whole=True)
    wait_until_half_there(client, here(tmp_path), point)
    if part == "client":
        client.signal(signal.SIGKILL)
    else:
        os.kill(server.named(f"se-{part}")[0].pid, signal.SIGKILL)
    outcome = client.finish()
    assert outcome.code != 0, outcome.output
    assert not (here(tmp_path) / "big").exists()
    server.wait_for_log("results are not home and are kept", within_s=30.0)
    server.wait_idle()
    (name,) = listed(owner, server)
    if part == "client":  # which could not take away what was not complete: the next one does
        assert _unfinished(here(tmp_path))
        small = code(server.endpoint, update="(out / 'small').touch()")
        outcome = run(whole(small), "-o", str(here(tmp_path)), whole=True)
        assert outcome.code == 0, outcome.output
    assert not _unfinished(here(tmp_path))
    typed(owner, "get", server.endpoint, name + "output-1", tmp_path / "fetched")
    assert is_what_was_written(tmp_path / "fetched" / "output-1")


def test_a_link_that_is_cut_at_any_point_and_mended_costs_nothing(
    point: int, serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, "--watchdog", "10", *SLOW)
    with Proxy(server.port) as proxy:
        action = code(proxy.endpoint, update=WRITES).replace('"copy"', '"copy", heartbeat_failure_timeout: 10s')
        client = start(whole(action), "-o", str(here(tmp_path)), whole=True)
        wait_until_half_there(client, here(tmp_path), point)
        before = proxy.connection_count
        proxy.cut()
        proxy.restore()
        wait_until(lambda: proxy.connection_count > before)
        outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert is_what_was_written(here(tmp_path))
    server.wait_idle()
    assert server.kept() == []


def test_of_many_files_those_that_have_arrived_are_whole_wherever_the_client_is_killed(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server: ServerProcess = serve(*CURVE, *BRISK, "--file-limits", "rate=1M")
    write = "[(out / f'{i:04}').write_text(f'{i:04}' * 500) for i in range(2000)]"
    client = start(whole(code(server.endpoint, update=write)), "-o", str(here(tmp_path)), whole=True)
    wait_until(lambda: len(list(here(tmp_path).glob("[0-9]*"))) > 300, 60.0)
    client.signal(signal.SIGKILL)
    client.finish()
    arrived = [path for path in here(tmp_path).iterdir() if path.name.isdigit()]
    assert 300 < len(arrived) < 2000
    assert all(path.read_text() == path.name * 500 for path in arrived)
    server.wait_for_log("results are not home and are kept", within_s=30.0)
    assert len(list((server.kept()[0] / "output-1").iterdir())) == 2000
