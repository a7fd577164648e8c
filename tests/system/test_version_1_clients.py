# SPDX-License-Identifier: Apache-2.0
"""Clients that are in the field already: their whole vocabulary, on every door, next to each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

from tests.support.probe import trace_of
from tests.support.rawclients import RawClient, Socket, Version1Client, address_of
from tests.support.servers import BRISK, PLAIN, Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Serve

OK = {"status": "ok"}


@pytest.fixture(params=["curve", "unix socket", "plain tcp"])
def client(request: pytest.FixtureRequest, server: ServerProcess, owner: Identity) -> Iterator[Version1Client]:
    """A version 1 client at each kind of door."""
    if request.param == "plain tcp":
        serve: Serve = request.getfixturevalue("serve")
        plain = serve(*PLAIN, *BRISK)
        address = f"tcp://127.0.0.1:{plain.port}"
        with Version1Client(plain, address=address) as client:
            yield client
    else:
        with Version1Client(server, owner if request.param == "curve" else None) as client:
            yield client


def test_the_whole_lifecycle_runs_over_every_kind_of_door(client: Version1Client, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    client.begin("one", "probe_steps", trace=str(trace), tag="a")
    assert client.ask("heartbeat") == OK
    assert client.ask("execute", action_id="one", exec_args={"ticks": 2, "result": "failure"}) == OK
    assert client.ask("update", action_id="one") == {"status": "ok", "action_status": "running"}
    assert client.ask("update", action_id="one") == {"status": "ok", "action_status": "failure"}
    # the worker has stopped it with its last tick, as py_trees does; the client's own request changes nothing
    assert client.ask("terminate", action_id="one", new_status="FAILURE") == OK
    assert client.ask("reset", action_id="one") == OK
    assert trace_of(trace) == [
        "a setup(INVALID)", "a execute(INVALID)", "a update(INVALID)", "a update(RUNNING)",
        "a terminate FAILURE(RUNNING)", "a shutdown(FAILURE)",
    ]  # fmt: skip
    assert client.ask("update", action_id="one")["status"] == "error"
    client.begin("one", "probe_steps", trace=str(trace), tag="b")
    assert client.ask("reset") == OK
    assert trace_of(trace, "b") == ["setup(INVALID)", "shutdown(INVALID)"]


def test_a_client_may_call_its_connection_whatever_it_likes(server: ServerProcess, owner: Identity) -> None:
    with Version1Client(server, owner) as client:
        socket, address = client.socket.socket, address_of(server, owner)
        socket.disconnect(address)
        socket.routing_id = b"r" * 255
        socket.connect(address)
        client.begin("one", "probe_steps", trace="", tag="")
        assert client.ask("reset") == OK


def test_an_activation_that_was_never_ticked_does_not_cost_the_next_one_its_arguments(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    with Version1Client(server, owner) as client:
        client.begin("one", "probe_steps", trace=str(tmp_path / "trace"), tag="a")
        client.ask("execute", action_id="one", exec_args={"ticks": 9, "result": "success"})
        client.ask("execute", action_id="one", exec_args={"ticks": 1, "result": "failure"})
        assert client.ask("update", action_id="one") == {"status": "ok", "action_status": "failure"}


def test_a_terminated_action_is_cancelled(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    with Version1Client(server, owner) as client:
        client.begin("one", "probe_steps", trace=str(tmp_path / "trace"), tag="a")
        client.ask("execute", action_id="one", exec_args={"ticks": 9, "result": "success"})
        client.ask("update", action_id="one")
        assert client.ask("terminate", action_id="one", new_status="INVALID") == OK
        assert trace_of(tmp_path / "trace")[-2:] == ["a terminate INVALID(RUNNING)", "a request_cancel(RUNNING)"]


@pytest.mark.parametrize(
    ("cmd", "payload", "words"),
    [
        ("frobnicate", {}, "unknown command 'frobnicate'"),
        (None, {}, "cmd"),
        (7, {}, "cmd"),
        ("update", {}, "action_id"),
        ("update", {"action_id": "nobody"}, "nobody"),
        ("update", {"action_id": 7}, "action_id"),
        ("update", [], "payload"),
        ("terminate", {"action_id": "one", "new_status": "HAPPY"}, "new_status"),
        ("init", {"action_id": "two", "plugin_key": "no_such_plugin", "init_args": {}}, "no_such_plugin"),
        ("init", {"action_id": "two", "plugin_key": "probe_steps", "init_args": {"sideways": 1}}, "sideways"),
        ("init", {"action_id": "two", "plugin_key": "probe_steps", "init_args": 7}, "init_args"),
        ("init", {"action_id": "one", "plugin_key": "probe_steps", "init_args": {}}, "in use"),
        ("execute", {"action_id": "one", "exec_args": {"sideways": 1}}, "sideways"),
        ("reset", {"action_id": "nobody"}, "nobody"),
    ],
)
def test_a_request_that_cannot_be_met_is_answered_with_an_error_in_words(
    cmd: object, payload: object, words: str, server: ServerProcess, owner: Identity
) -> None:
    with Version1Client(server, owner) as client:
        client.begin("one", "probe_steps", trace="", tag="a")
        client.socket.send(msgpack.packb({"cmd": cmd, "payload": payload}))
        reply = client.reply()
        assert reply["status"] == "error"
        assert words in reply["message"]
        assert client.ask("heartbeat") == OK  # and it may go on


def test_an_exception_is_answered_with_its_type_and_text(server: ServerProcess, owner: Identity) -> None:
    with Version1Client(server, owner) as client:
        trouble = {"trace": "", "tag": "", "phase": "update", "deed": "ValueError", "text": "so it goes", "side": "any"}
        client.begin("one", "probe_trouble", ticks=1, **trouble)
        assert client.ask("execute", action_id="one", exec_args={}) == OK
        assert client.ask("update", action_id="one") == {"status": "error", "message": "ValueError: so it goes"}


def blocking(client: Version1Client, gate: Path) -> None:
    trouble = {"trace": "", "tag": "", "phase": "update", "deed": "wait", "text": str(gate), "side": "any", "ticks": 1}
    client.begin("slow", "probe_trouble", **trouble)
    assert client.ask("execute", action_id="slow", exec_args={}) == OK
    client.start("update", action_id="slow")


def test_heartbeats_are_answered_while_an_update_blocks(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    with Version1Client(server, owner) as client:
        blocking(client, tmp_path / "gate")
        for _ in range(25):  # 2.5 s, beyond the watchdog
            client.start("heartbeat")  # REQ_RELAXED: the answer to the update is given up
            assert client.reply(within_s=2.0) == OK
            assert not client.socket.socket.poll(100)
        (tmp_path / "gate").touch()


def test_a_client_that_cannot_beat_while_it_waits_for_an_answer_keeps_its_session(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    with Version1Client(server, owner) as client:
        blocking(client, tmp_path / "gate")
        assert not client.socket.socket.poll(3000), "nothing comes before the action is done"
        (tmp_path / "gate").touch()
        assert client.reply() == {"status": "ok", "action_status": "success"}
        # the watchdog of 2 s did not count while an answer was owed: the action is still there
        assert client.ask("execute", action_id="slow", exec_args={}) == OK
        assert client.ask("update", action_id="slow") == {"status": "ok", "action_status": "success"}


def test_the_actions_of_a_silent_client_are_terminated_and_shut_down(
    server: ServerProcess, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    with RawClient(server, guest) as other:
        other.hello()
        client = Version1Client(server, owner)
        client.begin("one", "probe_steps", trace=str(tmp_path / "trace"), tag="a")
        client.ask("execute", action_id="one", exec_args={"ticks": 9, "result": "success"})
        client.ask("update", action_id="one")
        client.close()

        def is_over() -> bool:
            other.beat()
            return trace_of(tmp_path / "trace")[-1] == "a shutdown(INVALID)"

        wait_until(is_over)
        assert trace_of(tmp_path / "trace")[-3] == "a terminate INVALID(RUNNING)"
        assert other.bye().reason == "bye"


@pytest.mark.parametrize("second", ["owner", "guest"], ids=["with the same key", "with different keys"])
def test_two_clients_may_call_their_actions_the_same_without_disturbing_each_other(
    second: str, server: ServerProcess, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    other = {"owner": owner, "guest": guest}[second]
    with Version1Client(server, owner) as left, Version1Client(server, other) as right:
        for client, tag in ((left, "left"), (right, "right")):
            client.begin("same", "probe_steps", trace=str(tmp_path / "trace"), tag=tag)
            assert client.ask("execute", action_id="same", exec_args={"ticks": 2, "result": "success"}) == OK
        assert left.ask("update", action_id="same")["action_status"] == "running"
        assert left.ask("reset") == OK  # all actions of this client, and of no other
        for status in ("running", "success"):
            assert right.ask("update", action_id="same")["action_status"] == status
        assert trace_of(tmp_path / "trace", "left")[-1] == "shutdown(INVALID)"
        assert "shutdown(INVALID)" not in trace_of(tmp_path / "trace", "right")


def test_both_versions_are_served_on_one_door(server: ServerProcess, owner: Identity) -> None:
    with Version1Client(server, owner) as old, RawClient(server, owner) as new:
        old.begin("one", "probe_steps", trace="", tag="")
        new.hello()
        action = new.create("probe_steps", trace="", tag="")
        old.ask("execute", action_id="one", exec_args={"ticks": 1, "result": "success"})
        assert old.ask("update", action_id="one")["action_status"] == "success"
        assert new.tick(action, {"ticks": 1, "result": "success"}).status == "SUCCESS"
        assert new.bye().reason == "bye"


def test_a_lost_worker_is_reported_to_the_request_that_waits(server: ServerProcess, owner: Identity) -> None:
    with Version1Client(server, owner) as client:
        trouble = {"trace": "", "tag": "", "phase": "update", "deed": "exit", "text": "3", "side": "any", "ticks": 1}
        client.begin("one", "probe_trouble", **trouble)
        client.ask("execute", action_id="one", exec_args={})
        reply = client.ask("update", action_id="one")
        assert reply["status"] == "error"
        assert "exited with status 3" in reply["message"]


def test_heartbeats_and_nonsense_alone_start_no_worker(server: ServerProcess, owner: Identity) -> None:
    before = len(server.lines("session opened"))
    with Version1Client(server, owner) as client:
        assert client.ask("heartbeat") == OK
        assert client.ask("reset") == OK
        assert client.ask("frobnicate")["status"] == "error"
    strict = Socket(zmq.REQ, address_of(server, owner), owner)
    strict.send(b"\xc1 is no msgpack")
    assert msgpack.unpackb(strict.receive()[0])["status"] == "error"
    strict.close()
    assert len(server.lines("session opened")) == before
