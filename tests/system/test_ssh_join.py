# SPDX-License-Identifier: Apache-2.0
"""`se-remote join ssh://...` with a program called ssh that runs what it is told here, as another user's machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scenario_execution_keys.errors import EntryNameError, KeyExistsError, KeyTextError
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.errors import SshError
from tests.support.servers import BIN, clean_environment

FAKE_SSH = """\
#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
command = words[words.index("--") + 2 :]
stdin = sys.stdin.read()
environment = dict(os.environ, SCENARIO_EXECUTION_KEYS_DIR={keys!r})
shell = ["sh", "-c", {first!r} + " ".join(command)]
sys.exit(subprocess.run(shell, env=environment, input=stdin, text=True).returncode)
"""


class Machines:
    """Two machines with a key store each, and an ssh between them.

    Args:
        folder: For everything.
        first: What the login shell does before it runs a command.
    """

    def __init__(self, folder: Path, first: str = "") -> None:
        self.server, self.client = KeyStore(folder / "server"), KeyStore(folder / "client")
        self.log = folder / "ssh.log"
        program = folder / "bin" / "ssh"
        program.parent.mkdir()
        text = FAKE_SSH.format(python=sys.executable, log=str(self.log), keys=str(self.server.directory), first=first)
        program.write_text(text)
        program.chmod(0o755)

    def join(self, *words: str) -> subprocess.CompletedProcess[str]:
        variables = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(self.client.directory))
        variables["PATH"] = f"{self.log.parent / 'bin'}{os.pathsep}{variables['PATH']}"
        return subprocess.run([BIN / "se-remote", "join", *words], env=variables, capture_output=True, text=True)

    @property
    def typed(self) -> list[list[str]]:
        """The arguments of each ssh."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


def test_both_keys_travel_over_one_login_and_none_in_an_argument(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    server = machines.server.create_server_pair()
    done = machines.join("ssh://alice@robot.lab:2222", "--name", "alice")
    assert done.returncode == 0, done.stderr
    client = machines.client.client_pair().public
    assert machines.server.authorised_clients().by_key[client].name == "alice"
    assert machines.client.known_server("robot.lab", 7613) == server.public
    login = ["-p", "2222", "-l", "alice", "--", "robot.lab"]
    assert machines.typed == [[*login, "se-server", "key"], [*login, "se-server", "enrol", "alice", "-"]]
    again = machines.join("ssh://robot.lab", "--name", "alice")
    assert again.returncode == 0, again.stderr


def test_the_server_may_listen_elsewhere_than_ssh(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    server = machines.server.create_server_pair()
    assert machines.join("ssh://gateway", "--endpoint", "10.0.0.7:9000", "--name", "alice").returncode == 0
    assert machines.client.known_server("10.0.0.7", 9000) == server.public
    assert machines.client.known_server("gateway", 7613) is None


@pytest.mark.parametrize(
    "login",
    [
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://-l@robot",
        "ssh://a:b@robot",
        "ssh://robot/path",
        "ssh://robot:x",
        "ssh://a b",
    ],
)
def test_what_is_no_login_runs_no_ssh(tmp_path: Path, login: str) -> None:
    machines = Machines(tmp_path)
    assert machines.join(login).returncode == EntryNameError.exit_code
    assert machines.typed == []


@pytest.mark.parametrize(
    ("first", "error"),
    [("exit 255;", SshError), ("echo Welcome;", KeyTextError), ("echo sesec-oops; exit 0;", KeyTextError)],
    ids=["no login", "a talkative shell", "a secret"],
)
def test_what_goes_wrong_over_there_is_said_and_pins_nothing(
    tmp_path: Path, first: str, error: type[SshError] | type[KeyTextError]
) -> None:
    machines = Machines(tmp_path, first)
    machines.server.create_server_pair()
    done = machines.join("ssh://robot", "--name", "alice")
    assert done.returncode == error.exit_code, done.stderr
    assert machines.client.known_server("robot", 7613) is None


def test_the_way_that_failed_is_to_be_tried_with_the_same_user_and_port(tmp_path: Path) -> None:
    done = Machines(tmp_path, "exit 255;").join("ssh://nobody@127.0.0.1:1", "--name", "alice")
    assert done.returncode == SshError.exit_code
    assert done.stderr.rstrip().endswith("ssh -p 1 -l nobody 127.0.0.1 se-server key")


def test_a_server_without_keys_and_a_name_that_is_taken_are_said(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    done = machines.join("ssh://robot", "--name", "alice")
    assert done.returncode == SshError.exit_code and "se-server keygen" in done.stderr
    machines.server.create_server_pair()
    machines.server.enrol("alice", KeyStore(tmp_path / "other").create_client_pair().public)
    done = machines.join("ssh://robot", "--name", "alice")
    assert done.returncode == SshError.exit_code and "se-server enrol --replace alice" in done.stderr


def test_a_pin_for_another_key_is_not_exchanged(tmp_path: Path) -> None:
    machines = Machines(tmp_path)
    machines.server.create_server_pair()
    machines.client.trust("robot", KeyStore(tmp_path / "other").create_server_pair().public)
    assert machines.join("ssh://robot", "--name", "alice").returncode == KeyExistsError.exit_code
