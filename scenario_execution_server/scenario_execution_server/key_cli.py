# SPDX-License-Identifier: Apache-2.0
"""The command se-server: the key of this server, the clients it admits, and how the running ones are."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import click

from scenario_execution_keys import enrolment
from scenario_execution_keys.commands import SERVER_COMMANDS, KeysGroup
from scenario_execution_server.audit_commands import audit
from scenario_execution_server.check_commands import check
from scenario_execution_server.errors import ServerError
from scenario_execution_server.status_commands import listening, live_clients, status


class _ServerGroup(KeysGroup):
    """Ends with the exit code of a server's error as well."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ServerError as error:
            click.echo(f"{self.name}: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(name="se-server", cls=_ServerGroup)
@click.version_option(version("scenario-execution-server"), prog_name="se-server")
def main() -> None:
    """Scenario execution servers: their key, the clients they admit, and how the running ones are."""


for command in (*SERVER_COMMANDS, status, audit, check):
    main.add_command(command)
enrolment.live_views.append(live_clients)
enrolment.endpoint_views.append(listening)
