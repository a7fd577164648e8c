# SPDX-License-Identifier: Apache-2.0
"""The Markdown files of the repository, taken apart: their fenced blocks, their links, and the commands they show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.workspace import ROOT, tracked_files

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
REFERENCE = re.compile(r"^ *\[[^\]]+\]: *(?P<target>\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *#*$", re.MULTILINE)
ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
OPERATOR = re.compile(r"^[|&;()<>]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: the word after the fence, the text inside, and where it begins."""

    document: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[list[str]]:
        """The simple commands that the block tells to type: `$ ` lines of a console block, all lines of sh or bash."""
        text = self.text.replace("\\\n", " ")
        lines = text.splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith(("$ ", "# "))]
        for line in lines:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            command: list[str] = []
            for word in [*lexer, ";"]:
                if not OPERATOR.match(word):
                    if command or not ASSIGNMENT.match(word):
                        command.append(word)
                elif word[0] in "<>":
                    command.append(word)
                else:
                    if command:
                        yield command
                    command = []


def documents() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def split(document: Path) -> tuple[str, list[Block]]:
    """The prose of a document without its fenced blocks, and the blocks."""
    prose: list[str] = []
    blocks: list[Block] = []
    inside: list[str] = []
    opened: re.Match[str] | None = None
    begin = 0
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(line)
        if opened is None:
            if fence:
                opened, begin, inside = fence, number, []
            else:
                prose.append(line)
        elif fence and fence["ticks"].startswith(opened["ticks"]) and not fence["info"].strip():
            words = opened["info"].split()
            text = "".join(f"{part.removeprefix(opened['indent'])}\n" for part in inside)
            blocks.append(Block(document=document, line=begin, language=words[0] if words else "", text=text))
            opened = None
        else:
            inside.append(line)
    if opened is not None:
        raise ValueError(f"{document.relative_to(ROOT)}:{begin}: this block is never closed")
    return "\n".join(prose), blocks


def all_blocks(*languages: str) -> list[Block]:
    return [block for path in documents() for block in split(path)[1] if not languages or block.language in languages]


def links(prose: str) -> list[str]:
    without_code = re.sub(r"`[^`\n]*`", "", prose)
    return [match["target"] for pattern in (LINK, REFERENCE) for match in pattern.finditer(without_code)]


def anchors(document: Path) -> set[str]:
    """The names that headings of a document can be linked by, as code hosts make them."""
    headings = (match["text"] for match in HEADING.finditer(split(document)[0]))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
