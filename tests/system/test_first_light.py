# SPDX-License-Identifier: Apache-2.0
"""A scenario with remote actions from beginning to end, through each kind of door."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.inventory import is_alive
from tests.support.scenarios import Outcome, running, scenario
from tests.support.servers import BIN, BRISK, CURVE, PLAIN, ServerProcess, clean_environment, serving
from tests.system.conftest import Run, Serve, Start

FIRST_LIGHT = """
    log("said here")
    serial:
        log("said there")
        run_process("uname -n")
        place: run_process("pwd")
        process_log_check("place", ["/"])
    with:
        remote("{endpoint}", heartbeat_failure_timeout: 1s)
"""


def check_first_light(server: ServerProcess, outcome: Outcome, folder: Path) -> None:
    assert outcome.code == 0, outcome.output
    assert [line for line in outcome.said if "said" in line] == ["INFO said here", "INFO said there"]
    assert f"INFO {os.uname().nodename}" in outcome.said
    assert f"INFO {folder}" in outcome.said  # one disk, and so the directory of the scenario
    assert "Scenario 'test' succeeded." in outcome.output
    assert server.lines("session opened")


def test_keygen_is_all_that_a_server_with_curve_and_a_scenario_on_one_machine_need(tmp_path: Path, site: str) -> None:
    keys = tmp_path / "keys"
    variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(keys))
    made = subprocess.run([BIN / "se-server", "keygen"], env=variables, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with serving(tmp_path / "server", *CURVE, keys=keys, site=site) as server:
        text = scenario(FIRST_LIGHT.format(endpoint=server.endpoint))
        for number in range(2):  # it serves one after the other, and nothing is left of any
            folder = tmp_path / f"client-{number}"
            with running(folder, text, keys=keys, site=site) as client:
                check_first_light(server, client.finish(), folder)
            server.wait_idle()
        assert len(server.lines("session ended", "reason=bye", "exit=finished")) == 2
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (PLAIN, lambda server: server.endpoint),
        (("--socket", "door"), lambda server: str(server.folder / "door")),
    ],
    ids=["plain tcp on loopback", "unix socket"],
)
def test_a_scenario_runs_without_any_keys_where_no_other_machine_can_reach_the_server(
    options: tuple[str, ...],
    place: Callable[[ServerProcess], str],
    serve: Serve,
    tmp_path: Path,
    site: str,
) -> None:
    server = serve(*options, *BRISK)
    text = scenario(FIRST_LIGHT.format(endpoint=place(server)))
    with running(tmp_path / "client", text, keys=tmp_path / "no-keys", site=site) as client:
        check_first_light(server, client.finish(), tmp_path / "client")
    server.wait_idle()


def test_the_live_tree_shows_the_remote_actions_as_if_they_were_local(server: ServerProcess, run: Run) -> None:
    outcome = run(FIRST_LIGHT.format(endpoint=server.endpoint), "-t")
    # a tree shows what its own tick has visited, and one tick may have been enough, or not
    for line in ("--> log [✓]", "-^- remote [✓]", "--> place [✓] -- Successfully executed '['pwd']'"):
        assert line in outcome.output


def test_a_failing_remote_process_fails_the_scenario(server: ServerProcess, run: Run) -> None:
    outcome = run(f'run_process("false") with:\n    remote("{server.endpoint}")')
    assert outcome.code == 1
    assert "Execution of '['false']' failed with 1" in outcome.output


def test_whatever_a_remote_action_says_arrives_at_the_same_place_as_from_a_local_one(
    server: ServerProcess, start: Start, tmp_path: Path
) -> None:
    client = start(
        f"""
        probe_say("hallo", late: true) with:
            remote("{server.endpoint}")
        probe_trouble(phase: "update", deed: "wait", text: "{tmp_path}/all-is-said")
        """
    )
    client.wait_for("late: hallo")
    (tmp_path / "all-is-said").touch()
    outcome = client.finish()
    assert [line for line in outcome.said if "hallo" in line] == [
        "INFO info: hallo",
        "WARN warning: hallo",
        "ERROR error: hallo",
        "INFO late: hallo",
    ]
    for line in ("stdout: hallo", "stderr: hallo", "descriptor: hallo"):
        assert outcome.count(line) == 1


def test_debug_records_of_a_remote_action_are_shown_if_the_user_wants_them(server: ServerProcess, run: Run) -> None:
    outcome = run(f'probe_say("hallo") with:\n    remote("{server.endpoint}")', "-d")
    assert "DEBUG debug: hallo" in outcome.said


def test_a_remote_action_finds_the_process_of_its_session_as_fresh_as_a_local_one(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    outcome = run(f'probe_report("{tmp_path}/report.json") with:\n    remote("{server.endpoint}")')
    assert outcome.code == 0, outcome.output
    local = run(f'probe_report("{tmp_path}/local.json")', fresh=True)
    assert local.code == 0, local.output
    report, here = (json.loads((tmp_path / name).read_text()) for name in ("report.json", "local.json"))
    assert report["is_main_thread"]
    assert report["pid"] == report["session"] == report["group"]
    assert report["signals"]["SigBlk"] == report["signals_of_child"]["SigBlk"] == []
    # 32 and 33 are glibc's own, which nobody can set: started by pytest-xdist on Python 3.13, this process has one of
    # them ignored, and so has everything below it.
    ignored = [set(report[whose]["SigIgn"]) - {32, 33} for whose in ("signals", "signals_of_child")]
    assert ignored == [{13, 25}, set()]  # SIGPIPE and SIGXFSZ, as in every Python
    assert report["stdin"] == "/dev/null"
    assert [name for name in report["environment"] if name.startswith("SCENARIO_EXECUTION_")] == []
    sockets = [name for name in report["descriptors"] if name.startswith("socket:")]
    assert len(sockets) == 1, "a worker has its channel and no other socket"
    assert not is_alive(report["pid"])
    assert here["signals_of_child"]["SigBlk"] == report["signals_of_child"]["SigBlk"]
