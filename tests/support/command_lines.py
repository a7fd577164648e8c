# SPDX-License-Identifier: Apache-2.0
"""The commands se-server and se-remote, run in the test's own process; whatever they say, they say no secret."""

from __future__ import annotations

import os
import re
from pathlib import Path

from click.testing import CliRunner, Result

import scenario_execution_remote.cli
import scenario_execution_server.key_cli
from scenario_execution_keys import errors
from scenario_execution_keys.paths import KEYS_DIR_VARIABLE

PROGRAMS = {
    "se-server": scenario_execution_server.key_cli.main,
    "se-remote": scenario_execution_remote.cli.main,
}


def run(*words: str, stdin: str | None = None) -> Result:
    """Run a command line."""
    result = CliRunner().invoke(PROGRAMS[words[0]], words[1:], prog_name=words[0], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    keys = Path(os.environ[KEYS_DIR_VARIABLE])
    for path in keys.rglob("*.key_secret"):
        for secret in re.findall(r'secret-key = "(.*)"', path.read_text(errors="replace")):
            assert secret not in result.output
    assert "sesec-" not in result.output
    return result


def succeed(*words: str, stdin: str | None = None) -> Result:
    result = run(*words, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result


def refused(error: type[errors.KeysError], *words: str) -> str:
    """The sentence on standard error of a command that ends with an error's exit code and prints nothing else."""
    result = run(*words)
    assert result.exit_code == error.exit_code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(f"{words[0]}: ") and result.stderr.count("\n") == 1
    return result.stderr.rstrip("\n")
