# SPDX-License-Identifier: Apache-2.0
"""Invitations from the line that is printed to the client that is in, and everything that must not get in with one."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import zmq

from scenario_execution_keys import errors as keys_errors
from scenario_execution_keys.invitation import Invitation
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.pending import PendingKeys
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote import errors
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Kind
from tests.support.rawclients import HELLO, RawClient, Version1Client
from tests.support.servers import BIN, BRISK, CURVE, Identity, ServerProcess, clean_environment, make_owner
from tests.support.waiting import wait_until
from tests.system.conftest import Run


class Lab:
    """A server and its operator, and a client on what could be another machine."""

    def __init__(self, folder: Path, site: str) -> None:
        self.owner = make_owner(folder / "server-keys")
        self.client_keys = folder / "client-keys"
        self.server = ServerProcess(folder / "server", *CURVE, *BRISK, keys=self.owner.folder, site=site)
        self.store = KeyStore(self.owner.folder)
        self.client = KeyStore(self.client_keys)

    def type(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run se-server with the server's keys, or se-remote with the client's."""
        keys = self.owner.folder if words[0] == "se-server" else self.client_keys
        variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(keys))
        return subprocess.run(
            [BIN / words[0], *words[1:]], env=variables, input=stdin, capture_output=True, text=True, timeout=60
        )

    def invite(self, name: str = "alice", *options: str) -> str:
        done = self.type("se-server", "invite", name, "--endpoint", self.server.endpoint, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def guest(self, line: str) -> Identity:
        """Somebody with the one-use key of a line, for what `se-remote join` would never do."""
        invitation = Invitation.parse(line)
        self.server.wait_for_log("invitations changed", "open=alice")
        return Identity(folder=self.client_keys, pair=invitation.pair, server_key=invitation.server)

    def names(self) -> set[str]:
        return {client.name for client in self.store.authorised_clients().by_key.values()}


@pytest.fixture
def lab(tmp_path: Path, site: str) -> Iterator[Lab]:
    lab = Lab(tmp_path, site)
    yield lab
    lab.server.close()


@pytest.mark.parametrize("way", ["argument", "standard input"])
def test_one_pasted_line_is_all_a_client_needs(lab: Lab, run: Run, way: str) -> None:
    line = lab.invite("alice", "--allow", "log")
    done = lab.type("se-remote", "join", line) if way == "argument" else lab.type("se-remote", "join", "-", stdin=line)
    assert done.returncode == 0, done.stderr
    pair = lab.client.client_pair()
    assert f"key {pair.public.fingerprint}, is enrolled as alice on {lab.server.endpoint}" in done.stdout
    assert lab.store.authorised_clients().by_key[pair.public].permissions == Permissions(actions=("log",))
    assert lab.client.known_server("127.0.0.1", lab.server.port) == lab.owner.server_key
    assert not list((lab.owner.folder / "invitations").iterdir())
    who = Identity(folder=lab.client_keys, pair=pair, server_key=lab.owner.server_key)
    outcome = run(f'log("joined") with:\n    remote("{lab.server.endpoint}")', who=who)
    assert outcome.code == 0 and "INFO joined" in outcome.said, outcome.output
    (line_of_log,) = lab.server.lines("a client used its invitation")
    assert "client=alice" in line_of_log and pair.public.fingerprint in line_of_log
    assert pair.secret.reveal_z85() not in lab.server.log


def test_a_line_is_good_once(lab: Lab, tmp_path: Path) -> None:
    line = lab.invite()
    assert lab.type("se-remote", "join", line).returncode == 0
    again = lab.type("se-remote", "join", line)
    assert again.returncode == 0 and "is enrolled already" in again.stdout
    lab.client_keys = tmp_path / "somebody-else"
    stolen = lab.type("se-remote", "join", line)
    assert stolen.returncode == errors.InvitationError.exit_code
    assert "does not accept this invitation; it is good once" in stolen.stderr
    assert "se-server invite --replace NAME" in stolen.stderr
    assert lab.names() == {"owner", "alice"}


@pytest.mark.parametrize("end", ["over", "withdrawn", "replaced"])
def test_a_line_that_is_not_good_any_more_lets_nobody_in(lab: Lab, end: str) -> None:
    if end == "over":
        until = datetime.now(timezone.utc) - timedelta(seconds=1)
        line = Invitations(lab.store).create("alice", [lab.server.endpoint], until, Permissions()).text
    else:
        line = lab.invite()
        words = ("revoke", "alice") if end == "withdrawn" else ("invite", "alice", "--replace")
        assert lab.type("se-server", *words).returncode == 0
    done = lab.type("se-remote", "join", line)
    assert done.returncode == errors.InvitationError.exit_code, done.stderr
    assert lab.names() == {"owner"}


@pytest.mark.parametrize("end", ["used", "over", "over and cleared away", "withdrawn", "replaced"])
def test_the_key_of_a_line_that_is_not_good_any_more_is_never_offered_for_approval(
    lab: Lab, tmp_path: Path, end: str
) -> None:
    # Each waits for what only a server says that has read the change: until then another refusal keeps a client out.
    if "over" in end:
        until = datetime.now(timezone.utc) + timedelta(seconds=2)
        line = Invitations(lab.store).create("alice", [lab.server.endpoint], until, Permissions()).text
    else:
        line = lab.invite()
    invitation = Invitation.parse(line)
    key = invitation.pair.public
    lab.server.wait_for_log("invitations changed", "open=alice")
    if end == "used":
        assert lab.type("se-remote", "join", line).returncode == 0
    elif end == "withdrawn":
        assert lab.type("se-server", "revoke", "alice").returncode == 0
        lab.server.wait_for_log("invitations changed", "open=none")
    elif end == "replaced":
        lab.invite("alice", "--replace")
        lab.invite("bob")
        lab.server.wait_for_log("invitations changed", "open=alice,bob")
    else:
        wait_until(lambda: datetime.now(timezone.utc) >= invitation.until)
        if end == "over and cleared away":
            lab.invite("bob")
            assert not (lab.owner.folder / "invitations" / "alice.key").exists()
            lab.server.wait_for_log("invitations changed", "open=bob")
    lab.client_keys = tmp_path / "somebody-else"
    assert lab.type("se-remote", "join", line).returncode == errors.InvitationError.exit_code
    (said, *_) = lab.server.wait_for_log("refused a client with an invitation that does not count", key.fingerprint)
    assert "invited=alice" in said and "se-server invite --replace" in said and "se-server enrol" not in said
    # The client's own key waits for an answer; that of the invitation does not, and no word of the operator admits it.
    own = KeyStore(lab.client_keys).client_pair().public
    wait_until(lambda: [entry.key for entry in PendingKeys(lab.store).all()] == [own])
    assert key.fingerprint not in lab.server.log.replace(said, "")
    approved = lab.type("se-server", "approve", key.fingerprint, "--name", "thief")
    assert approved.returncode == keys_errors.KeyNotFoundError.exit_code
    by_hand = lab.type("se-server", "enrol", "thief", key.text)
    assert by_hand.returncode == keys_errors.KeyTextError.exit_code
    assert "the key of an invitation" in by_hand.stderr and "se-server invite --replace NAME" in by_hand.stderr
    assert "thief" not in lab.names()


@pytest.mark.parametrize("change", ["typo", "another server", "another one-use key"])
def test_a_line_that_was_tampered_with_lets_nobody_in(lab: Lab, change: str) -> None:
    line = lab.invite()
    parsed = Invitation.parse(line)
    server = KeyPair.generate().public if change == "another server" else parsed.server
    pair = KeyPair.generate() if change == "another one-use key" else parsed.pair
    forged = Invitation(server=server, pair=pair, until=parsed.until, endpoints=parsed.endpoints).text
    if change == "typo":
        forged = line[:-9] + ("a" if line[-9] != "a" else "b") + line[-8:]
    done = lab.type("se-remote", "join", forged)
    expected = {
        "typo": keys_errors.KeyTextError.exit_code,
        "another server": errors.ServerIdentityError.exit_code,
        "another one-use key": errors.InvitationError.exit_code,
    }
    assert done.returncode == expected[change], done.stderr
    assert lab.names() == {"owner"}


def test_the_key_of_an_invitation_opens_nothing_but_an_enrolment(lab: Lab) -> None:
    guest = lab.guest(lab.invite())
    with RawClient(lab.server, guest) as client:
        client.send(Kind.HELLO, wire.encode(HELLO))
        refusal = client.refusal()
        assert refusal.code == "not-authorised" and "it can only enrol" in refusal.text
        for kind in (Kind.DATA, Kind.BEAT, Kind.RESUME):
            client.send(kind, b"", seq=1 if kind is Kind.DATA else 0)
            assert client.refusal().code == "unknown-session"
    with Version1Client(lab.server, guest) as old:
        reply = old.ask("init", action_id="a", plugin_key="log", init_args={}, output_dir="")
        assert reply["status"] == "error" and "it can only enrol" in reply["message"]
    assert not lab.server.lines("session opened")
    assert lab.names() == {"owner"}


@pytest.mark.parametrize("key", ["", "rubbish", "sepub-", "own", "server's", "one-use"])
def test_what_is_no_key_of_a_client_is_not_enrolled_and_the_invitation_stays_good(lab: Lab, key: str) -> None:
    line = lab.invite()
    guest = lab.guest(line)
    wanted = {"own": lab.owner.pair.public.z85, "server's": lab.owner.server_key.z85, "one-use": guest.pair.public.z85}
    with RawClient(lab.server, guest) as client:
        client.send(Kind.HELLO, wire.encode(messages.Enrol(program="x", key=wanted.get(key, key))))
        assert client.refusal().code == "not-authorised"
    assert lab.names() == {"owner"}
    assert lab.type("se-remote", "join", line).returncode == 0
    assert lab.names() == {"owner", "alice"}


def test_two_that_use_one_line_at_once_enrol_one_key(lab: Lab) -> None:
    guest = lab.guest(lab.invite())
    first, second = KeyPair.generate().public, KeyPair.generate().public
    with RawClient(lab.server, guest) as one, RawClient(lab.server, guest) as two:
        for client in (one, two):  # both are in before either is heard
            client.send(Kind.BEAT)
            client.refusal()
        one.send(Kind.HELLO, wire.encode(messages.Enrol(program="x", key=first.z85)))
        assert wire.decode_one(one.expect(Kind.WELCOME).body, messages.Enrolled).name == "alice"
        two.send(Kind.HELLO, wire.encode(messages.Enrol(program="x", key=second.z85)))
        assert two.refusal().code == "not-authorised"
    by_key = lab.store.authorised_clients().by_key
    assert first in by_key and second not in by_key


def test_an_enrolled_client_cannot_enrol_others_but_a_next_key_of_its_own(lab: Lab) -> None:
    following = KeyPair.generate().public
    with RawClient(lab.server, lab.owner) as client:
        client.send(Kind.HELLO, wire.encode(messages.Enrol(program="x", key=following.z85)))
        enrolled: messages.Enrolled = wire.decode_one(client.expect(Kind.WELCOME).body, messages.Enrolled)
        assert enrolled.name == "owner"
    (owner,) = lab.store.authorised_clients().by_key.values()
    assert (owner.name, owner.key, owner.next_key) == ("owner", lab.owner.pair.public, following)


def test_whoever_comes_in_without_a_key_cannot_enrol_one(lab: Lab, tmp_path: Path, site: str) -> None:
    plain = ServerProcess(tmp_path / "plain", *BRISK, "--port", "0", keys=lab.owner.folder, site=site)
    try:
        with RawClient(plain, address=f"tcp://{plain.endpoint}") as client:
            client.send(Kind.HELLO, wire.encode(messages.Enrol(program="x", key=KeyPair.generate().public.z85)))
            assert "only a client with a key" in client.refusal().text
    finally:
        plain.close()
    assert lab.names() == {"owner"}


def test_a_client_that_pins_another_server_there_is_told_before_anything_is_handed_over(lab: Lab) -> None:
    line = lab.invite()
    lab.client.trust(lab.server.endpoint, KeyPair.generate().public)
    done = lab.type("se-remote", "join", line)
    assert done.returncode == keys_errors.KeyExistsError.exit_code
    assert "se-remote trust --replace" in done.stderr
    assert lab.names() == {"owner"}


def test_a_line_for_several_places_is_tried_at_each(lab: Lab) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as closed:
        port = closed.bind_to_random_port("tcp://127.0.0.1")
    line = lab.invite("alice", "--endpoint", f"127.0.0.1:{port}")
    parsed = Invitation.parse(line)
    turned = Invitation(
        server=parsed.server, pair=parsed.pair, until=parsed.until, endpoints=tuple(reversed(parsed.endpoints))
    )
    done = lab.type("se-remote", "join", turned.text)
    assert done.returncode == 0 and f"on {lab.server.endpoint}" in done.stdout, done.stderr


def test_without_an_endpoint_the_line_names_where_a_server_of_the_store_listens(lab: Lab, tmp_path: Path) -> None:
    runtime = {"XDG_RUNTIME_DIR": str(lab.server.runtime)}
    variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(lab.owner.folder), **runtime)
    words = [BIN / "se-server", "invite", "alice"]
    done = subprocess.run(words, env=variables, capture_output=True, text=True)
    assert Invitation.parse(done.stdout).endpoints == (lab.server.endpoint,), done.stderr
    assert "as it listens now" in done.stderr
    assert lab.type("se-remote", "join", done.stdout.strip()).returncode == 0
    other = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(make_owner(tmp_path / "other").folder), **runtime)
    done = subprocess.run(words, env=other, capture_output=True, text=True)
    assert "guessed, no server of this key store runs" in done.stderr


@pytest.mark.parametrize("program", ["se-server", "se-remote"])
def test_each_program_says_its_version(lab: Lab, program: str) -> None:
    said = lab.type(program, "--version")
    assert said.returncode == 0 and re.match(rf"{program}, version \d+\.\d+", said.stdout)


def test_to_invite_needs_no_running_server_but_a_key_and_a_free_name(tmp_path: Path) -> None:
    owner = make_owner(tmp_path / "keys")
    variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(owner.folder))

    def invite(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BIN / "se-server", "invite", *words], env=variables, capture_output=True, text=True)

    done = invite("alice")
    assert Invitation.parse(done.stdout).endpoints == (f"{os.uname().nodename.lower()}:7613",)
    assert "guessed" in done.stderr
    for words in (("alice",), ("owner",)):
        assert invite(*words).returncode == keys_errors.KeyExistsError.exit_code
    assert invite("bob", "--ttl", "soon").returncode == keys_errors.PermissionValueError.exit_code
    assert invite("bob", "--endpoint", "a/b").returncode == keys_errors.EntryNameError.exit_code
    assert [path.name for path in (owner.folder / "invitations").iterdir()] == ["alice.key"]
    over = datetime.now(timezone.utc) - timedelta(seconds=1)
    Invitations(KeyStore(owner.folder)).create("alice", ["robot:1"], over, Permissions(), replace=True)
    assert invite("alice").returncode == 0  # what is over keeps nobody from a new line
