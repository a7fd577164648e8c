# SPDX-License-Identifier: Apache-2.0
"""A connection that breaks and comes back is not seen by the scenario; one that stays away fails it in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Kind
from tests.support import peers
from tests.support.probe import trace_of
from tests.support.proxy import Proxy
from tests.support.rawclients import RawClient
from tests.support.scenarios import ScenarioProcess
from tests.support.servers import Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Start

STEPS = 40


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


def stepping(start: Start, proxy: Proxy, tmp_path: Path, timeout: str) -> tuple[ScenarioProcess, Path]:
    """A scenario whose one action takes STEPS ticks, while it runs; and its trace."""
    trace = tmp_path / "trace"
    client = start(
        f"""
        probe_steps("{trace}", ticks: {STEPS}) with:
            remote("{proxy.endpoint}", heartbeat_failure_timeout: {timeout})
        """
    )
    wait_until(lambda: len(trace_of(trace)) > 5, 30.0)
    return client, trace


WHOLE_TRACE = [
    "a setup(INVALID)", "a execute(INVALID)", "a update(INVALID)", *["a update(RUNNING)"] * (STEPS - 1),
    "a terminate SUCCESS(RUNNING)", "a shutdown(SUCCESS)",
]  # fmt: skip


@pytest.mark.parametrize("how", ["cut", "frozen"])
def test_a_connection_that_comes_back_is_invisible_and_nothing_is_executed_twice(
    how: str, proxy: Proxy, start: Start, tmp_path: Path
) -> None:
    client, trace = stepping(start, proxy, tmp_path, "10s")
    for _ in range(2):
        if how == "cut":
            before = proxy.connection_count
            proxy.cut()
            proxy.restore()
            wait_until(lambda before=before: proxy.connection_count > before)
        else:
            proxy.freeze()
            count = len(trace_of(trace))
            proxy.thaw()
            wait_until(lambda count=count: len(trace_of(trace)) > count)
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert trace_of(trace) == WHOLE_TRACE
    assert [line for line in outcome.said if line.startswith(("WARN", "ERROR"))] == []


@pytest.mark.parametrize("how", ["cut", "frozen"])
def test_a_connection_that_stays_away_fails_the_action_with_the_reason(
    how: str, proxy: Proxy, server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    client, trace = stepping(start, proxy, tmp_path, "1s")
    if how == "cut":
        proxy.cut()
    else:
        proxy.freeze()
    outcome = client.finish()
    assert outcome.code == 1
    said = "\n".join(outcome.said)
    lost = rf"ERROR .*{re.escape(proxy.endpoint)} is lost: nothing was heard from it for 1\."
    assert re.search(lost, said), outcome.output
    assert "Traceback" not in outcome.output
    server.wait_idle()
    assert "reason=silent" in server.lines("session ended")[-1]
    assert trace_of(trace)[-1] == "a shutdown(INVALID)"
    if how == "cut":
        proxy.restore()


def test_a_server_that_comes_back_without_encryption_fails_the_action_at_once_and_hears_nothing(
    proxy: Proxy, start: Start, tmp_path: Path
) -> None:
    client, _ = stepping(start, proxy, tmp_path, "1h")  # what fails it is not that nothing is heard
    proxy.cut()
    with peers.zmq_server() as plain:
        proxy.restore(peers.port_of(plain))
        outcome = client.finish()
        assert not plain.poll(0)
    assert outcome.code == 1
    assert re.search(r"ERROR .*does not encrypt \(it speaks NULL\), but is pinned here to", "\n".join(outcome.said))
    proxy.cut()
    proxy.restore()


def test_a_reply_that_the_break_swallowed_is_sent_again(
    proxy: Proxy, server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    with RawClient(server, owner, address=f"tcp://{proxy.endpoint}") as client:
        client.hello()
        gate = tmp_path / "gate"
        action = client.create(
            "probe_trouble", trace=str(tmp_path / "trace"), tag="a", phase="update", deed="wait", text=str(gate),
            side="any", ticks=1,
        )  # fmt: skip
        call = client.start_tick(action, {})
        wait_until(lambda: "a update(INVALID)" in trace_of(tmp_path / "trace"))
        before = proxy.connection_count
        proxy.cut()
        gate.touch()
        wait_until(lambda: "a terminate SUCCESS(INVALID)" in trace_of(tmp_path / "trace"))
        proxy.restore()
        wait_until(lambda: proxy.connection_count > before)
        client.send(Kind.RESUME)
        client.expect(Kind.RESUMED)
        assert client.result(call).status == "SUCCESS"
        client.send(Kind.RESUME)  # and again, as nothing has been confirmed since
        client.expect(Kind.RESUMED)
        assert trace_of(tmp_path / "trace").count("a execute(INVALID)") == 1
        assert client.bye().reason == "bye"


def test_a_call_that_arrives_twice_is_carried_out_once(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    with RawClient(server, owner) as client:
        client.hello()
        action = client.create("probe_steps", trace=str(tmp_path / "trace"), tag="a")
        assert client.tick(action, {"ticks": 100, "result": "success"}).status == "RUNNING"
        tick = wire.encode(messages.Tick(call=77, action=action, arguments=None, now_s=None, period_s=None, after=None))
        client.data(tick)
        for _ in range(3):
            client.send(Kind.DATA, tick, seq=client.sent)
        assert client.result(77).status == "RUNNING"
        assert client.tick(action).status == "RUNNING"
        assert [line for line in trace_of(tmp_path / "trace") if "update" in line] == [
            "a update(INVALID)", "a update(RUNNING)", "a update(RUNNING)",
        ]  # fmt: skip
        assert client.bye().reason == "bye"
