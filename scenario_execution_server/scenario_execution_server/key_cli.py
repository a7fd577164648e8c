# SPDX-License-Identifier: Apache-2.0
"""The command se-server: the key of this server and the clients it admits."""

from __future__ import annotations

import click

from scenario_execution_keys.commands import SERVER_COMMANDS, KeysGroup


@click.group(name="se-server", cls=KeysGroup)
def main() -> None:
    """Keys of a scenario execution server: who it is, and which clients it admits."""


for command in SERVER_COMMANDS:
    main.add_command(command)
