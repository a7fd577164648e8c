# SPDX-License-Identifier: Apache-2.0
"""`se-remote doctor`, `ping` and `actions`: every way in which a connection fails, provoked, and what is said of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote import errors
from tests.support import peers
from tests.support.servers import BIN, CURVE, Identity, ServerProcess, clean_environment, make_guest, make_owner
from tests.system.conftest import Run, Serve

NOT_SO_LONG = ("--timeout", "2")  # seconds; whoever does not answer is not waited for longer


def ask(*words: str, who: Identity) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody."""
    variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(who.folder))
    return subprocess.run([BIN / "se-remote", *words], env=variables, capture_output=True, text=True, timeout=60)


def steps(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {step["step"]: step for step in json.loads(done.stdout)["steps"]}


class Scene:
    """What the failures are made of: somebody with keys who trusts and is enrolled, and a server for the later ones."""

    def __init__(self, folder: Path, serve: Serve) -> None:
        self.folder = folder
        self.serve = serve

    def desk(self) -> tuple[Identity, Identity]:
        """The operator of a server of its own, and a client called alice."""
        owner = make_owner(self.folder / "operator")
        return owner, make_guest(self.folder / "alice", owner, "alice")

    def server(self, owner: Identity) -> ServerProcess:
        return self.serve(*CURVE, "--keys-dir", str(owner.folder))

    def unpinned(self) -> Identity:
        """Somebody who knows no server."""
        folder = self.folder / "unpinned"
        pair = KeyStore(folder).create_client_pair()
        return Identity(folder=folder, pair=pair, server_key=pair.public)


@contextmanager
def closed_port(scene: Scene) -> Iterator[tuple[int, Identity]]:
    yield peers.free_port(), scene.desk()[1]


@contextmanager
def silent_port(scene: Scene) -> Iterator[tuple[int, Identity]]:
    with peers.mute() as port:
        yield port, scene.desk()[1]


@contextmanager
def dropped_packets(scene: Scene) -> Iterator[tuple[int, Identity]]:
    with peers.dropping() as port:
        yield port, scene.desk()[1]


@contextmanager
def web_server(scene: Scene) -> Iterator[tuple[int, Identity]]:
    with peers.web_server() as port:
        yield port, scene.desk()[1]


@contextmanager
def ssh_server(scene: Scene) -> Iterator[tuple[int, Identity]]:
    with peers.talker(b"SSH-2.0-OpenSSH_9.2\r\n", hang_up=False) as port:
        yield port, scene.desk()[1]


@contextmanager
def server_without_encryption(scene: Scene) -> Iterator[tuple[int, Identity]]:
    yield scene.serve("--port", "0").port, scene.desk()[1]


@contextmanager
def server_that_is_not_known(scene: Scene) -> Iterator[tuple[int, Identity]]:
    yield scene.server(scene.desk()[0]).port, scene.unpinned()


@contextmanager
def server_with_another_key(scene: Scene) -> Iterator[tuple[int, Identity]]:
    owner, alice = scene.desk()
    KeyStore(alice.folder).trust("loopback", KeyPair.generate().public, replace=True)
    yield scene.server(owner).port, alice


@contextmanager
def dead_authenticator(scene: Scene) -> Iterator[tuple[int, Identity]]:
    owner, alice = scene.desk()
    with peers.zmq_server(curve=KeyStore(owner.folder).server_pair(), zap_never_answers=True) as socket:
        yield peers.port_of(socket), alice


@contextmanager
def unenrolled(scene: Scene) -> Iterator[tuple[int, Identity]]:
    owner, _ = scene.desk()
    yield scene.server(owner).port, make_guest(scene.folder / "mallory", owner, None)


@contextmanager
def revoked(scene: Scene) -> Iterator[tuple[int, Identity]]:
    owner, alice = scene.desk()
    server = scene.server(owner)
    assert ask("ping", server.endpoint, "-c", "1", who=alice).returncode == 0
    KeyStore(owner.folder).revoke("alice")
    server.wait_for_log("clients changed", "revoked=alice")
    yield server.port, alice


def permitted(scene: Scene, **changes: str) -> tuple[int, Identity]:
    owner, alice = scene.desk()
    server = scene.server(owner)
    KeyStore(owner.folder).permit("alice", changes)
    server.wait_for_log("clients changed", "permitted=alice")
    return server.port, alice


@contextmanager
def expired(scene: Scene) -> Iterator[tuple[int, Identity]]:
    yield permitted(scene, until="2020-01-31T12:00:00Z")


@contextmanager
def wrong_network(scene: Scene) -> Iterator[tuple[int, Identity]]:
    yield permitted(scene, **{"from": "192.0.2.0/24"})


@contextmanager
def no_own_key(scene: Scene) -> Iterator[tuple[int, Identity]]:
    _, alice = scene.desk()
    for path in alice.folder.glob("client.*"):
        path.unlink()
    yield peers.free_port(), alice


@contextmanager
def exposed_own_key(scene: Scene) -> Iterator[tuple[int, Identity]]:
    _, alice = scene.desk()
    (alice.folder / "client.key_secret").chmod(0o644)
    yield peers.free_port(), alice


@pytest.mark.parametrize(
    ("failure", "error", "step", "mend"),
    [
        (closed_port, errors.ServerUnreachableError, "connection", "scenario_execution_server --port"),
        (dropped_packets, errors.ServerUnreachableError, "connection", "scenario_execution_server --port"),
        (silent_port, errors.ServerSilentError, "language", "scenario_execution_server --port"),
        (web_server, errors.WrongServiceError, "language", "scenario_execution_server --port"),
        (ssh_server, errors.WrongServiceError, "language", "scenario_execution_server --port"),
        (server_without_encryption, errors.NotEncryptedError, "encryption", "--curve"),
        (server_that_is_not_known, errors.EncryptionRequiredError, "encryption", "se-remote trust"),
        (server_with_another_key, errors.ServerIdentityError, "handshake", "se-remote trust --replace"),
        (dead_authenticator, errors.ServerSilentError, "handshake", "scenario_execution_server --port"),
        (unenrolled, errors.NotEnrolledError, "admission", "se-server enrol NAME sepub-"),
        (revoked, errors.NotEnrolledError, "admission", "se-server enrol NAME sepub-"),
        (expired, errors.NotEnrolledError, "admission", "se-server enrol NAME sepub-"),
        (wrong_network, errors.NotEnrolledError, "admission", "se-server enrol NAME sepub-"),
        (no_own_key, errors.OwnKeyError, "own key", "se-remote keygen"),
        (exposed_own_key, errors.OwnKeyError, "own key", "chmod 600"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_failure_is_named_by_the_doctor_and_in_the_same_words_by_a_scenario(
    failure: Any, error: type[errors.RemoteError], step: str, mend: str, tmp_path: Path, serve: Serve, run: Run
) -> None:
    with failure(Scene(tmp_path, serve)) as (port, who):
        endpoint = f"127.0.0.1:{port}"
        done = ask("doctor", endpoint, "--json", *NOT_SO_LONG, who=who)
        outcome = run(f'log("there") with:\n    remote("{endpoint}", setup_timeout: 2s)', who=who)
    assert done.returncode == error.exit_code, done.stdout + done.stderr
    failed = [found for found in steps(done).values() if found["status"] == "fail"]
    assert [found["step"] for found in failed] == [step]
    assert mend in failed[0]["next"] and failed[0]["text"].endswith(failed[0]["next"])
    before = list(steps(done))[: list(steps(done)).index(step)]
    assert {steps(done)[name]["status"] for name in before} <= {"ok", "skipped"}
    assert outcome.code == 1
    assert failed[0]["text"] in outcome.output


def test_where_all_is_well_every_step_says_so_on_one_line(server: ServerProcess, owner: Identity) -> None:
    done = ask("doctor", server.endpoint, who=owner)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 13
    assert owner.pair.public.fingerprint in lines[1] and owner.server_key.fingerprint in lines[2]
    assert "scenario-execution 1.8" in lines[10] and "py-trees" in lines[10] and "protocol 2" in lines[10]
    assert "clocks agree" in lines[11]
    assert "log" in lines[12] and "run_process" in lines[12]


def test_a_unix_socket_needs_no_key_and_the_doctor_says_so(server: ServerProcess, tmp_path: Path) -> None:
    nobody = Identity(folder=tmp_path / "none", pair=KeyPair.generate(), server_key=KeyPair.generate().public)
    done = ask("doctor", str(server.folder / "s"), "--json", who=nobody)
    assert done.returncode == 0, done.stdout
    found = steps(done)
    assert found["own key"]["status"] == found["server key"]["status"] == "skipped"
    assert found["encryption"]["text"] == "none, on both sides"


def test_the_doctor_names_what_cannot_be_an_endpoint_and_an_option_that_cannot_be(owner: Identity) -> None:
    done = ask("doctor", "a host", who=owner)
    assert done.returncode == errors.EndpointError.exit_code
    assert "FAIL  endpoint" in done.stdout and "has a space" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("-     not reached: own key, ")
    done = ask("doctor", "localhost", "--server-key", "sepub-x", who=owner)
    assert done.returncode == 2 and "is not a public key" in done.stderr


def test_the_doctor_says_which_actions_this_key_may_run(tmp_path: Path, serve: Serve) -> None:
    port, alice = permitted(Scene(tmp_path, serve), actions="log run_*")
    done = ask("doctor", f"127.0.0.1:{port}", "--json", who=alice)
    assert steps(done)["actions"]["actions"] == ["log", "run_process"]
    listed = json.loads(ask("actions", f"127.0.0.1:{port}", "--json", who=alice).stdout)
    assert listed["globs"] == ["log", "run_*"]
    (log, _) = listed["actions"]
    assert (log["name"], log["distribution"], log["execute_arguments"]) == ("log", "scenario_execution", ["msg"])


def test_without_keys_the_doctor_speaks_of_none(tmp_path: Path, serve: Serve) -> None:
    scene = Scene(tmp_path, serve)
    port = serve("--port", "0").port
    done = ask("doctor", f"127.0.0.1:{port}", who=scene.unpinned())
    assert done.returncode == 0, done.stdout
    assert "anybody who reaches it may run" in done.stdout and "this key" not in done.stdout


def test_an_observer_may_run_nothing_and_is_told_how_that_is_changed(tmp_path: Path, serve: Serve) -> None:
    port, alice = permitted(Scene(tmp_path, serve), observe="yes")
    done = ask("doctor", f"127.0.0.1:{port}", who=alice)
    assert done.returncode == 0
    assert "this key may run none here; ask the server's operator for `se-server permit`" in done.stdout
    assert ask("actions", f"127.0.0.1:{port}", who=alice).stdout == ""


def test_a_full_server_is_named_at_the_session(tmp_path: Path, serve: Serve) -> None:
    owner, alice = Scene(tmp_path, serve).desk()
    server = serve(*CURVE, "--keys-dir", str(owner.folder), "--max-sessions", "1")
    with subprocess.Popen(
        [BIN / "se-remote", "ping", server.endpoint, "-c", "1000"],
        env=clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(owner.folder)), stdout=subprocess.PIPE,
    ) as guest:  # fmt: skip
        assert guest.stdout is not None and guest.stdout.readline().startswith(b"1: ")
        done = ask("doctor", server.endpoint, "--json", who=alice)
        guest.kill()
    assert done.returncode == errors.LimitReachedError.exit_code
    assert "has its 1 sessions already" in steps(done)["session"]["text"]


def test_ping_tells_the_link_from_the_program(server: ServerProcess, owner: Identity) -> None:
    done = ask("ping", server.endpoint, "-c", "3", who=owner)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["1", "2", "3"]
    assert lines[3].startswith("link     3 round trips in ms: min ")
    assert lines[4].startswith("program  3 round trips in ms: min ")
    document = json.loads(ask("ping", server.endpoint, "-c", "2", "--json", who=owner).stdout)
    assert len(document["link_s"]) == len(document["program_s"]) == 2
    assert 0 < document["summary"]["link"]["min"] <= document["summary"]["link"]["max"] < 5


@pytest.mark.parametrize("verb", ["ping", "actions"])
def test_a_command_that_cannot_connect_says_the_same_sentence_and_ends_with_its_code(
    verb: str, owner: Identity
) -> None:
    endpoint = f"127.0.0.1:{peers.free_port()}"
    done = ask(verb, endpoint, "--timeout", "0.5", who=owner)
    assert done.returncode == errors.ServerUnreachableError.exit_code
    assert done.stdout == ""
    assert done.stderr.startswith(f"se-remote: no server can be reached at {endpoint}: nobody listens there")
