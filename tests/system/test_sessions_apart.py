# SPDX-License-Identifier: Apache-2.0
"""Two clients at once share nothing, and nobody reaches another's session."""

from __future__ import annotations

from pathlib import Path

import pytest
import zmq

from scenario_execution_remote.protocol.frames import Kind
from tests.support.probe import records_of
from tests.support.rawclients import RawClient, Socket
from tests.support.servers import Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Start


@pytest.mark.parametrize("second", ["owner", "guest"], ids=["with the same key", "with different keys"])
def test_two_scenarios_at_once_share_neither_globals_nor_folders_nor_environment_nor_lines(
    second: str, server: ServerProcess, start: Start, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    clients = []
    for tag, who in (("left", owner), ("right", {"owner": owner, "guest": guest}[second])):
        body = f"""
        probe_marks("{tmp_path}/{tag}", "{tag}", "{gate}") with:
            remote("{server.endpoint}")
        """
        clients.append(start(body, who=who))
        wait_until(lambda tag=tag: (tmp_path / tag).exists(), 30.0)  # they overlap: the second begins in the first
    assert len(server.named("se-worker")) == len(server.folders()) == 2
    gate.touch()
    left, right = (client.finish() for client in clients)
    assert (left.code, right.code) == (0, 0), left.output + right.output
    (from_left,), (from_right,) = records_of(tmp_path / "left"), records_of(tmp_path / "right")
    for found in (from_left, from_right):
        assert (found["globals"], found["environment"], found["processes"]) == ([], None, [])
        assert sorted(found["files"]) == ["output.txt", "test.osc"]  # what lies beside its own scenario
    assert from_left["pid"] != from_right["pid"]
    assert from_left["folder"] != from_right["folder"]
    for outcome, own, other in ((left, "left", "right"), (right, "right", "left")):
        assert outcome.count(f"printed by {own}") == outcome.count(f"logged by {own}") == 1
        assert f"by {other}" not in outcome.output


def test_actions_of_one_run_do_share_their_process_as_they_do_locally(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    outcome = start(
        f"""
        serial:
            probe_marks("{tmp_path}/marks", "one", "{tmp_path}/gate")
            probe_marks("{tmp_path}/marks", "two", "{tmp_path}/gate")
        with:
            remote("{server.endpoint}")
        """
    ).finish()
    assert outcome.code == 0, outcome.output
    one, two = records_of(tmp_path / "marks")
    assert two["pid"] == one["pid"]
    assert (two["globals"], two["environment"], two["processes"]) == (["one"], "one", ["probe_marks"])
    assert two["folder"] == f"{one['folder']}/folder-one"


@pytest.mark.parametrize("kind", [Kind.BEAT, Kind.RESUME, Kind.DATA])
def test_a_session_id_in_the_hands_of_another_key_is_unknown(
    kind: Kind, server: ServerProcess, owner: Identity, guest: Identity
) -> None:
    with RawClient(server, owner) as victim:
        victim.hello()
        action = victim.create("probe_steps", trace="", tag="")
        with RawClient(server, guest, session=victim.session) as thief:
            thief.send(kind, b"", seq=1 if kind is Kind.DATA else 0)
            assert thief.refusal().code == "unknown-session"
            thief.send(Kind.BYE)
            thief.send(Kind.BEAT)
            assert thief.refusal().code == "unknown-session"
        assert victim.tick(action, {"ticks": 1, "result": "success"}).status == "SUCCESS"
        assert victim.bye().reason == "bye"


def test_a_session_opened_by_another_key_under_the_same_id_is_another_session(
    server: ServerProcess, owner: Identity, guest: Identity
) -> None:
    with RawClient(server, owner) as victim, RawClient(server, guest, session=victim.session) as thief:
        victim.hello()
        action = victim.create("probe_steps", trace="", tag="")
        thief.hello()
        tick = thief.start_tick(action, {"ticks": 1, "result": "success"})
        fault = thief.result(tick).fault
        assert fault is not None and f"there is no action {action}" in fault.text
        assert thief.bye().reason == "bye"
        assert victim.tick(action, {"ticks": 1, "result": "success"}).status == "SUCCESS"
        assert victim.bye().reason == "bye"


def test_a_stranger_who_knows_a_session_id_gets_no_answer_at_all(
    server: ServerProcess, owner: Identity, stranger: Identity
) -> None:
    with RawClient(server, owner) as victim:
        victim.hello()
        with RawClient(server, stranger, session=victim.session) as thief:
            monitor = thief.socket.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
            for kind in (Kind.HELLO, Kind.RESUME, Kind.BYE):
                thief.send(kind)
            assert monitor.poll(5000), "the handshake of a stranger fails"
            assert not thief.socket.socket.poll(0)
            thief.socket.socket.disable_monitor()
            monitor.close()
        victim.beat()
        assert victim.bye().reason == "bye"


def test_nobody_speaks_to_a_door_with_curve_without_it(server: ServerProcess, owner: Identity) -> None:
    with RawClient(server, owner) as victim:
        victim.hello()
        bare = Socket(zmq.DEALER, f"tcp://127.0.0.1:{server.port}", None)
        monitor = bare.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        bare.send(victim.frame(Kind.RESUME))
        assert monitor.poll(5000)
        assert int.from_bytes(monitor.recv_multipart()[0][:2], "little") == zmq.EVENT_DISCONNECTED
        assert not bare.socket.poll(0)
        bare.socket.disable_monitor()
        monitor.close()
        bare.close()
        assert victim.bye().reason == "bye"
