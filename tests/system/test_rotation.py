# SPDX-License-Identifier: Apache-2.0
"""A client's key exchanged on running servers, at the real command line; cut short at any step, it gets in."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from scenario_execution_keys import files
from scenario_execution_keys.errors import KeyExistsError, KeyNotFoundError
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.rotation import ClientRotation, announce_key
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import Client
from scenario_execution_remote import errors, rotating
from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.pins import Pins
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Kind
from scenario_execution_remote.rotate_command import rotate_client
from scenario_execution_remote.security import security_for
from scenario_execution_remote.transport import connect
from tests.support.rawclients import HELLO, RawClient
from tests.support.servers import (
    BIN,
    CURVE,
    PATIENT,
    Identity,
    ServerProcess,
    clean_environment,
    make_guest,
    make_owner,
)
from tests.support.waiting import wait_until
from tests.system.conftest import Run


class Lab:
    """A server with the client alice."""

    def __init__(self, folder: Path, site: str, name: str = "server") -> None:
        self.folder, self.site, self.name = folder, site, name
        self.owner = make_owner(folder / f"{name}-keys")
        self.keys = folder / "client-keys"
        self.client, self.store = KeyStore(self.keys), KeyStore(self.owner.folder)
        if name == "server":
            self.client.create_client_pair()
        self.store.enrol("alice", self.client.client_pair().public, permissions=Permissions(sessions=2))
        self.starts = 0
        self.server = self.start()
        self.client.trust(self.server.endpoint, self.owner.server_key)

    def start(self, *options: str) -> ServerProcess:
        self.starts += 1
        place = self.folder / f"{self.name}{self.starts}"
        return ServerProcess(place, *CURVE, *PATIENT, *options, keys=self.owner.folder, site=self.site)

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run se-server with the server's keys, or se-remote with the client's."""
        keys = self.owner.folder if words[0] == "se-server" else self.keys
        variables = clean_environment(
            SCENARIO_EXECUTION_KEYS_DIR=str(keys), XDG_RUNTIME_DIR=str(self.server.runtime)
        )  # fmt: skip
        return subprocess.run([BIN / words[0], *words[1:]], env=variables, capture_output=True, text=True, timeout=60)

    def identity(self) -> Identity:
        return Identity(folder=self.keys, pair=self.client.client_pair(), server_key=self.owner.server_key)

    def alice(self) -> Client:
        (found,) = (one for one in self.store.authorised_clients().by_key.values() if one.name == "alice")
        return found

    def gets_in(self) -> bool:
        """With what the modifier would connect with."""
        endpoint = Endpoint.parse(self.server.endpoint)
        security = security_for(endpoint, RemoteSettings(endpoint=endpoint.text), self.client)
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            connect(
                endpoint, own=security.own, server_key=security.server_key, spare=security.spare,
                deadline_s=time.monotonic() + 10.0, context=context,
            ).close()  # fmt: skip
        except errors.NotEnrolledError:
            return False
        finally:
            context.destroy(linger=0)
        return True

    def left(self) -> set[str]:
        return {path.name for path in self.keys.iterdir() if path.name.startswith("client.")}


@pytest.fixture
def lab(tmp_path: Path, site: str) -> Iterator[Lab]:
    lab = Lab(tmp_path, site)
    yield lab
    lab.server.close()


def test_a_client_exchanges_its_key_by_itself_and_keeps_name_and_permissions(lab: Lab, run: Run) -> None:
    before = lab.client.client_pair()
    done = lab.type("se-remote", "keygen", "--rotate")
    assert done.returncode == 0, done.stdout + done.stderr
    after = lab.client.client_pair()
    assert done.stdout == f"Your client key is {after.public.fingerprint} now, on {lab.server.endpoint}.\n"
    assert after.public != before.public and lab.left() == {"client.key", "client.key_secret"}
    alice = lab.alice()
    assert (alice.key, alice.next_key, alice.permissions) == (after.public, None, Permissions(sessions=2))
    assert run(f'log("in") with:\n    remote("{lab.server.endpoint}")', who=lab.identity()).code == 0
    (told,) = lab.server.lines("came in with its next key")
    assert f"fingerprint={after.public.fingerprint}" in told and f"retired={before.public.fingerprint}" in told
    path = lab.server.state / "scenario_execution" / "audit.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    changes = [(e["event"], e["fingerprint"]) for e in entries if e["event"] in ("next-key", "key-changed")]
    assert changes == [("next-key", after.public.fingerprint), ("key-changed", after.public.fingerprint)]
    for pair in (before, after):
        assert pair.secret.reveal_z85() not in lab.server.log + path.read_text() + done.stdout
    with pytest.raises(errors.NotEnrolledError):
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            pins = Pins(lab.client, lab.server.endpoint, lab.owner.server_key)
            rotating.confirm(Endpoint.parse(lab.server.endpoint), before, pins, context)
        finally:
            context.destroy(linger=0)


def test_what_runs_with_the_old_key_goes_on_and_nothing_new_begins_with_it(lab: Lab) -> None:
    old = lab.identity()
    with RawClient(lab.server, old) as running:
        running.hello()
        action = running.create("probe_steps", trace="", tag="")
        assert lab.type("se-remote", "keygen", "--rotate").returncode == 0
        running.tick(action, {})
        with RawClient(lab.server, old) as late:
            late.send(Kind.HELLO, wire.encode(HELLO))
            refusal = late.refusal()
            assert refusal.code == "not-authorised" and "has exchanged this key" in refusal.text
            other = KeyPair.generate().public
            late.send(Kind.HELLO, wire.encode(messages.Enrol(program="test", key=other.z85)))
            assert late.refusal().code == "not-authorised"
        with RawClient(lab.server, lab.identity()) as one, RawClient(lab.server, lab.identity()) as two:
            one.hello()
            two.send(Kind.HELLO, wire.encode(HELLO))
            assert two.refusal().code == "limit"  # the sessions of both keys count
            one.bye()
        running.bye()
    lab.server.wait_idle()

    def is_refused() -> bool:
        with RawClient(lab.server, old) as gone:
            gone.send(Kind.HELLO, wire.encode(HELLO))
            return not gone.socket.socket.poll(300)

    wait_until(is_refused)


def test_who_exchanges_its_key_keeps_its_files_also_those_left_behind_it_by_a_session_of_the_former_key(
    lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "map").write_text("a map")
    endpoint = lab.server.endpoint
    (place,) = lab.type("se-remote", "put", endpoint, str(tmp_path / "map")).stdout.splitlines()
    first = lab.client.client_pair().public
    with RawClient(lab.server, lab.identity()) as running:
        running.hello()
        mounted = running.call(
            messages.Mount, mount=1, path="/nowhere/results", names=[], role="output", mode="copy", marker="",
            content=b"", working_folder="",
        )  # fmt: skip
        assert mounted.value == "copy"
        action = running.create("probe_steps", trace="/nowhere/results/trace", tag="a")
        assert lab.type("se-remote", "keygen", "--rotate").returncode == 0
        running.tick(action, {})
        running.bye()  # without having taken anything
    wait_until(lambda: "  results/" in lab.type("se-remote", "ls", endpoint).stdout, 30.0)
    wait_until(lambda: lab.type("se-remote", "keygen", "--rotate").returncode == 0, 30.0)  # one a second is taken on
    listed = lab.type("se-remote", "ls", endpoint).stdout
    assert "files/map" in listed and "  results/" in listed
    alice = lab.alice()
    assert alice.first_key == first and Path(place).parts[-3] == alice.owner == first.fingerprint
    with pytest.raises(KeyExistsError, match="one that alice has exchanged"):
        lab.store.enrol("bob", first)


def test_who_is_enrolled_anew_under_the_name_of_another_has_none_of_its_files(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "map").write_text("a map")
    endpoint = lab.server.endpoint
    lab.type("se-remote", "put", endpoint, str(tmp_path / "map"))
    assert lab.type("se-remote", "keygen", "--rotate").returncode == 0
    assert "files/map" in lab.type("se-remote", "ls", endpoint).stdout
    lab.store.revoke("alice")
    lab.server.wait_for_log("revoked=alice")
    other = make_guest(tmp_path / "other", lab.owner, "alice")
    lab.keys = other.folder
    lab.server.wait_for_log("enrolled=alice")
    done = lab.type("se-remote", "ls", endpoint)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_revoking_a_client_ends_what_runs_with_either_key(lab: Lab) -> None:
    with RawClient(lab.server, lab.identity()) as running:
        running.hello()
        assert lab.type("se-remote", "keygen", "--rotate").returncode == 0
        assert lab.type("se-server", "revoke", "alice").returncode == 0
        lab.server.wait_for_log("session ended", "revoked")
    assert not lab.gets_in()


def test_a_server_that_was_away_keeps_the_old_key_and_is_told_later(lab: Lab, tmp_path: Path, site: str) -> None:
    other = Lab(tmp_path, site, "other")
    place = other.server.endpoint
    try:
        other.server.stop()
        before = lab.client.client_pair()
        done = lab.type("se-remote", "keygen", "--rotate")
        assert done.returncode == errors.ServerUnreachableError.exit_code, done.stdout + done.stderr
        assert f"Not told: {place}" in done.stdout
        assert done.stdout.endswith(f"run: se-remote keygen --rotate {place}\n")
        assert ClientRotation(lab.client).old_pair() == before
        other.server.close()
        other.server = other.start("--port", place.rpartition(":")[2])
        assert lab.gets_in() and other.gets_in()
        done = lab.type("se-remote", "keygen", "--rotate", place)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.left() == {"client.key", "client.key_secret"}
        assert lab.alice().key == other.alice().key == lab.client.client_pair().public
    finally:
        other.server.close()


def test_a_server_that_is_not_named_keeps_the_old_key(lab: Lab, tmp_path: Path, site: str) -> None:
    other = Lab(tmp_path, site, "other")
    try:
        done = lab.type("se-remote", "keygen", "--rotate", lab.server.endpoint)
        assert done.returncode == 0 and f"used for: {other.server.endpoint}" in done.stdout
        assert lab.alice().key != other.alice().key and lab.gets_in() and other.gets_in()
        key = lab.client.client_pair().public
        assert f"Your client key is {key.fingerprint} now, on {lab.server.endpoint}" in done.stdout
        again = lab.type("se-remote", "keygen", "--rotate", lab.server.endpoint)
        assert again.returncode == 0 and lab.client.client_pair().public == key
        assert f"was {key.fingerprint} already on {lab.server.endpoint}: nothing has changed" in again.stdout
        assert "No further key is made before" in again.stdout and " now, on " not in again.stdout
        assert again.stdout.endswith(f"run: se-remote keygen --rotate {other.server.endpoint}\n")
    finally:
        other.server.close()


class Cut(Exception):
    """The process ends here."""


def test_cut_short_between_any_two_steps_the_client_gets_in_and_can_go_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [(files, "create_owned"), (files, "replace_owned"), (files, "remove_owned"), (rotating, "_say")]
    real = {name: getattr(module, name) for module, name in steps}
    budget = 0

    def limited(name: str) -> Callable[..., Any]:
        def step(*words: Any, **options: Any) -> Any:
            nonlocal budget
            if budget == 0:
                raise Cut(name)
            budget -= 1
            return real[name](*words, **options)

        return step

    # A server that is pinned and never there makes the old pair stay, and with it every step happen.
    lab.client.trust("127.0.0.1:1", KeyPair.generate().public)
    monkeypatch.setattr(rotating, "CONNECT_S", 1.0)
    for allowed in range(30):
        for module, name in steps:
            monkeypatch.setattr(module, name, limited(name))
        budget = allowed
        try:
            rotate_client(lab.client)
            is_cut = False
        except Cut:
            is_cut = True
        for module, name in steps:
            monkeypatch.setattr(module, name, real[name])
        assert lab.gets_in(), f"after {allowed} steps"
        rotate_client(lab.client)
        assert lab.gets_in() and lab.alice().key == lab.client.client_pair().public, f"after {allowed} steps"
        if not is_cut:
            break
        (lab.keys / "client.key_secret.old").unlink(missing_ok=True)  # the next round is a rotation of its own
        time_of_next_key = time.monotonic() + 1.0  # a server takes one a second
        wait_until(lambda until=time_of_next_key: time.monotonic() >= until)  # type: ignore[misc]
    assert not is_cut and allowed > 6


@pytest.mark.parametrize("key", ["", "rubbish", "own", "server's", "owner's", "invited"])
def test_what_is_no_free_key_is_not_taken_on(lab: Lab, key: str) -> None:
    assert lab.type("se-server", "invite", "bob", "--endpoint", lab.server.endpoint).returncode == 0
    invited = (lab.owner.folder / "invitations" / "bob.key").read_text().split('public-key = "')[1][:40]
    text = {
        "own": lab.client.client_pair().public.z85, "server's": lab.owner.server_key.z85,
        "owner's": lab.owner.pair.public.z85, "invited": invited,
    }.get(key, key)  # fmt: skip
    with RawClient(lab.server, lab.identity()) as client:
        client.send(Kind.HELLO, wire.encode(messages.Enrol(program="test", key=text)))
        if key == "own":
            client.expect(Kind.WELCOME)
        else:
            assert client.refusal().code == "not-authorised"
    assert lab.alice().next_key is None


def test_nobody_enrols_the_next_key_of_another_and_a_bad_one_in_a_file_refuses_the_entry(lab: Lab) -> None:
    following = KeyPair.generate().public
    assert announce_key(lab.store, "alice", lab.alice().key, following)
    with pytest.raises(KeyExistsError):
        lab.store.enrol("bob", following)
    path = lab.owner.folder / "authorized_clients" / "alice.key"
    path.write_text(path.read_text().replace(following.text, following.text[:-1]))
    (refused,) = lab.store.authorised_clients().refused
    assert refused.name == "alice" and "next-key" in str(refused)


def test_without_a_known_server_or_with_an_unknown_one_nothing_is_made(lab: Lab) -> None:
    done = lab.type("se-remote", "keygen", "--rotate", "192.0.2.1")
    assert done.returncode == KeyNotFoundError.exit_code and "se-remote trust 192.0.2.1:7613 KEY" in done.stderr
    done = lab.type("se-remote", "keygen", "--rotate", "")
    assert done.returncode == errors.EndpointError.exit_code
    for path in (lab.keys / "known_servers").iterdir():
        path.unlink()
    done = lab.type("se-remote", "keygen", "--rotate")
    assert done.returncode == KeyNotFoundError.exit_code and "no server is known" in done.stderr
    assert lab.left() == {"client.key", "client.key_secret"}
    done = lab.type("se-remote", "keygen", lab.server.endpoint)
    assert done.returncode == 2 and "goes with --rotate" in done.stderr
