# SPDX-License-Identifier: Apache-2.0
"""Whether a session may begin, and in which words it may not. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenario_execution_remote.protocol.agreement import disagreement
from scenario_execution_remote.protocol.messages import RefusalCode, Refused
from scenario_execution_server.sessions import SessionTable


def objection(
    peer: Any, sessions: SessionTable[Any], *, is_stopping: bool, command: Callable[[str], str]
) -> Refused | None:
    """Why *peer* can have no further session now; None if it can.

    Args:
        peer: Who asks.
        sessions: Those there are.
        is_stopping: Whether the server is about to stop.
        command: Completes a command line so that it works on this server's key store.
    """
    if peer.is_invited:
        text = f"The invitation for {peer.name} opens no session, it can only enrol. Run: se-remote join LINE"
        return Refused(code=RefusalCode.NOT_AUTHORISED.value, text=text)
    if peer.is_retired:
        text = f"{peer.name} has exchanged this key, and it opens no new session. Run: se-remote keygen --rotate"
        return Refused(code=RefusalCode.NOT_AUTHORISED.value, text=text)
    if is_stopping:
        text = "The server is stopping; try again when it is back."
        return Refused(code=RefusalCode.STOPPING.value, text=text)
    if sessions.is_full:
        limit = sessions.limit
        text = f"The server has its {limit} sessions already; end one, or raise --max-sessions."
        return Refused(code=RefusalCode.LIMIT.value, text=text)
    own_limit = peer.permissions.sessions
    # By name: who exchanges a key keeps the sessions of the one before, and must not get as many again.
    own = [s for s in sessions if s.peer.key is not None and s.peer.name == peer.name]
    if own_limit is not None and len(own) >= own_limit:
        mend = command(f"se-server permit {peer.name} --sessions {own_limit + 1}")
        many = f"{own_limit} sessions" if own_limit > 1 else "one session"
        text = f"{peer.name} has the {many} it may have here; end one, or have the server's operator run: {mend}"
        return Refused(code=RefusalCode.LIMIT.value, text=text)
    return None


def incompatible(theirs: dict[str, str], ours: dict[str, str]) -> str | None:
    """Why the two installations cannot work together, or None: the messages decide, and major and minor version of
    engine and py_trees."""
    why = disagreement(theirs, ours)
    if why is not None:
        return why
    for name in ("scenario-execution", "py-trees"):
        here, there = ours.get(name, "none"), theirs.get(name, "none")
        if here.split(".")[:2] != there.split(".")[:2]:
            return f"The client has {name} {there}, the server {here}. Install the same minor version on both sides."
    return None
