# SPDX-License-Identifier: Apache-2.0
"""The reference page of the commands says what the commands say."""

from __future__ import annotations

from tests.support.commands_page import page
from tests.support.workspace import ROOT

PAGE = ROOT / "docs" / "reference" / "commands.md"


def test_the_page_is_what_the_commands_say() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(), "run: python -m tests.support.commands_page > docs/reference/commands.md"


def test_every_command_says_what_it_is_for() -> None:
    assert all(part.strip() for part in page().split("\n### "))
    assert "se-remote doctor" in page() and "se-server audit" in page()
