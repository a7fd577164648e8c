# SPDX-License-Identifier: Apache-2.0
"""The command se-remote: the key of this user's scenarios and the servers they trust."""

from __future__ import annotations

import click

from scenario_execution_keys.commands import CLIENT_COMMANDS, KeysGroup


@click.group(name="se-remote", cls=KeysGroup)
def main() -> None:
    """Keys for remote actions: who you are, and which servers you trust."""


for command in CLIENT_COMMANDS:
    main.add_command(command)
