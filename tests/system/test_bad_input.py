# SPDX-License-Identifier: Apache-2.0
"""Whatever an enrolled client sends costs it an error and the server a line, and nobody else anything."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import (
    BODY_LIMIT_BYTES,
    HEADER_BYTES,
    MAGIC,
    SESSION_ID_BYTES,
    Frame,
    Kind,
)
from tests.support.rawclients import HELLO, RawClient
from tests.support.servers import Identity, ServerProcess
from tests.system.conftest import Start

SESSION = bytes(range(SESSION_ID_BYTES))
GOOD = Frame(kind=Kind.HELLO, session=SESSION, body=wire.encode(HELLO)).encode()
MEGABYTE = 1024 * 1024


@pytest.fixture
def witness(server: ServerProcess, guest: Identity) -> Iterator[RawClient]:
    """A good client with a running action, which must not notice anything."""
    with RawClient(server, guest) as client:
        client.hello()
        action = client.create("probe_steps", trace="", tag="")
        assert client.tick(action, {"ticks": 100, "result": "success"}).status == "RUNNING"
        yield client
        assert client.tick(action).status == "RUNNING"
        assert client.log == []
        assert client.bye().reason == "bye"


def replaced(offset: int, data: bytes) -> bytes:
    return GOOD[:offset] + data + GOOD[offset + len(data) :]


BAD_MESSAGES: dict[str, list[bytes]] = {
    "nothing": [b""],
    "only empty parts": [b"", b"", b""],
    "many parts": [b"x"] * 1000,
    "many empty parts": [b""] * 1000,
    "junk": [b"\x00\xff" * 50],
    "a web request": [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    "the magic alone": [MAGIC],
    "a cut header": [GOOD[: HEADER_BYTES - 1]],
    "another version": [replaced(2, b"\x63")],
    "an unknown kind": [replaced(3, b"\xff")],
    "a server's kind": [replaced(3, bytes([Kind.WELCOME]))],
    "a number where none belongs": [replaced(20, b"\x00" * 7 + b"\x01")],
    "a confirmation of nothing": [replaced(28, b"\xff" * 8)],
    "a cut body": [GOOD[:-3]],
    "a body that is no msgpack": [GOOD[:HEADER_BYTES] + b"\xc1" * 20],
    "a body that announces gigabytes": [GOOD[:HEADER_BYTES] + b"\xdd\xff\xff\xff\xff"],
    "a body nested deeply": [GOOD[:HEADER_BYTES] + b"\x91" * 5000],
    "a message of the other side": [
        Frame(kind=Kind.HELLO, session=SESSION, body=wire.encode(messages.Refused(code="x", text="y"))).encode()
    ],
    "a large greeting": [GOOD + b"\0" * MEGABYTE],
    "a version 1 request of junk": [b"", b"\x00\xff" * 50],
    "a version 1 list": [b"", msgpack.packb(["heartbeat"])],
    "a version 1 map with odd keys": [b"", msgpack.packb({1: 2, None: 3})],
    "a version 1 request that announces gigabytes": [b"", b"\xdf\xff\xff\xff\xff"],
    "a version 1 request nested deeply": [b"", b"\x91" * 5000],
    "a large version 1 request": [b"", msgpack.packb({"cmd": "x" * 2 * MEGABYTE})],
    "an envelope too large": [b"x" * MEGABYTE, b"", msgpack.packb({"cmd": "heartbeat"})],
    "an envelope too long": [b"a", b"b", b"c", b"d", b"", msgpack.packb({"cmd": "heartbeat"})],
}


@pytest.mark.parametrize("parts", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_a_bad_message_is_answered_with_an_error_and_the_server_goes_on(
    parts: list[bytes], server: ServerProcess, owner: Identity, witness: RawClient
) -> None:
    before = len(server.log)
    with RawClient(server, owner) as client:
        client.socket.send(*parts)
        answer = client.socket.receive()
        said = server.log[before:].splitlines()
        assert len(said) <= 3 and all(len(line) < 1000 for line in said), said
        if answer[-1][:2] == MAGIC:
            client.session = answer[-1][4 : 4 + SESSION_ID_BYTES]
            assert answer[-1][3] == Kind.REFUSED
        else:
            assert msgpack.unpackb(answer[-1])["status"] == "error"
        client.session = random.randbytes(SESSION_ID_BYTES)  # one that no test before has used up
        client.hello()  # the connection is still good
        assert client.bye().reason == "bye"


def test_a_message_of_just_the_size_limit_arrives(server: ServerProcess, owner: Identity) -> None:
    with RawClient(server, owner) as client:
        client.hello()
        client.data(bytes(BODY_LIMIT_BYTES))
        client.beat()
        assert client.bye().reason == "bye"


def test_a_message_beyond_the_size_limit_costs_the_sender_its_connection(
    server: ServerProcess, owner: Identity, witness: RawClient
) -> None:
    with RawClient(server, owner) as client:
        client.hello()
        client.socket.send(b"SE" + b"\0" * 20 * MEGABYTE)
        assert not client.socket.socket.poll(200)
        client.send(Kind.RESUME)  # on the connection that ZeroMQ makes anew
        client.expect(Kind.RESUMED)
        assert client.bye().reason == "bye"


WORKER_JUNK: dict[str, bytes] = {
    "nothing": b"",
    "junk": b"\xc1\xff\x00" * 30,
    "a cut message": wire.encode(messages.Shutdown(call=1, action=1))[:-1],
    "an unknown message": msgpack.packb([250, 1, 2]),
    "fields of the wrong type": msgpack.packb([8, "one", None, 7]),
    "too many fields": msgpack.packb([9, 1, 1, 1, 1, 1]),
    "a message only the front may send": wire.encode(messages.EndSession(reason="because")),
    "a message of the worker's own": wire.encode(messages.Log(level="error", text="gotcha")),
    "an answer nobody waits for": wire.encode(messages.Answer(ticket=99, value=None, error=None, text="")),
    "an action nobody made": wire.encode(messages.Shutdown(call=5, action=77)),
    "an unknown extension": msgpack.packb([8, msgpack.ExtType(99, b"x")]),
    "deep nesting": b"\x91" * 3000,
    "a map with a key that cannot be one": b"\x81\x90\x90",
}


@pytest.mark.parametrize("body", WORKER_JUNK.values(), ids=WORKER_JUNK)
def test_a_body_that_the_worker_does_not_understand_is_refused_there_and_the_session_goes_on(
    body: bytes, server: ServerProcess, owner: Identity, witness: RawClient
) -> None:
    with RawClient(server, owner) as client:
        client.hello()
        action = client.create("probe_steps", trace="", tag="")
        client.data(body)
        tick = client.tick(action, {"ticks": 1, "result": "success"})
        assert tick.status == "SUCCESS"
        assert client.bye().reason == "bye"


@pytest.mark.parametrize("below", ["a\0b", "d/" * 101, "d/" * 100_000, "x" * 300, "../../../up"])
@pytest.mark.parametrize("does_mount", [True, False])
def test_a_path_that_cannot_be_made_costs_its_client_an_error_and_leaves_nothing_behind(
    does_mount: bool, below: str, server: ServerProcess, owner: Identity, witness: RawClient
) -> None:
    with RawClient(server, owner) as client:
        client.hello()
        mount = messages.Mount(
            call=0, mount=10**4000, path=f"/far/{below}" if does_mount else "/far", names=[], role="output",
            mode="copy", marker="", content=b"", working_folder="",
        )  # fmt: skip
        client.data(wire.encode(mount))
        assert (client.result(0).fault is not None) is does_mount
        nowhere = messages.Directories(scenario_file=None, output=f"/far/{below}")
        create = messages.Create(
            call=1000, action=1, scenario=1, plugin=messages.Plugin(key="nothing"), init_arguments={}, name="x",
            label=None, context=None, actor=None, directories=nowhere, debug=False,
        )  # fmt: skip
        client.data(wire.encode(create))
        fault = client.result(1000).fault
        # what the disk refused would be missed by actions, or lost; the rest is a client's own nonsense
        is_of_the_disk = does_mount and below == "x" * 300
        assert fault is not None
        assert fault.type_name == ("StagingError" if is_of_the_disk else "UnknownActionError")
        assert client.bye().reason == "bye"
    server.wait_for_log("session ended")
    assert not server.lines("could not be removed")


def test_a_megabyte_of_random_frames_and_bodies_disturbs_nobody(
    server: ServerProcess, owner: Identity, witness: RawClient
) -> None:
    dice = random.Random(20)  # the same every time, so that a failure can be repeated
    before = len(server.log)
    with RawClient(server, owner) as client:
        client.hello()
        for _ in range(500):
            client.socket.send(*(dice.randbytes(dice.randrange(200)) for _ in range(dice.randrange(1, 6))))
            frame = bytearray(client.frame(dice.choice([Kind.BEAT, Kind.RESUME]), dice.randbytes(dice.randrange(50))))
            frame[dice.randrange(len(frame))] ^= 1 << dice.randrange(8)
            client.socket.send(bytes(frame))
        witness.beat()
        client.close()
    assert len(server.log) - before < 300_000, "what a client provokes is bounded"
    assert server.process.poll() is None


def test_a_scenario_runs_undisturbed_while_another_client_sends_junk(
    server: ServerProcess, start: Start, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    scenario = start(
        f"""
        probe_steps("{tmp_path}/trace", ticks: 10) with:
            remote("{server.endpoint}", heartbeat_failure_timeout: 2s)
        """,
        who=guest,
    )
    dice = random.Random(7)
    with RawClient(server, owner) as client:
        client.hello()
        while scenario.process.poll() is None:
            for parts in BAD_MESSAGES.values():
                if len(parts) < 10 and len(parts[-1]) < 10_000:
                    client.socket.send(*parts)
            client.data(dice.randbytes(100))
            client.socket.socket.poll(20)
            while client.socket.socket.poll(0):
                client.socket.receive()
        client.close()
    outcome = scenario.finish()
    assert outcome.code == 0, outcome.output
    assert [line for line in outcome.said if line.startswith(("WARN", "ERROR"))] == []
