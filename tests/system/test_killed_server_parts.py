# SPDX-License-Identifier: Apache-2.0
"""SIGKILL for each of the server's processes: no orphan, and what survives goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.inventory import is_alive, marked
from tests.support.probe import pids_of
from tests.support.rawclients import RawClient
from tests.support.servers import BRISK, CURVE, Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Serve

HOW = ("child", "session", "daemon")


def with_children(client: RawClient, pids: Path) -> list[int]:
    """Open a session and have one process of each kind started in it."""
    client.hello()
    for how in HOW:
        action = client.create("probe_spawn")
        assert client.tick(action, {"pids": str(pids), "how": how, "ticks": 1}).status == "SUCCESS"
    started = pids_of(pids)
    assert all(map(is_alive, started))
    return started


def victim(server: ServerProcess, name: str) -> int:
    if name == "front":
        return server.pid
    (found,) = server.named(f"se-{name}")
    return found.pid


def test_a_killed_front_takes_everything_with_it(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    with RawClient(server, owner) as client:
        with_children(client, tmp_path / "pids")
        server.kill()
        wait_until(lambda: not marked(server.mark))
        assert server.folders() == []


@pytest.mark.parametrize("name", ["worker", "shepherd"])
def test_a_killed_part_of_a_session_takes_that_session_with_it_and_the_server_goes_on(
    name: str, serve: Serve, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    with RawClient(server, owner) as client, RawClient(server, guest) as other:
        started = with_children(client, tmp_path / "pids")
        os.kill(victim(server, name), signal.SIGKILL)
        assert client.ended().reason == "worker-lost"
        # the client is told when nothing is left, not before
        assert [pid for pid in started if is_alive(pid)] == []
        assert server.of_sessions() == []
        assert server.folders() == []
        other.hello()
        action = other.create("probe_steps", trace="", tag="")
        assert other.tick(action, {"ticks": 1, "result": "success"}).status == "SUCCESS"
        assert other.bye().reason == "bye"


def test_a_killed_zygote_is_replaced_and_disturbs_no_session(
    serve: Serve, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    with RawClient(server, owner) as client, RawClient(server, guest) as other:
        started = with_children(client, tmp_path / "pids")
        killed = victim(server, "zygote")
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not is_alive(killed))
        client.beat()
        other.hello()
        action = other.create("probe_steps", trace="", tag="")
        assert other.tick(action, {"ticks": 1, "result": "success"}).status == "SUCCESS"
        assert other.bye().reason == "bye"
        assert all(map(is_alive, started))
        assert client.bye().reason == "bye"
        assert [pid for pid in started if is_alive(pid)] == []


def test_all_of_them_killed_at_once_leave_nothing(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    with RawClient(server, owner) as client:
        started = with_children(client, tmp_path / "pids")
        for name in ("zygote", "worker", "shepherd"):
            os.kill(victim(server, name), signal.SIGKILL)
        assert client.ended().reason == "worker-lost"
        assert [pid for pid in started if is_alive(pid)] == []
