# SPDX-License-Identifier: Apache-2.0
"""Results that are not home when their session is over stay on the server for a while, and all others go at once."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from scenario_execution_keys.store import KeyStore
from tests.support.servers import BIN, BRISK, CURVE, IMPATIENT, Identity, ServerProcess, clean_environment
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve, Start
from tests.system.test_results_come_home import code, here, whole

WRITES_AND_WAITS = "(out / 'x').write_text('precious'); print('it is written'); import time; time.sleep(60)"


def status(server: ServerProcess, *options: str) -> str:
    environment = clean_environment(XDG_RUNTIME_DIR=str(server.runtime))
    done = subprocess.run([BIN / "se-server", "status", *options], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lose_a_client(server: ServerProcess, start: Start, tmp_path: Path) -> Path:
    """Kill a client whose action has written something; returns where it is kept."""
    client = start(whole(code(server.endpoint, update=WRITES_AND_WAITS)), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written")
    client.signal(signal.SIGKILL)
    client.finish()
    server.wait_for_log("results are not home and are kept", within_s=30.0)
    server.wait_idle()
    (kept,) = server.kept()
    return kept


def test_results_of_a_client_that_vanished_are_kept_and_named_by_log_and_status(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *IMPATIENT)
    kept = lose_a_client(server, start, tmp_path)
    assert (kept / "output-1" / "x").read_text() == "precious"
    assert server.lines("results are not home and are kept", "client=owner", str(kept), "until=20")
    (told,) = json.loads(status(server, "--json"))["servers"][0]["folders_kept"]
    assert told["path"] == str(kept) and told["client"] == "owner" and told["size_bytes"] > 0
    assert 0 <= told["age_s"] < 120 and told["until"].startswith("20")
    assert str(kept) in status(server) and "owner" in status(server)


def test_what_is_kept_is_for_the_servers_user_alone(serve: Serve, start: Start, tmp_path: Path) -> None:
    server = serve(*CURVE, *IMPATIENT)
    kept = lose_a_client(server, start, tmp_path)
    files = server.state / "scenario_execution" / "files"
    while kept != files.parent:
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700, kept
        kept = kept.parent


def test_nothing_is_kept_of_a_session_whose_results_are_home(serve: Serve, run: Run, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    action = code(server.endpoint, update="(out / 'x').write_text('1')", shutdown="(out / 'late').write_text('2')")
    outcome = run(whole(action), "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    server.wait_idle()
    assert server.stop() == 0
    assert server.kept() == [] and not server.lines("kept")


def test_nothing_is_kept_of_a_client_that_vanished_when_its_results_were_home(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    # Old, so that no later look takes it for changed. The second remote action starts behind the client's word that it
    # has the file: without it, the client might be killed before the word has left.
    write = code(server.endpoint, update="(out / 'x').write_text('1'); os.utime(out / 'x', (1, 1))")
    ask = code(server.endpoint, update="print('it is said')")
    wait = code("", local=True, update="print('waiting'); import time; time.sleep(60)")
    client = start(whole(write, ask, wait), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("waiting")
    client.signal(signal.SIGKILL)
    client.finish()
    server.wait_for_log("session ended", within_s=30.0)
    server.wait_idle()
    assert server.stop() == 0
    assert server.kept() == []


def test_results_are_kept_when_the_worker_is_killed(serve: Serve, start: Start, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    client = start(whole(code(server.endpoint, update=WRITES_AND_WAITS)), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written")
    os.kill(server.named("se-worker")[0].pid, signal.SIGKILL)
    assert client.finish().code == 1
    server.wait_for_log("results are not home and are kept")
    assert (server.kept()[0] / "output-1" / "x").read_text() == "precious"


@pytest.mark.parametrize("end", ["server killed", "worker killed", "revoked", "server stopped"])
def test_a_client_that_loses_a_running_action_says_once_where_its_results_may_be(
    end: str, serve: Serve, start: Start, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    action = code(server.endpoint, update=WRITES_AND_WAITS)
    client = start(whole(action), "-o", str(here(tmp_path)), whole=True, who=guest)
    client.wait_for("it is written")
    if end == "server killed":
        server.kill()
    elif end == "worker killed":
        os.kill(server.named("se-worker")[0].pid, signal.SIGKILL)
    elif end == "revoked":
        KeyStore(owner.folder).revoke("guest")
    else:
        server.stop()
    try:
        outcome = client.finish()
    finally:
        if end == "revoked":
            KeyStore(owner.folder).enrol("guest", guest.pair.public)
    (line,) = [line for line in outcome.said if "some may be left there" in line]
    assert outcome.code == 1 and line.startswith("WARN") and "`se-remote get`" in line
    assert line.endswith(f"run: se-remote ls {server.endpoint}")


@pytest.mark.parametrize("is_running", [True, False])
def test_a_server_that_stops_when_all_is_home_says_so_and_nobody_is_sent_to_look_for_results(
    is_running: bool, serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE)
    write = "(out / 'x').write_text('precious'); print('it is written')"
    if is_running:  # until the server asks it to end
        late = "(out / 'late').write_text('late')"
        actions = [code(server.endpoint, execute=write, update="return Status.RUNNING", shutdown=late)]
    else:
        waits = code("", local=True, update=f"print('waiting'); wait_for_file({str(tmp_path / 'go')!r})")
        actions = [code(server.endpoint, update=write), waits, code(server.endpoint, update=write)]
    client = start(whole(*actions), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written" if is_running else "waiting")
    assert server.stop() == 0
    (tmp_path / "go").touch()
    outcome = client.finish()
    assert outcome.code == 1 and outcome.count("The server is stopping") > 0, outcome.output
    assert outcome.count("some may be left there") == 0, outcome.output
    assert server.kept() == []
    assert (here(tmp_path) / "x").read_text() == "precious"
    assert not is_running or (here(tmp_path) / "late").read_text() == "late"


def test_a_client_whose_action_is_killed_at_the_good_bye_says_where_its_results_may_be(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--shutdown-timeout", "0.5")
    action = code(server.endpoint, update=WRITES_AND_WAITS)
    client = start(whole(action), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written")
    client.signal(signal.SIGINT)
    outcome = client.finish()
    assert outcome.count("some may be left there") == 1, outcome.output
    server.wait_for_log("results are not home and are kept")


def test_what_the_client_cannot_put_down_is_kept(serve: Serve, run: Run, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    here(tmp_path).mkdir()
    (here(tmp_path) / "sub").symlink_to(tmp_path)  # nothing is written through a link
    action = code(server.endpoint, update="(out / 'sub').mkdir(); (out / 'sub' / 'x').write_text('precious')")
    run(whole(action), "-o", str(here(tmp_path)), whole=True)
    server.wait_for_log("results are not home and are kept")
    assert (server.kept()[0] / "output-1" / "sub" / "x").read_text() == "precious"


def test_a_server_that_starts_again_finds_what_is_kept_and_removes_it_when_its_time_has_come(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    first = serve(*CURVE, *IMPATIENT)
    kept = lose_a_client(first, start, tmp_path)
    assert first.stop() == 0
    files = str(first.state / "scenario_execution" / "files")
    second = serve(*CURVE, *BRISK, "--files-dir", files)
    second.wait_for_log("results are not home and are kept", str(kept))
    assert second.stop() == 0 and kept.exists()
    third = serve(*CURVE, *BRISK, "--files-dir", files, "--keep-results", "0.001")
    third.wait_for_log("kept results removed", "why=expired")
    assert not kept.exists()


@pytest.mark.parametrize(
    ("option", "limit", "why"), [("--keep-limit", "0", "limit"), ("--file-limits", "stored=1k", "stored")]
)
def test_what_is_more_than_the_limit_is_removed_and_the_log_says_why(
    option: str, limit: str, why: str, serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *IMPATIENT, option, limit)
    client = start(whole(code(server.endpoint, update=WRITES_AND_WAITS)), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written")
    client.signal(signal.SIGKILL)
    client.finish()
    server.wait_for_log("kept results removed", f"why={why}", within_s=30.0)
    assert server.kept() == []


def test_nothing_is_kept_by_a_server_that_is_told_so(serve: Serve, start: Start, tmp_path: Path) -> None:
    server = serve(*CURVE, *IMPATIENT, "--keep-results", "0")
    client = start(whole(code(server.endpoint, update=WRITES_AND_WAITS)), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written")
    client.signal(signal.SIGKILL)
    client.finish()
    server.wait_for_log("session ended", within_s=30.0)
    server.wait_idle()
    assert server.kept() == []


def test_results_outlive_a_server_that_is_killed_with_all_of_its_processes(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    first = serve(*CURVE, *BRISK)
    client = start(whole(code(first.endpoint, update=WRITES_AND_WAITS)), "-o", str(here(tmp_path)), whole=True)
    client.wait_for("it is written")
    (folder,) = first.folders()
    shepherds = [process.pid for process in first.named("se-shepherd")]
    for pid in shepherds:
        os.kill(pid, signal.SIGSTOP)  # so that it does not put aside what its worker leaves
    first.kill()
    for pid in shepherds:
        os.kill(pid, signal.SIGKILL)
    client.finish()
    wait_until(lambda: not first.of_sessions())
    assert (folder.joinpath("root", *here(tmp_path).parts[1:]) / "x").read_text() == "precious"
    second = serve(*CURVE, *BRISK, "--files-dir", str(first.state / "scenario_execution" / "files"))
    second.wait_for_log("results are not home and are kept", "client=owner")
    assert (first.kept()[0] / "output-1" / "x").read_text() == "precious" and not folder.exists()
