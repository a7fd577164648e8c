# SPDX-License-Identifier: Apache-2.0
"""What the documents show typed on two machines, typed here with two key stores, and what came back compared.

A block is marked with its machine: ``console robot`` or ``console laptop``; ``server`` behind it is a server that goes
on running, ``refused`` a command that fails. A line ``...`` stands for any lines. What differs each time is masked.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from scenario_execution_keys.store import KeyStore
from tests.support.servers import BIN, BRISK, CURVE, ServerProcess, clean_environment, serving
from tests.support.workspace import ROOT

PAGES = ["tutorial/two-machines.md", "how-to/enrol.md", "how-to/diagnose.md"]
BLOCK = re.compile(r"^```console (?P<marks>(?:robot|laptop)[a-z ]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
HELLO = re.compile(r"^```osc\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
HOME = "~/.config/scenario_execution/keys"
PORT = 7613
MASKS = [
    (re.compile(r"se(pub|fp|inv)-[a-z2-7]+"), r"se\1-X"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"), "WHEN"),
    (re.compile(r"\b\d+\.\d\d(?= ms|, m|$)", re.MULTILINE), "TIME"),  # of a round trip
    (re.compile(r"\bpid \d+|\b\d+ s, since|\bpython 3[.\d]+|scenario[-_]execution [.\d]+|py-trees [.\d]+"), "TODAY'S"),
    (re.compile(r"\b(127\.0\.0\.1|192\.0\.2\.7)\b(?![:@])"), "ADDRESS"),
    (re.compile(r" +"), " "),
]


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a page with what it shows."""

    machine: str
    is_server: bool
    is_refused: bool
    command: str
    shown: list[str]


def typed_in(page: str) -> Iterator[Typed]:
    for block in BLOCK.finditer(page):
        machine, *marks = block["marks"].split()
        for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            yield Typed(machine, "server" in marks, "refused" in marks, command, shown)


def masked(text: str) -> list[str]:
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return [line.rstrip() for line in text.strip().splitlines()]


def pattern_of(shown: list[str]) -> str:
    lines = [r"(?:.*\n)*" if line == "..." else _line_pattern(line) for line in masked("\n".join(shown))]
    return "".join(lines)


def _line_pattern(line: str) -> str:
    """A line; ``...`` at its end stands for the rest of it."""
    return re.escape(line.removesuffix("...")) + (r".*\n" if line.endswith("...") else r"\n")


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_is_what_happens(name: str, tmp_path: Path, site: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    tutorial = (ROOT / "docs" / PAGES[0]).read_text(encoding="utf-8")
    found = HELLO.search(tutorial)
    assert found is not None
    hello = found["text"]
    real: dict[str, str] = {}  # what the page shows -> what it is today
    server: ServerProcess | None = None
    with ExitStack() as stack:
        for typed in typed_in(page):
            keys = tmp_path / typed.machine
            if typed.is_server:
                assert typed.command == "scenario_execution_server --curve"
                server = stack.enter_context(serving(tmp_path / "server", *CURVE, *BRISK, keys=keys, site=site))
                continue
            # robot.lab is this machine; before the server has its port, any will do for what is only written down
            port = server.port if server is not None else PORT
            here = {"robot.lab:7613": f"127.0.0.1:{port}", "--endpoint robot.lab": f"--endpoint 127.0.0.1:{port}"}
            command = typed.command
            for shown, today in {**real, **here}.items():
                command = command.replace(shown, today)
            if server is not None and command.startswith("scenario_execution "):
                text = hello.replace('"robot.lab:7613"', f'"127.0.0.1:{port}", setup_timeout: 2s')
                (tmp_path / "hello.osc").write_text(text)
                KeyStore(tmp_path / "laptop").trust(
                    f"127.0.0.1:{port}", KeyStore(tmp_path / "robot").server_pair().public
                )
            done = subprocess.run(
                ["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                env=clean_environment(
                    SCENARIO_EXECUTION_KEYS_DIR=str(keys), LOGNAME=typed.machine, PYTHONPATH=site,
                    PATH=f"{BIN}{os.pathsep}{os.defpath}",
                    XDG_STATE_HOME=str(server.state if server is not None else tmp_path / "state"),
                    XDG_RUNTIME_DIR=str(server.runtime if server is not None else tmp_path / "run"),
                ),
            )  # fmt: skip
            assert (done.returncode != 0) is typed.is_refused, f"$ {command}\n{done.stdout}"
            said = done.stdout.replace(str(keys), HOME).replace(f"127.0.0.1@{port}", "robot.lab@7613")
            said = said.replace(f"127.0.0.1:{port}", "robot.lab:7613")
            if server is not None:
                said = said.replace(str(server.state), "~/.local/state")
            _learn(typed, done.stdout, real)
            got = "".join(f"{line}\n" for line in masked(said))
            assert re.fullmatch(pattern_of(typed.shown), got), f"$ {command}\n{got}\n{pattern_of(typed.shown)}"
            if command.startswith("scenario_execution "):
                assert ("hello from the other machine" in done.stdout) is not typed.is_refused


def _learn(typed: Typed, said: str, real: dict[str, str]) -> None:
    """Keys and lines that a later command repeats are those of today: the nth of a kind shown is the nth that came."""
    for kind in ("seinv", "sepub", "sefp"):
        token = re.compile(rf"{kind}-[a-z2-7]+")
        for shown, today in zip(token.findall("\n".join(typed.shown)), token.findall(said), strict=False):
            assert real.setdefault(shown, today) == today, f"{shown} stands for two things"


def test_the_commands_of_the_pages_are_not_only_shown() -> None:
    for name in PAGES:
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        commands = [shlex.split(typed.command)[:2] for typed in typed_in(page)]
        assert len(commands) > 5
