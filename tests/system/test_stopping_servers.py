# SPDX-License-Identifier: Apache-2.0
"""How a server ends, and what its clients are told; and the options that end it or a session by themselves."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.protocol import wire
from scenario_execution_remote.protocol.frames import Kind
from tests.support.inventory import is_alive, marked
from tests.support.probe import pids_of, trace_of
from tests.support.rawclients import HELLO, RawClient
from tests.support.servers import BRISK, CURVE, Identity, make_guest
from tests.support.waiting import wait_until
from tests.system.conftest import Serve, Start

HELD = {"ticks": 10_000, "result": "success"}


def test_a_killed_server_fails_the_scenario_within_the_heartbeat_timeout_with_the_reason_and_leaves_nothing_running(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    pids, trace = tmp_path / "pids", tmp_path / "trace"
    client = start(
        f"""
        serial:
            probe_spawn("{pids}", "daemon")
            probe_steps("{trace}", ticks: 10000)
        with:
            remote("{server.endpoint}", heartbeat_failure_timeout: 1s)
        """
    )
    wait_until(lambda: "a update(RUNNING)" in trace_of(trace), 30.0)
    server.kill()
    killed_s = time.monotonic()
    outcome = client.finish()
    # one second of silence, a tick, and the end of the program; the rest is for busy machines
    assert time.monotonic() - killed_s < 4.0
    assert outcome.code == 1
    assert re.search(rf"ERROR .*{re.escape(server.endpoint)}.*(silent|lost)", "\n".join(outcome.said)), outcome.output
    assert "Traceback" not in outcome.output
    wait_until(lambda: not marked(server.mark))
    assert [pid for pid in pids_of(pids) if is_alive(pid)] == []
    # its actions were ended in order before: their worker had noticed that the front was gone
    assert trace_of(trace)[-3:] == ["a terminate INVALID(RUNNING)", "a request_cancel(RUNNING)", "a shutdown(INVALID)"]


def test_a_retry_after_the_server_came_back_opens_a_new_session(serve: Serve, start: Start, tmp_path: Path) -> None:
    server = serve("--socket", str(tmp_path / "door"), *BRISK)
    trace = tmp_path / "trace"
    client = start(
        f"""
        probe_steps("{trace}", ticks: 10000) with:
            failure_is_success()
            remote("{tmp_path}/door", heartbeat_failure_timeout: 1s)
        run_process("uname") with:
            failure_is_success()
            remote("{tmp_path}/door", heartbeat_failure_timeout: 1s)
        log("went on")
        """
    )
    wait_until(lambda: "a update(RUNNING)" in trace_of(trace), 30.0)
    server.kill()
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert "INFO went on" in outcome.said


def test_sigterm_ends_all_sessions_in_order_tells_their_clients_and_exits_with_zero(
    serve: Serve, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    with RawClient(server, owner) as one, RawClient(server, guest) as two:
        for client, tag in ((one, "one"), (two, "two")):
            client.hello()
            action = client.create("probe_steps", trace=str(tmp_path / tag), tag=tag)
            assert client.tick(action, HELD).status == "RUNNING"
        assert server.stop() == 0
        for client, tag in ((one, "one"), (two, "two")):
            assert client.ended().reason == "stopped"
            assert trace_of(tmp_path / tag, tag)[-3:] == [
                "terminate INVALID(RUNNING)", "request_cancel(RUNNING)", "shutdown(INVALID)",
            ]  # fmt: skip


def test_a_scenario_on_a_server_that_is_stopped_fails_with_that_reason(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    client = start(f'probe_steps("{tmp_path}/trace", ticks: 10000) with:\n    remote("{server.endpoint}")')
    wait_until(lambda: "a update(RUNNING)" in trace_of(tmp_path / "trace"), 30.0)
    assert server.stop(signal.SIGINT) == 0
    outcome = client.finish()
    assert outcome.code == 1
    assert "The server is stopping" in outcome.output


def test_a_second_sigterm_hurries_a_server_whose_actions_do_not_shut_down(serve: Serve, owner: Identity) -> None:
    server = serve(*CURVE, "--shutdown-timeout", "1000")
    with RawClient(server, owner) as client:
        client.hello()
        client.create("probe_trouble", trace="", tag="", phase="shutdown", deed="hang", text="", side="any", ticks=1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("stopping, the actions are asked to end; a second Ctrl-C or SIGTERM kills")
        client.beat()  # while it stops, it still answers
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert client.ended().reason == "stopped"
    assert server.lines("stopping at once, what still runs is killed")
    (ended,) = server.lines("session ended")
    assert "exit=killed" in ended and "killed at once, as the second signal asks" in ended and "grace" not in ended


def test_a_server_that_is_stopping_opens_no_session_and_says_why(
    serve: Serve, owner: Identity, guest: Identity
) -> None:
    server = serve(*CURVE, "--shutdown-timeout", "1000")
    with RawClient(server, owner) as client, RawClient(server, guest) as late:
        client.hello()
        client.create("probe_trouble", trace="", tag="", phase="shutdown", deed="hang", text="", side="any", ticks=1)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_log("stopping")
        late.send(Kind.HELLO, wire.encode(HELLO))
        refusal = late.refusal()
        assert refusal.code == "stopping"
        assert "stopping" in refusal.text
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_once_ends_the_server_with_its_first_session(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK, "--once")
    with RawClient(server, owner) as client:
        client.hello()
        client.beat()
        assert server.process.poll() is None
        assert client.bye().reason == "bye"
    assert server.wait() == 0


def test_connect_timeout_ends_a_server_to_which_nobody_came(serve: Serve) -> None:
    server = serve(*CURVE, "--connect-timeout", "0.5")
    assert server.wait() == 0
    assert server.lines("--connect-timeout")


def test_connect_timeout_does_not_end_a_server_to_which_somebody_came(serve: Serve, owner: Identity) -> None:
    server = serve(*CURVE, *BRISK, "--connect-timeout", "1")
    with RawClient(server, owner) as client:
        client.hello()
        for _ in range(15):  # 1.5 s, beyond the time-out
            client.beat()
            assert not client.socket.socket.poll(100)
        client.bye()
    assert server.process.poll() is None


def test_a_session_too_many_is_refused_with_the_reason_and_room_is_made_by_an_end(
    serve: Serve, owner: Identity, guest: Identity
) -> None:
    server = serve(*CURVE, *BRISK, "--max-sessions", "1")
    with RawClient(server, owner) as first, RawClient(server, guest) as second:
        first.hello()
        second.send(Kind.HELLO, wire.encode(HELLO))
        refusal = second.refusal()
        assert refusal.code == "limit"
        assert "--max-sessions" in refusal.text
        assert len(server.folders()) == 1
        first.bye()
        second.hello()
        second.bye()


def test_watchdog_ends_a_silent_session_and_the_server_goes_on(serve: Serve, owner: Identity, guest: Identity) -> None:
    server = serve(*CURVE, "--watchdog", "0.5")
    with RawClient(server, owner) as silent, RawClient(server, guest) as other:
        silent.hello()
        other.hello()
        give_up_at = time.monotonic() + 5.0
        while not silent.socket.socket.poll(0):
            assert time.monotonic() < give_up_at
            other.beat()
        assert silent.ended().reason == "silent"
        other.beat()
        assert other.bye().reason == "bye"


def test_a_client_with_default_timeouts_keeps_its_session_on_a_server_with_a_short_watchdog(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, "--watchdog", "0.6")
    # nothing is sent for the action meanwhile: it has not been reached yet
    client = start(f'wait elapsed(1.5s)\nlog("there") with:\n    remote("{server.endpoint}")')
    outcome = client.finish()
    assert outcome.code == 0, outcome.output
    assert "INFO there" in outcome.said


def test_a_revoked_client_loses_its_session(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    revoked = make_guest(tmp_path / "revoked", owner, "revoked")
    server = serve(*CURVE, *BRISK)
    with RawClient(server, revoked) as client:
        client.hello()
        KeyStore(owner.folder).revoke("revoked")
        give_up_at = time.monotonic() + 10.0
        while not server.lines("session ended"):
            assert time.monotonic() < give_up_at
            client.send(Kind.BEAT)
            client.socket.socket.poll(100)
        assert server.lines("session ending", "reason=revoked")


def test_a_unix_socket_is_gone_with_its_server_and_one_left_by_a_killed_server_is_replaced(
    serve: Serve, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    first = serve("--socket", str(door))
    assert door.is_socket() and door.stat().st_mode & 0o777 == 0o600
    first.kill()
    assert door.is_socket()
    second = serve("--socket", str(door))
    with RawClient(second, address=f"ipc://{door}") as client:
        client.hello()
        client.bye()
    assert second.stop() == 0
    assert not door.exists()


def test_a_second_server_on_the_same_unix_socket_does_not_start_and_does_not_disturb_the_first(
    serve: Serve, tmp_path: Path
) -> None:
    door = tmp_path / "door"
    first = serve("--socket", str(door))
    with pytest.raises(AssertionError, match="does not listen"):
        serve("--socket", str(door))
    with RawClient(first, address=f"ipc://{door}") as client:
        client.hello()
        client.bye()


def test_a_server_with_port_and_socket_serves_both(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, "--socket", str(tmp_path / "door"))
    with RawClient(server, owner) as one, RawClient(server, address=f"ipc://{tmp_path / 'door'}") as two:
        one.hello()
        two.hello()
        assert one.bye().reason == two.bye().reason == "bye"
