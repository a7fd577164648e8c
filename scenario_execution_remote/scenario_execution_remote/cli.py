# SPDX-License-Identifier: Apache-2.0
"""The command se-remote: the key of this user's scenarios, the servers they trust, and what is the matter with them."""

from __future__ import annotations

from importlib.metadata import version

import click

from scenario_execution_keys.commands import CLIENT_COMMANDS, KeysGroup

from .file_commands import FILE_COMMANDS
from .inquiry import INQUIRY_COMMANDS
from .join_command import join_command
from .rotate_command import keygen_command
from .status_command import status_command


@click.group(name="se-remote", cls=KeysGroup)
@click.version_option(version("scenario-execution-remote"), prog_name="se-remote")
def main() -> None:
    """Remote actions: who you are, which servers you trust, and why one does not answer."""


for command in (*CLIENT_COMMANDS, *INQUIRY_COMMANDS, *FILE_COMMANDS, status_command, join_command, keygen_command):
    main.add_command(command)  # the last of a name counts: this keygen can rotate as well
