# SPDX-License-Identifier: Apache-2.0
"""The page of all commands, made from the commands: `python -m tests.support.commands_page` prints it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from scenario_execution_remote.cli import main as se_remote
from scenario_execution_server.key_cli import main as se_server

HEAD = """# Commands

Every command of `se-server`, which belongs to a machine that executes actions, and of `se-remote`, which belongs to one
that runs scenarios. This page is made from the commands; a test compares the two. What the commands do with keys:
[keys](keys.md). How to find out what is the matter: [diagnose](../how-to/diagnose.md). The server itself:
[options](server-options.md).

`--json` prints one JSON document (`audit`: one object a line) for programs; its keys stay, more may come.
"""


def page() -> str:
    """The page, as Markdown."""
    lines = [HEAD]
    for name, group in (("se-server", se_server), ("se-remote", se_remote)):
        lines += [f"## {name}", "", _prose(group), ""]
        for command in (group.commands[verb] for verb in sorted(group.commands)):
            lines += _section(name, command)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(program: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"{program} {command.name}", terminal_width=10_000)
    usage = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "[options]")
    yield from (f"### {program} {command.name}", "", f"`{program} {command.name} {usage}`", "", _prose(command), "")
    records = [param.get_help_record(context) for param in command.get_params(context)]
    shown = [record for record in records if record is not None and "--help" not in record[0]]
    if shown:
        yield from ("| option | meaning |", "|---|---|")
        yield from (f"| `{option}` | {_cell(meaning)} |" for option, meaning in shown)
        yield ""


def _prose(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").replace("\f", "")
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    return "\n\n".join(paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
