# SPDX-License-Identifier: Apache-2.0
"""The reference page of the server, made from its settings and its errors: ``docs/reference/server-options.md``.

A test compares the two and says how to make the page anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from scenario_execution_keys.errors import KeysError
from scenario_execution_server.config import Group, Option, options
from scenario_execution_server.errors import ServerError


def reference_page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Options of scenario_execution_server",
        "",
        "What stands on the command line counts, else the environment variable, else the default.",
        "This page is made from the code by `scenario_execution_server.reference`; a test compares the two.",
    ]
    for group in Group:
        lines += ["", f"## {group.value}", "", "| option | environment | default | meaning |", "|---|---|---|---|"]
        lines += [_row(option) for option in options() if option.group is group]
    lines += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in _exit_codes()]
    return "\n".join(lines) + "\n"


def _row(option: Option) -> str:
    usage = f"{option.flag} {option.metavar}".strip()
    names = ", ".join(f"`{name}`" for name in option.environment)
    unsaid = "off" if option.type is bool else ""
    default = f"`{option.default_text}`" if option.default_text else unsaid
    return f"| `{usage}` | {names} | {default} | {option.help} |"


def _exit_codes() -> Iterator[tuple[int | str, str]]:
    yield 0, "It was told to stop (SIGTERM, SIGINT, `--once`, `--connect-timeout`), and all sessions have ended."
    yield 1, "A mistake in the server itself; please report it."
    kinds = sorted(ServerError.__subclasses__(), key=lambda kind: kind.exit_code)
    yield kinds[0].exit_code, _meaning(kinds[0])
    yield f"{KeysError.exit_code} to {ServerError.exit_code - 1}", "A key cannot be used: [keys](keys.md#exit-codes)."
    for kind in kinds[1:]:
        yield kind.exit_code, _meaning(kind)


def _meaning(kind: type[ServerError]) -> str:
    return (kind.__doc__ or "").splitlines()[0].replace("``", "`")
