# SPDX-License-Identifier: Apache-2.0
"""`se-server status`, `audit` and `check`, at the real command line, about running servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Kind
from scenario_execution_server.errors import AuditLogError, NoServerError, ProblemsError
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
    serving,
)
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve


class Desk:
    """An operator with a server, and the client alice."""

    def __init__(self, folder: Path, serve: Serve) -> None:
        self.owner = make_owner(folder / "operator")
        self.alice = make_guest(folder / "alice", self.owner, "alice")
        self.serve = serve
        # Commands are typed while a client says nothing; on a busy machine each takes its time.
        self.server = self.start("--watchdog", "30")

    def start(self, *options: str) -> ServerProcess:
        return self.serve(*CURVE, *BRISK, "--keys-dir", str(self.owner.folder), *options)

    def type(self, *words: str, server: ServerProcess | None = None, **variables: str) -> Any:
        """Run a command on the server's machine."""
        server = server or self.server
        environment = clean_environment(
            XDG_RUNTIME_DIR=str(server.runtime), XDG_STATE_HOME=str(server.state), **variables,
            SCENARIO_EXECUTION_KEYS_DIR=str(self.owner.folder),
        )  # fmt: skip
        return subprocess.run([BIN / "se-server", *words], env=environment, capture_output=True, text=True, timeout=60)

    def status(self) -> dict[str, Any]:
        (one,) = json.loads(self.type("status", "--json").stdout)["servers"]
        assert isinstance(one, dict)
        return one

    def audit(self, *words: str) -> list[dict[str, Any]]:
        done = self.type("audit", "--json", *words)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_for_audit(self, event: str, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """The entries of a kind with these fields, once there are so many."""
        path = self.server.state / "scenario_execution" / "audit.jsonl"

        def found() -> list[dict[str, Any]]:
            entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            return [e for e in entries if e["event"] == event and fields.items() <= e.items()]

        wait_until(lambda: len(found()) >= count)
        return found()


@pytest.fixture
def desk(tmp_path: Path, serve: Serve) -> Desk:
    return Desk(tmp_path, serve)


# -- status ------------------------------------------------------------------------------------------------------------


def test_status_says_what_an_operator_wants_to_know(desk: Desk) -> None:
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        client.create("probe_steps", trace="", tag="")
        found = desk.status()
        told = desk.type("status").stdout
        client.bye()
    assert found["endpoints"] == [f"tcp://{desk.server.endpoint}"]
    assert found["server_key"] == desk.owner.server_key.fingerprint
    assert (found["self_test"], found["authenticator"]) == ("passed", "alive")
    assert found["pid"] == desk.server.pid and 0 <= found["uptime_s"] < 100
    assert found["refusals"] == {} and found["folders_kept"] == []
    (session,) = found["sessions"]
    assert session["session"] == client.session.hex()
    assert (session["client"], session["fingerprint"]) == ("alice", desk.alice.pair.public.fingerprint)
    assert (session["address"], session["state"]) == ("127.0.0.1", "running")
    assert found["clients"]["alice"]["sessions"] == 1 and found["clients"]["alice"]["address"] == "127.0.0.1"
    for word in (desk.server.endpoint, "passed", "alive", "alice", str(session["worker_pid"]), "1 of 64"):
        assert word in told


def test_the_worker_of_a_session_is_the_process_that_status_names(desk: Desk) -> None:
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        client.create("probe_steps", trace="", tag="")
        (session,) = desk.status()["sessions"]
        assert [worker.pid for worker in desk.server.named("se-worker")] == [session["worker_pid"]]
        client.bye()


def test_clients_shows_who_is_there_and_who_was(desk: Desk) -> None:
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        rows = {row["name"]: row for row in json.loads(desk.type("clients", "--json").stdout)["clients"]}
        assert (rows["alice"]["sessions"], rows["alice"]["address"]) == (1, "127.0.0.1")
        assert rows["alice"]["last_seen"] is not None and rows["owner"]["last_seen"] is None
        client.bye()
    desk.server.wait_idle()
    rows = {row["name"]: row for row in json.loads(desk.type("clients", "--json").stdout)["clients"]}
    assert rows["alice"]["sessions"] == 0 and rows["alice"]["last_seen"] is not None


def test_refusals_are_counted_by_reason(desk: Desk, tmp_path: Path) -> None:
    stranger = make_guest(tmp_path / "mallory", desk.owner, None)
    KeyStore(desk.owner.folder).permit("alice", {"sessions": "1"})
    desk.server.wait_for_log("clients changed", "permitted=alice")
    with RawClient(desk.server, stranger), RawClient(desk.server, desk.alice) as one:
        one.hello()
        with RawClient(desk.server, desk.alice) as two:
            two.send(Kind.HELLO, wire.encode(HELLO))
            two.refusal()
        wait_until(lambda: desk.status()["refusals"].keys() == {"limit", "not-enrolled"})
        one.bye()


def test_without_a_server_status_says_so_and_ends_with_a_code_of_its_own(desk: Desk) -> None:
    assert desk.server.stop() == 0
    done = desk.type("status")
    assert done.returncode == NoServerError.exit_code and done.stdout == ""
    assert done.stderr.startswith("se-server: none of your servers runs on this machine")
    done = desk.type("status", "--json")
    assert done.returncode == NoServerError.exit_code and json.loads(done.stdout) == {"servers": []}


def test_several_servers_are_listed_and_one_can_be_picked(desk: Desk) -> None:
    other = desk.serve("--port", "0", environment={"XDG_RUNTIME_DIR": str(desk.server.runtime)})
    servers = json.loads(desk.type("status", "--json").stdout)["servers"]
    assert {server["pid"] for server in servers} == {desk.server.pid, other.pid}
    (picked,) = json.loads(desk.type("status", "--json", "--endpoint", f":{other.port}").stdout)["servers"]
    assert picked["pid"] == other.pid and picked["server_key"] is None
    assert desk.type("status", "--endpoint", ":1").returncode == NoServerError.exit_code


def test_a_server_that_stands_still_is_said_to_be_there_and_not_to_answer(desk: Desk) -> None:
    os.kill(desk.server.pid, signal.SIGSTOP)
    try:
        for words in ((), ("--endpoint", f":{desk.server.port}")):
            done = desk.type("status", *words)
            assert done.returncode == NoServerError.exit_code and done.stdout == ""
            assert f"with pid {desk.server.pid}" in done.stderr and "does not answer within 3 s" in done.stderr
            assert f"kill -CONT {desk.server.pid}" in done.stderr and "--curve" not in done.stderr
    finally:
        os.kill(desk.server.pid, signal.SIGCONT)
    wait_until(lambda: desk.type("status").returncode == 0)


def test_the_socket_of_a_server_that_was_killed_is_cleared_away(desk: Desk) -> None:
    desk.server.kill()
    folder = desk.server.runtime / "scenario_execution"
    assert len(list(folder.iterdir())) == 1
    assert desk.type("status").returncode == NoServerError.exit_code
    assert list(folder.iterdir()) == []


def test_the_control_socket_is_its_owners_alone(desk: Desk) -> None:
    (path,) = (desk.server.runtime / "scenario_execution").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_who_sits_on_the_control_socket_holds_up_no_session(desk: Desk) -> None:
    (path,) = (desk.server.runtime / "scenario_execution").iterdir()
    with socket.socket(socket.AF_UNIX) as guest, RawClient(desk.server, desk.alice) as client:
        guest.connect(str(path))
        guest.sendall(b"{")
        client.hello()
        action = client.create("probe_steps", trace="", tag="")
        client.tick(action, {})
        client.bye()


# -- audit -------------------------------------------------------------------------------------------------------------


def test_the_audit_log_says_who_did_what_and_keeps_arguments_and_keys_out(desk: Desk, run: Run) -> None:
    body = f'log("the-word-that-is-not-written-down") with:\n    remote("{desk.server.endpoint}")'
    assert run(body, who=desk.alice).code == 0
    desk.wait_for_audit("session-ended")
    entries = desk.audit()
    assert [entry["event"] for entry in entries] == [
        "server-started", "admitted", "session-opened", "action-set-up", "session-ended",
    ]  # fmt: skip
    who = {"client": "alice", "fingerprint": desk.alice.pair.public.fingerprint, "address": "127.0.0.1"}
    assert all(who.items() <= entry.items() for entry in entries[1:])
    assert entries[3]["action"] == "log" and entries[4]["reason"] == "bye"
    assert len({entry["session"] for entry in entries[2:]}) == 1
    assert all(entry["when"].endswith("Z") for entry in entries)
    text = (desk.server.state / "scenario_execution" / "audit.jsonl").read_text()
    assert "the-word-that-is-not-written-down" not in text
    for pair in (desk.alice.pair, KeyStore(desk.owner.folder).server_pair()):
        assert pair.secret.reveal_z85() not in text and "sesec-" not in text


def test_an_action_that_is_cancelled_and_one_that_is_not_permitted_are_told(desk: Desk, run: Run) -> None:
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        action = client.create("probe_steps", trace="", tag="")
        client.call(messages.Stop, action=action, status="INVALID", if_begun=False)
        client.bye()
    desk.wait_for_audit("action-cancelled", client="alice", action="probe_steps")
    assert desk.type("permit", "alice", "--allow", "run_*").returncode == 0
    desk.wait_for_audit("permitted", client="alice")
    assert run(f'log("no") with:\n    remote("{desk.server.endpoint}")', who=desk.alice).code == 1
    desk.wait_for_audit("action-refused", client="alice", action="log")


def test_strangers_and_changes_of_keys_are_told(desk: Desk, tmp_path: Path) -> None:
    stranger = make_guest(tmp_path / "mallory", desk.owner, None)
    with RawClient(desk.server, stranger):
        (entry,) = desk.wait_for_audit("refused", fingerprint=stranger.pair.public.fingerprint)
    assert entry["reason"] == "not-enrolled" and entry["address"] == "127.0.0.1"
    assert desk.type("enrol", "bob", KeyPair.generate().public.text).returncode == 0
    desk.wait_for_audit("enrolled", client="bob")
    assert desk.type("enrol", "bob", KeyPair.generate().public.text, "--replace").returncode == 0
    desk.wait_for_audit("key-changed", client="bob")
    assert desk.type("revoke", "alice").returncode == 0
    desk.wait_for_audit("revoked", client="alice", fingerprint=desk.alice.pair.public.fingerprint)


def test_strangers_without_number_make_a_bounded_log_and_every_one_is_counted(desk: Desk) -> None:
    count = 130
    with ExitStack() as stack:
        for _ in range(count):
            stranger = Identity(folder=Path(), pair=KeyPair.generate(), server_key=desk.owner.server_key)
            stack.enter_context(RawClient(desk.server, stranger))
        wait_until(lambda: desk.status()["refusals"].get("not-enrolled", 0) >= count)
        with RawClient(desk.server, desk.alice) as client:
            client.hello()
            client.bye()
    desk.wait_for_audit("session-ended", client="alice")
    assert desk.server.stop() == 0
    entries = desk.audit()
    told = sum(entry["event"] == "refused" for entry in entries)
    (suppressed,) = (entry for entry in entries if entry["event"] == "suppressed")
    assert told < count and told + suppressed["times"] == count


def test_the_log_is_filtered_by_client_kind_and_time(desk: Desk) -> None:
    for who in (desk.alice, desk.owner):
        with RawClient(desk.server, who) as client:
            client.hello()
            client.bye()
    desk.wait_for_audit("session-ended", count=2)
    assert {entry["client"] for entry in desk.audit("--client", "alice")} == {"alice"}
    kinds = desk.audit("--event", "session-opened", "--event", "session-ended", "--client", "owner")
    assert [entry["event"] for entry in kinds] == ["session-opened", "session-ended"]
    assert desk.audit("--since", "1h") == desk.audit()
    assert desk.audit("--since", "2100-01-01") == []
    assert "session-opened" in desk.type("audit").stdout
    done = desk.type("audit", "--event", "nothing")
    assert done.returncode == 2 and "there is no kind 'nothing'" in done.stderr
    done = desk.type("audit", "--since", "yesterday")
    assert done.returncode == 2 and "is no moment" in done.stderr


@contextmanager
def following(desk: Desk) -> Iterator[subprocess.Popen[str]]:
    environment = clean_environment(XDG_STATE_HOME=str(desk.server.state))
    command = [BIN / "se-server", "audit", "--follow", "--event", "session-ended"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as reader:
        try:
            yield reader
            reader.send_signal(signal.SIGINT)
            assert reader.wait(10) == 0
        finally:
            reader.kill()


def test_the_log_can_be_followed_across_a_rotation(desk: Desk) -> None:
    path = desk.server.state / "scenario_execution" / "audit.jsonl"
    with following(desk) as reader:
        for name in ("alice", "owner"):
            with RawClient(desk.server, desk.alice if name == "alice" else desk.owner) as client:
                client.hello()
                client.bye()
            assert reader.stdout is not None and f" {name} " in reader.stdout.readline()
            path.rename(path.with_name("audit.jsonl.1"))


def test_without_a_log_audit_says_so(desk: Desk) -> None:
    done = desk.type("audit", "--audit-log", "/nonexistent/audit.jsonl")
    assert done.returncode == AuditLogError.exit_code
    assert "there is no audit log at /nonexistent/audit.jsonl" in done.stderr


def test_a_full_disk_is_said_once_shown_by_status_and_costs_no_session(tmp_path: Path, serve: Serve) -> None:
    desk = Desk.__new__(Desk)
    desk.owner = make_owner(tmp_path / "operator")
    desk.alice = make_guest(tmp_path / "alice", desk.owner, "alice")
    desk.serve = serve
    desk.server = desk.start("--audit-log", "/dev/full")
    for _ in range(2):
        with RawClient(desk.server, desk.alice) as client:
            client.hello()
            client.bye()
    wait_until(lambda: desk.status()["audit"]["lost"] > 3)
    assert desk.status()["audit"]["trouble"] == "No space left on device"
    assert "CANNOT BE WRITTEN: No space left on device" in desk.type("status").stdout
    assert len(desk.server.lines("the audit log /dev/full cannot be written")) == 1


def test_no_audit_keeps_none(tmp_path: Path, owner: Identity, site: str) -> None:
    with serving(tmp_path / "server", "--port", "0", "--no-audit", keys=owner.folder, site=site) as server:
        assert not list(server.state.rglob("audit*"))


def test_a_client_cannot_write_into_the_log_what_it_did_not_do(desk: Desk) -> None:
    with RawClient(desk.server, desk.alice) as client:
        client.hello()
        client.data(wire.encode(messages.Deed(what="set-up", action="forged")))
        client.create("probe_steps", trace="", tag="")
        assert any("does not understand" in record.text for record in client.log)
        client.bye()
    desk.wait_for_audit("session-ended")
    assert not any(entry.get("action") == "forged" for entry in desk.audit())


# -- check -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Any]:
    """`se-server check` without any server: alone(*words, **variables)."""
    owner = make_owner(tmp_path / "keys")

    def type_(*words: str, **variables: str) -> Any:
        environment = clean_environment(
            XDG_RUNTIME_DIR=str(tmp_path / "run"), XDG_STATE_HOME=str(tmp_path / "state"), **variables
        )
        command = [BIN / "se-server", "check", "--json", "--keys-dir", owner.folder, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, {(row["what"], row["text"]): row for row in json.loads(done.stdout)["found"]}

    yield type_


def problems(found: dict[Any, Any]) -> list[str]:
    return [row["text"] for row in found.values() if row["status"] == "fail"]


def test_where_all_is_well_check_ends_with_0(alone: Any) -> None:
    code, found = alone("--", "--curve")
    assert (code, problems(found)) == (0, [])
    assert {what for what, _ in found} == {"settings", "keys", "clients", "libzmq", "folders", "plug-ins"}


def expose_server_key(keys: Path) -> None:
    (keys / "server.key_secret").chmod(0o644)


def break_client(keys: Path) -> None:
    (keys / "authorized_clients" / "owner.key").write_text("nonsense")


def open_folder(keys: Path) -> None:
    keys.chmod(0o755)


@pytest.mark.parametrize(
    ("harm", "says", "mend"),
    [
        (expose_server_key, "mode 0644", "chmod 600"),
        (break_client, "the client owner does not count", "owner"),
        (open_folder, "mode 0755", "chmod 700"),
    ],
)
def test_check_finds_what_is_wrong_with_keys(alone: Any, tmp_path: Path, harm: Any, says: str, mend: str) -> None:
    harm(tmp_path / "keys")
    code, found = alone("--", "--curve")
    assert code == ProblemsError.exit_code
    assert any(says in text for text in problems(found)), problems(found)
    assert all(row["next"] for row in found.values() if row["status"] == "fail")
    assert any(mend in row["next"] for row in found.values() if row["status"] == "fail")


@pytest.mark.parametrize(
    ("words", "variables", "says"),
    [
        (("--curve", "--insecure"), {}, "--curve encrypts, --insecure does not"),
        (("--cruve",), {}, "--cruve"),
        ((), {"SCENARIO_EXECUTION_SERVER_PROT": "1"}, "the variable SCENARIO_EXECUTION_SERVER_PROT is none"),
        ((), {"SCENARIO_EXECUTION_SERVER_PORT": "99999"}, "99999 is not a TCP port"),
        (("--audit-log", "/dev/null/audit"), {}, "the audit log /dev/null/audit cannot be written"),
    ],
)
def test_check_finds_what_is_wrong_with_settings(
    alone: Any, words: tuple[str, ...], variables: dict[str, str], says: str
) -> None:
    code, found = alone("--", *words, **variables)
    assert code == ProblemsError.exit_code
    assert any(says in text for text in problems(found)), problems(found)


def test_check_finds_plugins_that_cannot_be_imported_and_names_that_are_ambiguous(alone: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        info = tmp_path / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[scenario_execution.actions]\nwalk = walk_of_{name}:Walk\n")
    (tmp_path / "site" / "walk_of_one.py").write_text("class Walk: ...\n")
    code, found = alone(PYTHONPATH=str(tmp_path / "site"))
    assert code == ProblemsError.exit_code
    texts = " / ".join(problems(found))
    assert "the action walk of two 1.0 cannot be used: ModuleNotFoundError" in texts
    assert "the name walk is ambiguous: 'walk_of_one:Walk' of one 1.0, 'walk_of_two:Walk' of two 1.0" in texts


def test_check_starts_nothing_and_opens_no_port(alone: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _ = alone("--", "--port", str(taken.getsockname()[1]))
    assert code == 0


def test_a_visit_does_not_end_a_server_that_serves_once(desk: Desk, run: Run) -> None:
    server = desk.start("--once")
    for verb in ("doctor", "actions"):
        environment = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(desk.alice.folder))
        assert subprocess.run([BIN / "se-remote", verb, server.endpoint], env=environment).returncode == 0
    server.wait_idle()
    assert run(f'log("at last") with:\n    remote("{server.endpoint}")', who=desk.alice).code == 0
    assert server.wait() == 0
