# SPDX-License-Identifier: Apache-2.0
"""What an enrolled client may do on a running server, and how fast a server notices what was changed in the files."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.errors import NotAuthorisedError
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Kind
from tests.support.inventory import is_alive
from tests.support.probe import pids_of
from tests.support.rawclients import HELLO, NOWHERE, RawClient, Version1Client
from tests.support.servers import (
    BIN,
    CURVE,
    PATIENT,
    ServerProcess,
    clean_environment,
    make_guest,
    make_owner,
    serving,
)
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Start

ALL_GONE_S = 1.0  # the promise; a revocation is noticed within 0.3 s and leaves the actions 0.3 s


@pytest.fixture
def desk(tmp_path: Path, site: str) -> Iterator[Desk]:
    desk = Desk(tmp_path, site)
    yield desk
    desk.server.close()


class Desk:
    """A server with a key store of its own, its operator at the command line, and one client called alice."""

    def __init__(self, folder: Path, site: str) -> None:
        self.owner = make_owner(folder / "keys")
        self.alice = make_guest(folder / "alice", self.owner, "alice")
        self.folder = folder
        mines = folder / "mines"
        info = mines / "mine-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[scenario_execution.actions]\nmine = mine_module:Mine\n")
        self.trodden = folder / "trodden"
        (mines / "mine_module.py").write_text(f"open({str(self.trodden)!r}, 'w').close()\nMine = None\n")
        site = os.pathsep.join((site, str(mines)))
        self.server = ServerProcess(folder / "server", *CURVE, *PATIENT, keys=self.owner.folder, site=site)

    def type(self, *words: str) -> str:
        """Run a command on the server's key store."""
        variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(self.owner.folder))
        done = subprocess.run([BIN / words[0], *words[1:]], env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_action(self, client: RawClient, key: str) -> messages.Fault | None:
        """Create an action and say what is wrong with that."""
        number = next(client._actions)
        return client.call(
            messages.Create, action=number, scenario=number, plugin=messages.Plugin(key=key), init_arguments={},
            name=key, label=None, context=None, actor=None, directories=NOWHERE, debug=False,
        ).fault  # fmt: skip


def test_an_action_that_is_not_permitted_fails_by_name_before_its_class_is_imported(desk: Desk) -> None:
    desk.type("se-server", "permit", "alice", "--allow", "probe_*")
    desk.server.wait_for_log("clients changed", "permitted=alice")
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        assert client.create("probe_steps", trace="", tag="")
        refused = desk.try_action(client, "mine")
        assert refused is not None and refused.type_name == "NotPermittedError"
        assert refused.text == (
            "the client alice may not run the action 'mine' on this server. Ask its operator to run: "
            f"se-server permit alice --allow 'probe_*' --keys-dir {desk.owner.folder} --allow mine"
        )
        assert not desk.trodden.exists()
        # what the sentence says is typed, and the same session may
        words = refused.text.partition("run: ")[2].replace("'", "").split()
        desk.type(*words)
        wait_until(lambda: (fault := desk.try_action(client, "mine")) is None or fault.type_name != "NotPermittedError")
        assert desk.trodden.exists()
        client.bye()


def test_a_scenario_says_which_action_is_not_permitted_and_what_to_do(desk: Desk, tmp_path: Path, run: Run) -> None:
    desk.type("se-server", "permit", "alice", "--observe")
    desk.server.wait_for_log("clients changed", "permitted=alice")
    outcome = run(f'log("there") with:\n    remote("{desk.server.endpoint}")', who=desk.alice)
    assert outcome.code == 1
    assert "the client alice may not run the action 'log' on this server" in outcome.output
    assert "se-server permit alice --no-observe" in outcome.output


@pytest.mark.parametrize("role", ["input", "output"])
def test_who_may_run_nothing_puts_nothing_on_the_servers_disk(role: str, desk: Desk) -> None:
    desk.type("se-server", "permit", "alice", "--observe")
    desk.server.wait_for_log("clients changed", "permitted=alice")
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        mount = messages.Mount(
            call=1, mount=1, path="/far/away", names=[], role=role, mode="copy", marker="", content=b"",
            working_folder="",
        )  # fmt: skip
        client.data(wire.encode(mount))
        refused = client.result(1).fault
        assert refused is not None and refused.type_name == "NotPermittedError"
        assert refused.text == (
            "the client alice may run no action on this server, and so has no files there. Ask its operator to run: "
            f"se-server permit alice --no-observe --keys-dir {desk.owner.folder} --allow NAME"
        )
        (folder,) = desk.server.folders()
        assert not [path for path in folder.rglob("*") if path.name in ("root", "far", "away")]
        assert client.bye().reason == "bye"


def test_a_version_1_client_is_held_to_the_same(desk: Desk) -> None:
    desk.type("se-server", "permit", "alice", "--allow", "log")
    desk.server.wait_for_log("clients changed", "permitted=alice")
    with Version1Client(desk.server, desk.alice) as client:
        reply = client.ask("init", action_id="a", plugin_key="probe_steps", init_args={}, output_dir="")
        assert reply["status"] == "error" and "may not run the action 'probe_steps'" in reply["message"], reply


def test_a_client_has_no_more_sessions_than_it_may(desk: Desk) -> None:
    desk.type("se-server", "permit", "alice", "--sessions", "1")
    desk.server.wait_for_log("clients changed", "permitted=alice")
    with RawClient(desk.server, desk.alice) as first, RawClient(desk.server, desk.alice) as second:
        first.hello()
        second.send(Kind.HELLO, wire.encode(HELLO))
        refusal = second.refusal()
        assert refusal.code == "limit"
        assert "alice has the one session it may have here" in refusal.text
        assert "se-server permit alice --sessions 2" in refusal.text
        with RawClient(desk.server, desk.owner) as other:
            other.hello()
            other.bye()
        first.bye()


@pytest.mark.parametrize(
    ("change", "says"),
    [(("--until", "1s"), "its time was over"), (("--from", "192.0.2.0/24"), "it comes from 127.0.0.1")],
    ids=["time is over", "place is taken away"],
)
def test_a_live_session_ends_when_its_client_may_not_go_on(desk: Desk, change: tuple[str, str], says: str) -> None:
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        client.create("probe_steps", trace="", tag="")
        desk.type("se-server", "permit", "alice", *change)
        give_up_at = time.monotonic() + 10.0
        while not desk.server.lines("session ending"):
            assert time.monotonic() < give_up_at
            client.send(Kind.BEAT)  # so that it does not end for silence
            client.socket.socket.poll(100)
        ended = client.ended()
        assert ended.reason == "revoked" and says in ended.text, ended
    desk.server.wait_idle()


def test_whoever_may_not_come_in_is_refused_in_the_handshake_and_logged_with_the_reason(desk: Desk, run: Run) -> None:
    desk.type("se-server", "permit", "alice", "--from", "192.0.2.0/24")
    desk.server.wait_for_log("clients changed", "permitted=alice")
    outcome = run(f'log("there") with:\n    remote("{desk.server.endpoint}", setup_timeout: 1s)', who=desk.alice)
    assert outcome.code == 1 and desk.alice.pair.public.fingerprint in outcome.output
    (line,) = desk.server.wait_for_log("refused an enrolled client")
    assert "it comes from 127.0.0.1, and may come from 192.0.2.0/24" in line
    assert not desk.server.lines("session opened", "client=alice")


def test_from_revoke_to_the_last_process_gone_takes_less_than_a_second(desk: Desk, tmp_path: Path) -> None:
    took_s = []
    for number in range(3):
        name, pids = f"guest-{number}", tmp_path / f"pids-{number}"
        guest = make_guest(tmp_path / name, desk.owner, name)
        desk.server.wait_for_log("clients changed", f"enrolled={name}")
        with RawClient(desk.server, guest) as client:
            client.hello()
            action = client.create("probe_spawn")
            client.tick(action, {"pids": str(pids), "how": "session", "ticks": 1000})
            deed = {"phase": "update", "deed": "hang", "text": "", "side": "any", "ticks": 1}
            client.start_tick(client.create("probe_trouble", trace="", tag="", **deed), {})
            (stubborn,) = pids_of(pids)
            processes = [process.pid for process in desk.server.of_sessions()]
            assert stubborn in processes
            KeyStore(desk.owner.folder).revoke(name)
            started_s = time.monotonic()
            wait_until(lambda pids=processes: not any(map(is_alive, pids)))
            took_s.append(time.monotonic() - started_s)
            ended = client.ended()
            assert ended.reason == "revoked" and "is not enrolled" in ended.text
    assert sorted(took_s)[1] < ALL_GONE_S, took_s  # the middle one: a busy machine may be late once


def test_who_is_revoked_gets_no_new_session(desk: Desk, run: Run) -> None:
    desk.type("se-server", "revoke", "alice")
    desk.server.wait_for_log("clients changed", "revoked=alice")
    outcome = run(f'log("there") with:\n    remote("{desk.server.endpoint}", setup_timeout: 1s)', who=desk.alice)
    assert outcome.code == 1
    assert "does not admit this client's key" in outcome.output


# -- refused, and let in while waiting ---------------------------------------------------------------------------------


def test_a_client_that_is_approved_while_it_waits_in_set_up_gets_in_without_restarting(
    desk: Desk, tmp_path: Path, start: Start
) -> None:
    bob = make_guest(tmp_path / "bob", desk.owner, None)
    scenario = start(f'log("here I am") with:\n    remote("{desk.server.endpoint}", setup_timeout: 30s)', who=bob)
    fingerprint = bob.pair.public.fingerprint
    scenario.wait_for(f"does not admit this client's key {fingerprint}")
    scenario.wait_for(f"se-server enrol NAME {bob.pair.public.text}")
    wait_until(lambda: fingerprint in desk.type("se-server", "pending"))
    desk.type("se-server", "approve", fingerprint, "--name", "bob")
    outcome = scenario.finish()
    assert outcome.code == 0, outcome.output
    assert "INFO here I am" in outcome.said
    assert outcome.count("does not admit") == 1
    assert len(desk.server.lines("refused a client", fingerprint)) == 1
    assert fingerprint not in desk.type("se-server", "pending")


def test_a_client_that_nobody_approves_fails_at_its_set_up_timeout(desk: Desk, tmp_path: Path, run: Run) -> None:
    bob = make_guest(tmp_path / "bob", desk.owner, None)
    outcome = run(f'log("here I am") with:\n    remote("{desk.server.endpoint}", setup_timeout: 1s)', who=bob)
    assert outcome.code == 1
    assert outcome.count(bob.pair.public.fingerprint) >= 2  # the announcement, and the verdict


# -- looking, and being an administrator -------------------------------------------------------------------------------


def ask(desk: Desk, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What alice is told at her command line."""
    variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(desk.alice.folder))
    command = [BIN / "se-remote", verb, desk.server.endpoint, *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)


def test_only_an_administrator_is_told_whose_sessions_run(desk: Desk) -> None:
    refused = ask(desk, "status")
    assert refused.returncode == NotAuthorisedError.exit_code
    assert "se-server permit alice --admin" in refused.stderr and not refused.stdout
    desk.type("se-server", "permit", "alice", "--admin", "--observe")
    wait_until(lambda: ask(desk, "status").returncode == 0)
    with RawClient(desk.server, desk.owner) as client:
        client.hello()
        status = json.loads(ask(desk, "status", "--json").stdout)
        client.bye()
    (session,) = status["sessions"]
    assert session["fingerprint"] == desk.owner.pair.public.fingerprint
    shown = ask(desk, "status").stdout
    assert desk.server.endpoint in shown and "not-authorised" in shown
    for pair in (desk.owner.pair, KeyStore(desk.owner.folder).server_pair(), desk.alice.pair):
        assert pair.secret.reveal_z85() not in json.dumps(status)
    desk.type("se-server", "permit", "alice", "--no-admin")
    wait_until(lambda: ask(desk, "status").returncode == NotAuthorisedError.exit_code)


def test_who_comes_without_a_key_asks_on_the_machine_itself(desk: Desk) -> None:
    place = desk.folder / "s"
    with serving(desk.folder / "other", "--socket", str(place), keys=desk.owner.folder, site=""):
        variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(desk.alice.folder))
        command = [BIN / "se-remote", "status", str(place)]
        refused = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert refused.returncode == NotAuthorisedError.exit_code and "se-server status" in refused.stderr


def test_an_observer_looks_and_runs_nothing(desk: Desk, run: Run) -> None:
    desk.type("se-server", "permit", "alice", "--observe")
    desk.server.wait_for_log("enrolled clients changed", "permitted")
    outcome = run(f'log("never") with:\n    remote("{desk.server.endpoint}")', who=desk.alice)
    assert outcome.code == 1 and "se-server permit alice --no-observe" in outcome.output
    looked = ask(desk, "actions")
    assert looked.returncode == 0 and not looked.stdout and "may run none" in looked.stderr
