# SPDX-License-Identifier: Apache-2.0
"""Whether the client of this session may run an action, decided from its name alone and before anything is imported."""

from __future__ import annotations

import shlex

from scenario_execution_keys.permissions import is_allowed
from scenario_execution_remote.protocol import messages

NOTHING = messages.Permit(client="", actions=[], mend="")
"""What a session may run before the front has said anything."""


class NotPermittedError(PermissionError):
    """The client may not run this action here."""


def check_permitted(action: str, permit: messages.Permit) -> None:
    """Let an action pass that the client may run.

    Raises:
        NotPermittedError: It may not; names the action, the client and the command that permits it.
    """
    if not is_allowed(action, permit.actions):
        raise NotPermittedError(
            f"the client {permit.client} may not run the action {action!r} on this server. "
            f"Ask its operator to run: {permit.mend} {shlex.quote(action)}"
        )


def check_may_run_something(permit: messages.Permit) -> None:
    """Let a client pass whose actions may need folders and files here; one that may only look has no use for them.

    Raises:
        NotPermittedError: It may run nothing; names the client and the command that permits something.
    """
    if not permit.actions:
        raise NotPermittedError(
            f"the client {permit.client} may run no action on this server, and so has no files there. "
            f"Ask its operator to run: {permit.mend} NAME"
        )
