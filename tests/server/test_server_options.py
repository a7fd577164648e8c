# SPDX-License-Identifier: Apache-2.0
"""The reference page of the server says what the code says."""

from __future__ import annotations

from pathlib import Path

from scenario_execution_server.config import options
from scenario_execution_server.errors import ServerError
from scenario_execution_server.reference import reference_page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "server-options.md"


def test_the_reference_page_is_what_the_settings_say() -> None:
    anew = "from scenario_execution_server.reference import reference_page as page; print(page(), end='')"
    assert PAGE.read_text(encoding="utf-8") == reference_page(), f'run: python -c "{anew}" > {PAGE}'


def test_the_reference_page_names_every_option_and_every_exit_code_once() -> None:
    page = reference_page()
    for option in options():
        usage = f"{option.flag} {option.metavar}".strip()
        assert page.count(f"| `{usage}` | `{option.environment[0]}`") == 1
    for kind in ServerError.__subclasses__():
        assert page.count(f"| {kind.exit_code} |") == 1
