# SPDX-License-Identifier: Apache-2.0
"""A client and a server of different commits: who notices says so at the door, and nothing is begun."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_remote import errors
from scenario_execution_remote.courtesies import versions_here
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.agreement import MEND
from scenario_execution_remote.protocol.frames import PROTOCOL_VERSION, Frame, Kind, decode_frame
from tests.support import peers
from tests.support.rawclients import ANSWER_S, HELLO, RawClient
from tests.support.servers import BIN, Identity, ServerProcess, clean_environment
from tests.system.conftest import Run

VERSIONS = versions_here()
OWN = VERSIONS["scenario-execution-remote"]
BOTH = f"The client has scenario-execution-remote {OWN}, the server scenario-execution-server"


def without(name: str) -> dict[str, str]:
    return {known: value for known, value in VERSIONS.items() if known != name}


# -- a client of another commit ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        (VERSIONS | {"messages": "0123456789abcdef"}, "their messages are not the same"),
        (VERSIONS | {"messages": ""}, "their messages are not the same"),
        (without("messages"), "the client does not say which messages it knows, as older ones do not"),
    ],
    ids=["another", "empty", "none"],
)
def test_a_client_with_other_messages_is_refused_before_a_worker_starts(
    versions: dict[str, str], why: str, server: ServerProcess, owner: Identity
) -> None:
    opened_before = len(server.lines(" session opened "))
    with RawClient(server, owner) as client:
        client.send(Kind.HELLO, wire.encode(replace(HELLO, versions=versions)))
        refused = client.refusal()
        assert refused.code == messages.RefusalCode.VERSION.value
        assert refused.text == f"{BOTH} {OWN}, and {why}. {MEND}"
        client.hello()  # the same connection and session are good for who knows the messages
        assert client.bye().reason == "bye"
    assert len(server.wait_for_log(" session opened ", count=opened_before + 1)) == opened_before + 1


@pytest.mark.parametrize(
    "body",
    [b"\x93\x00\xa1x\x80", b"\x95\x00\xa1x\x80\xcb" + bytes(8) + b"\xc0", b"\x91\x7f"],
    ids=["a field less", "a field more", "an unknown number"],
)
def test_a_hello_that_cannot_be_read_is_refused_with_the_same_advice(
    body: bytes, server: ServerProcess, owner: Identity
) -> None:
    with RawClient(server, owner) as client:
        client.send(Kind.HELLO, body)
        refused = client.refusal()
    assert (refused.code, refused.text.endswith(MEND)) == (messages.RefusalCode.PROTOCOL.value, True)


def test_a_hello_of_another_protocol_version_is_refused_with_the_same_advice(
    server: ServerProcess, owner: Identity
) -> None:
    with RawClient(server, owner) as client:
        frame = bytearray(client.frame(Kind.HELLO, wire.encode(HELLO)))
        frame[2] = PROTOCOL_VERSION + 1
        client.socket.send(bytes(frame))
        refused = client.refusal()
    assert (refused.code, refused.text.endswith(MEND)) == (messages.RefusalCode.VERSION.value, True)


# -- a server of another commit ------------------------------------------------------------------


@dataclass
class OtherServer:
    """What stands behind an endpoint, and what it has heard."""

    endpoint: str
    heard: list[Kind] = field(default_factory=list)
    has_heard_bye: threading.Event = field(default_factory=threading.Event)


@contextmanager
def other_server(welcome: bytes) -> Iterator[OtherServer]:
    """A server that opens a session for everybody with these words, as one does that compares no messages."""
    with peers.zmq_server() as socket:
        other = OtherServer(f"127.0.0.1:{peers.port_of(socket)}")
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                if not socket.poll(50):
                    continue
                route, data = socket.recv_multipart()
                frame = decode_frame(data)
                other.heard.append(frame.kind)
                if frame.kind is Kind.HELLO:
                    socket.send_multipart([route, Frame(Kind.WELCOME, frame.session, body=welcome).encode()])
                if frame.kind is Kind.BYE:
                    other.has_heard_bye.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield other
        finally:
            is_over.set()
            thread.join()


def welcome(versions: dict[str, str]) -> bytes:
    return wire.encode(
        messages.Welcome(
            program="a server of another commit", versions=versions | {"scenario-execution-server": "0.0.9"},
            watchdog_s=10.0, shutdown_timeout_s=5.0, next_key=None,
        )
    )  # fmt: skip


@pytest.fixture
def nobody(tmp_path: Path) -> Identity:
    """Somebody without keys, who needs none on this machine."""
    pair = KeyPair.generate()
    return Identity(folder=tmp_path / "none", pair=pair, server_key=pair.public)


@pytest.mark.parametrize(
    ("versions", "why"),
    [
        (VERSIONS | {"messages": "0123456789abcdef"}, "their messages are not the same"),
        (without("messages"), "the server does not say which messages it knows, as older ones do not"),
    ],
    ids=["another", "none"],
)
def test_a_client_takes_no_session_of_a_server_with_other_messages(
    versions: dict[str, str], why: str, nobody: Identity, run: Run
) -> None:
    sentence = f"{BOTH} 0.0.9, and {why}. {MEND}"
    with other_server(welcome(versions)) as server:
        outcome = run(f'log("there") with:\n    remote("{server.endpoint}")', who=nobody)
        assert server.has_heard_bye.wait(ANSWER_S)
        assert server.heard == [Kind.HELLO, Kind.BYE]
        words = [BIN / "se-remote", "doctor", server.endpoint, "--json"]
        variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(nobody.folder))
        done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=60)
    assert outcome.code == 1 and sentence in outcome.output
    assert done.returncode == errors.VersionsDifferError.exit_code
    (failed,) = [step for step in json.loads(done.stdout)["steps"] if step["status"] == "fail"]
    assert (failed["step"], failed["text"]) == ("versions", sentence)


def test_a_welcome_that_cannot_be_read_is_a_matter_of_versions_too(nobody: Identity) -> None:
    without_next_key = b"\x95" + welcome(VERSIONS)[1:-1]
    with other_server(without_next_key) as server:
        words = [BIN / "se-remote", "ping", server.endpoint]
        variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(nobody.folder))
        done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == errors.RemoteProtocolError.exit_code
    assert done.stderr.strip() == (
        f"se-remote: The server does not speak this client's protocol: Welcome takes a list of 5 fields. {MEND}"
    )
