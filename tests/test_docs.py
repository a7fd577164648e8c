# SPDX-License-Identifier: Apache-2.0
"""The documents say what is so: their links lead somewhere, their commands and options exist, their scenarios parse."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import click
import pytest

from scenario_execution_remote.cli import main as se_remote
from scenario_execution_server.cli import main as se_server
from scenario_execution_server.cli import serve
from tests.support.documents import Block, all_blocks, anchors, documents, links, split
from tests.support.workspace import ROOT, dev_script

COMMANDS: dict[str, click.Command] = {
    "scenario_execution_server": serve,
    "se-server": se_server,
    "se-remote": se_remote,
}
LANGUAGES = {"bash", "console", "ini", "json", "mermaid", "osc", "python", "sh", "text", "toml", "yaml"}
ENGINE = Path(sys.prefix) / "bin" / "scenario_execution"


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def engine_options() -> set[str]:
    usage = subprocess.run([ENGINE, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    return set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", usage))


def complaint_about(words: list[str]) -> str | None:
    """What is wrong with a command of ours or of the engine; None for a right one and for other people's."""
    program, *arguments = words
    arguments = [word for word in arguments if word not in ("<", ">", "2>", ">>")]
    if program in ("./dev", "dev"):
        verbs = dev_script().VERBS
        return None if not arguments or arguments[0] in verbs else f"no verb {arguments[0]!r}"
    if program == "scenario_execution":
        options = {word.partition("=")[0] for word in arguments if word.startswith("-")}
        unknown = sorted(options - engine_options())
        return f"unknown to the engine: {unknown}" if unknown else None
    command = COMMANDS.get(program)
    if command is None:
        return f"no command {program!r}" if program.startswith(("se-", "scenario_execution")) else None
    try:
        context = command.make_context(program, arguments)
        while isinstance(command, click.Group):
            name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            context = command.make_context(name, arguments, parent=context)
    except click.exceptions.Exit:
        return None  # --help and --version do their work while arguments are read
    except click.UsageError as error:
        return error.format_message()
    return None


@pytest.mark.parametrize("document", documents(), ids=named)
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    dead = []
    for target in links(split(document)[0]):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            dead.append(target)
    assert dead == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = {ROOT / "README.md"}
    while ahead:
        page = ahead.pop()
        reached.add(page)
        targets = (target.partition("#")[0] for target in links(split(page)[0]))
        pages = {(page.parent / target).resolve() for target in targets if target.endswith(".md")}
        ahead |= {path for path in pages if path.exists()} - reached
    pages = {path for path in documents() if path.is_relative_to(ROOT / "docs")}
    assert sorted(map(named, pages - reached)) == []


@pytest.mark.parametrize("document", documents(), ids=named)
def test_every_block_names_its_language(document: Path) -> None:
    blocks = split(document)[1]
    assert [str(block) for block in blocks if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("block", all_blocks("bash", "console", "sh"), ids=str)
def test_every_command_shown_exists_with_its_options(block: Block) -> None:
    wrong = {" ".join(words): complaint for words in block.commands() if (complaint := complaint_about(words))}
    assert wrong == {}


@pytest.mark.parametrize("block", [block for block in all_blocks("osc") if "scenario " in block.text], ids=str)
def test_every_scenario_shown_is_understood_by_the_engine(block: Block, tmp_path: Path) -> None:
    scenario = tmp_path / "shown.osc"
    scenario.write_text(block.text, encoding="utf-8")
    done = subprocess.run([ENGINE, "-n", scenario], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_first_screen_of_the_readme_shows_both_commands_and_a_scenario() -> None:
    _, blocks = split(ROOT / "README.md")
    shown = [" ".join(command) for block in blocks if block.language == "console" for command in block.commands()]
    assert {"./dev demo", "./dev test"} <= set(shown)
    assert any(block.language == "osc" for block in blocks)


@pytest.mark.parametrize(
    "words",
    [
        ["scenario_execution_server", "--cruve"],
        ["se-server", "keygne"],
        ["se-remote", "trust"],
        ["se-nothing"],
        ["scenario_execution", "--lively"],
        ["./dev", "tset"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_would_be_noticed(words: list[str]) -> None:
    assert complaint_about(words)
