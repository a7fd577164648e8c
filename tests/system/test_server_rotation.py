# SPDX-License-Identifier: Apache-2.0
"""The server's key exchanged while servers run: clients that heard of it need nobody, others are told what to do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_keys.errors import KeyExistsError, KeyNotFoundError
from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.succession import ServerSuccession
from scenario_execution_remote import errors
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Kind
from tests.support.rawclients import HELLO, RawClient
from tests.support.servers import (
    BIN,
    BRISK,
    CURVE,
    Identity,
    ServerProcess,
    clean_environment,
    make_guest,
    make_owner,
)
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Start

SWITCHED = "the server has its next key"


class Lab:
    """A server with the clients alice and bob, on machines of their own."""

    def __init__(self, folder: Path, site: str) -> None:
        self.folder, self.site = folder, site
        self.owner = make_owner(folder / "server-keys")
        self.before = self.owner.server_key
        self.alice, self.bob = (make_guest(folder / name, self.owner, name) for name in ("alice", "bob"))
        self.starts = 0
        self.server = self.start("--port", "0")

    def start(self, *options: str) -> ServerProcess:
        self.starts += 1
        place = self.folder / f"server{self.starts}"
        return ServerProcess(place, *CURVE, *BRISK, *options, keys=self.owner.folder, site=self.site)

    def start_again(self) -> None:
        port = str(self.server.port)
        self.server.close()
        self.server = self.start("--port", port)

    def type(self, *words: str, who: Identity | None = None) -> subprocess.CompletedProcess[str]:
        variables = clean_environment(
            SCENARIO_EXECUTION_KEYS_DIR=str((who or self.owner).folder), XDG_RUNTIME_DIR=str(self.server.runtime)
        )  # fmt: skip
        return subprocess.run([BIN / words[0], *words[1:]], env=variables, capture_output=True, text=True, timeout=60)

    def ask(self, who: Identity) -> subprocess.CompletedProcess[str]:
        """A session that is opened and ended."""
        return self.type("se-remote", "ping", "--count", "1", self.server.endpoint, who=who)

    def rotate(self, *options: str) -> PublicKey:
        """Announce, and wait until the running server has noticed; the next key."""
        done = self.type("se-server", "rotate", *options)
        assert done.returncode == 0, done.stderr
        following = KeyStore(self.owner.folder).pair_files("server").load_next()
        assert following is not None
        self.server.wait_for_log("the next server key is announced", following.pair.public.fingerprint)
        return following.pair.public

    def switch(self) -> None:
        """Let the announced key count at once, and wait until the server listens with it."""
        assert self.type("se-server", "rotate", "--in", "1s").returncode == 0
        self.server.wait_for_log(SWITCHED)
        wait_until(lambda: len(self.server.lines("listening on")) >= 2)

    def pinned(self, who: Identity) -> tuple[PublicKey, PublicKey | None]:
        pin = KeyStore(who.folder).pin_for("127.0.0.1", 7613)
        assert pin is not None
        return pin.key, pin.next_key

    def audit(self) -> list[dict[str, Any]]:
        path = self.server.state / "scenario_execution" / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def status(self) -> dict[str, Any]:
        (one,) = json.loads(self.type("se-server", "status", "--json").stdout)["servers"]
        assert isinstance(one, dict)
        return one


@pytest.fixture
def lab(tmp_path: Path, site: str) -> Iterator[Lab]:
    lab = Lab(tmp_path, site)
    yield lab
    lab.server.close()


def test_a_client_that_had_a_session_meanwhile_needs_nobody_and_one_that_had_none_is_told_what_to_do(lab: Lab) -> None:
    following = lab.rotate()
    assert lab.pinned(lab.alice) == (lab.before, None)
    told = lab.ask(lab.alice)
    assert told.returncode == 0 and f"will have the key {following.fingerprint}" in told.stderr
    assert lab.pinned(lab.alice) == (lab.before, following)
    status = lab.status()
    assert (status["server_key"], status["next_server_key"]) == (lab.before.fingerprint, following.fingerprint)
    assert status["next_server_key_told"] == ["alice"]
    assert f"{following.fingerprint} from" in lab.type("se-server", "status").stdout
    assert f"the next one is {following.fingerprint} from" in lab.type("se-server", "check").stdout
    lab.switch()
    assert lab.status()["server_key"] == following.fingerprint and lab.status()["next_server_key"] is None
    told = lab.ask(lab.alice)
    assert told.returncode == 0 and "has exchanged its key, as it had announced" in told.stderr
    assert lab.pinned(lab.alice) == (following, None)
    assert lab.ask(lab.alice).stderr == ""
    # bob was away
    refused = lab.ask(lab.bob)
    assert refused.returncode == errors.ServerIdentityError.exit_code
    assert lab.before.fingerprint in refused.stderr and "it probably has exchanged its key" in refused.stderr
    assert f"se-remote trust --replace {lab.server.endpoint}" in refused.stderr
    assert lab.pinned(lab.bob) == (lab.before, None)
    shown = lab.type("se-server", "key")
    again = lab.type("se-remote", "trust", "loopback", shown.stdout.strip(), who=lab.bob)
    assert again.returncode == KeyExistsError.exit_code
    assert lab.before.fingerprint in again.stderr and following.fingerprint in again.stderr
    assert lab.type("se-remote", "trust", "--replace", "loopback", shown.stdout.strip(), who=lab.bob).returncode == 0
    assert lab.ask(lab.bob).returncode == 0
    # the operator's own client, on the same machine, never was away
    assert lab.ask(lab.owner).returncode == 0
    happened = [(e["event"], e["fingerprint"]) for e in lab.audit() if e["event"].startswith("server-key")]
    assert set(happened) == {
        ("server-key-announced", following.fingerprint), ("server-key-changed", following.fingerprint)
    }  # fmt: skip
    for pair in (lab.owner.pair, KeyStore(lab.owner.folder).server_pair()):
        assert pair.secret.reveal_z85() not in lab.server.log + json.dumps(lab.audit())


def test_a_scenario_that_runs_while_the_key_changes_goes_on_with_its_session(lab: Lab, start: Start) -> None:
    where = f'remote("{lab.server.endpoint}")'
    scenario = start(
        f'serial:\n    log("before") with:\n        {where}\n    wait elapsed(6s)\n    log("after") with:\n'
        f"        {where}",
        who=lab.alice,
    )
    lab.server.wait_for_log("session opened", "client=alice")
    following = lab.rotate()
    lab.switch()
    assert not lab.server.lines("session ended")
    outcome = scenario.finish()
    assert outcome.code == 0, outcome.output
    assert lab.pinned(lab.alice) == (following, None)
    assert len(lab.server.lines("session opened")) == 1
    lab.server.wait_for_log("session ended", "reason=bye")


def test_what_is_taken_back_is_forgotten_by_those_who_had_heard_of_it(lab: Lab) -> None:
    following = lab.rotate()
    lab.ask(lab.alice)
    assert lab.pinned(lab.alice) == (lab.before, following)
    done = lab.type("se-server", "rotate", "--cancel")
    assert done.returncode == 0 and f"key stays {lab.before.fingerprint}" in done.stdout
    lab.server.wait_for_log("no next server key is announced any more")
    assert "keeps its key" in lab.ask(lab.alice).stderr
    assert lab.pinned(lab.alice) == (lab.before, None) == lab.pinned(lab.owner)
    assert lab.status()["next_server_key"] is None
    assert lab.type("se-server", "rotate", "--cancel").returncode == KeyNotFoundError.exit_code


def test_a_session_that_runs_hears_of_what_is_announced_and_of_what_is_taken_back(lab: Lab) -> None:
    with RawClient(lab.server, lab.alice) as client:
        client.hello()
        following = lab.rotate()
        (notice,) = wire.decode(client.expect(Kind.NOTICE).body, frozenset({messages.Notice}))
        assert notice.next_key is not None and notice.next_key.key == following.z85
        client.send(Kind.BEAT)
        assert lab.type("se-server", "rotate", "--cancel").returncode == 0
        (notice,) = wire.decode(client.expect(Kind.NOTICE).body, frozenset({messages.Notice}))
        assert notice.next_key is None
        client.bye()


def test_a_server_that_was_killed_or_off_at_that_moment_comes_back_with_its_next_key(lab: Lab) -> None:
    following = lab.rotate()
    lab.ask(lab.alice)
    lab.server.kill()
    assert lab.type("se-server", "rotate", "--in", "1s").returncode == 0
    wait_until(lambda: KeyStore(lab.owner.folder).server_pair().public == following)
    # nobody has put it in its place yet, and yet everybody agrees on what counts
    assert lab.type("se-server", "key").stdout.strip() == following.text
    lab.start_again()
    assert ServerSuccession(KeyStore(lab.owner.folder)).plan() is None
    assert {path.name for path in lab.owner.folder.glob("server.*")} == {"server.key", "server.key_secret"}
    assert lab.ask(lab.alice).returncode == 0 and lab.pinned(lab.alice) == (following, None)


def test_killed_right_after_the_switch_nobody_is_locked_out(lab: Lab) -> None:
    following = lab.rotate()
    lab.ask(lab.alice)
    assert lab.type("se-server", "rotate", "--in", "1s").returncode == 0
    lab.server.wait_for_log(SWITCHED)
    lab.server.kill()
    lab.start_again()
    assert lab.ask(lab.alice).returncode == 0 and lab.pinned(lab.alice) == (following, None)


def test_an_exchange_of_the_clients_own_key_brings_the_news_too_and_works_after_the_switch(lab: Lab) -> None:
    following = lab.rotate()
    done = lab.type("se-remote", "keygen", "--rotate", lab.server.endpoint, who=lab.alice)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.pinned(lab.alice) == (lab.before, following)
    lab.switch()
    # A client may announce a key each second, and this machine may have come here sooner.
    wait_until(lambda: lab.type("se-remote", "keygen", "--rotate", lab.server.endpoint, who=lab.alice).returncode == 0)
    assert lab.pinned(lab.alice) == (following, None)


def test_who_is_refused_does_not_count_as_told(lab: Lab) -> None:
    lab.rotate()
    with RawClient(lab.server, lab.alice) as client:
        client.send(Kind.HELLO, wire.encode(replace(HELLO, versions=HELLO.versions | {"messages": "another"})))
        assert client.refusal().code == messages.RefusalCode.VERSION.value
        assert lab.status()["next_server_key_told"] == []
        client.hello()
        assert lab.status()["next_server_key_told"] == ["alice"]


def test_whoever_joins_meanwhile_knows_both_keys(lab: Lab, tmp_path: Path) -> None:
    following = lab.rotate()
    line = lab.type("se-server", "invite", "carol", "--endpoint", lab.server.endpoint).stdout.strip()
    carol = Identity(folder=tmp_path / "carol", pair=KeyPair.generate(), server_key=lab.before)
    assert lab.type("se-remote", "join", line, who=carol).returncode == 0
    pin = KeyStore(carol.folder).pin_for("127.0.0.1", lab.server.port)
    assert pin is not None and (pin.key, pin.next_key) == (lab.before, following)


def test_a_key_that_the_scenario_pins_is_its_authors_to_change_and_it_says_so(lab: Lab, run: Run) -> None:
    following = lab.rotate()
    where = f'remote("{lab.server.endpoint}", server_key: "{lab.before.text}")'
    outcome = run(f'log("in") with:\n    {where}', who=lab.alice)
    assert outcome.code == 0 and f"server_key: {following.text}" in outcome.output


def test_the_command_says_what_will_happen_and_changes_nothing_when_asked_again(lab: Lab) -> None:
    first = lab.type("se-server", "rotate", "--at", "2040-01-31T12:00:00Z")
    assert first.returncode == 0
    assert "counts from 2040-01-31T12:00:00Z" in first.stdout and "--cancel" in first.stdout
    assert lab.type("se-server", "rotate").stdout == first.stdout
    moved = lab.type("se-server", "rotate", "--at", "2041-01-31").stdout
    assert moved.split(".")[0] == first.stdout.split(".")[0] and "2041-01-3" in moved
    assert lab.type("se-server", "rotate", "--cancel", "--in", "1d").returncode == 2
    for bad in ("--at=2001-01-01", "--in=soon"):
        assert lab.type("se-server", "rotate", bad).returncode not in (0, 1)
    default = lab.type("se-server", "rotate", "--help").stdout
    assert "7d" in default
