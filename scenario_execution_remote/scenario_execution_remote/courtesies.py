# SPDX-License-Identifier: Apache-2.0
"""What a client says first, and what the end of a session means: the same for scenarios and for `se-remote`."""

from __future__ import annotations

import platform
from importlib.metadata import version

from .endpoint import Endpoint
from .errors import FaultError, NotEnrolledError, RemoteError, RemoteProtocolError, SessionLostError, fault
from .protocol import agreement, messages
from .protocol.client import Over
from .protocol.messages import RefusalCode

DISTRIBUTIONS = ("scenario-execution", "py-trees", "scenario-execution-remote")


def versions_here() -> dict[str, str]:
    """What this installation consists of, as far as a server may care."""
    installed = {name: version(name) for name in DISTRIBUTIONS}
    return {"python": platform.python_version(), **installed, agreement.MESSAGES: agreement.digest_here()}


def hello(program: str, silence_s: float) -> messages.Hello:
    """The first message of a session.

    Args:
        program: Who opens it, for the server's log.
        silence_s: Silence after which we count the server as lost, in seconds.
    """
    versions = versions_here()
    own = "scenario-execution-remote"
    return messages.Hello(program=f"{program} with {own} {versions[own]}", versions=versions, silence_s=silence_s)


def error_for(endpoint: Endpoint, over: Over) -> RemoteError:
    """The error that the end of a session is, for whoever still wanted something of it.

    The server's own words stand in it, harmlessly spelled: they come before anybody knows that it is the right server.
    """
    if over.reason == "lost":
        return SessionLostError(endpoint.text, silent_for_s=over.silent_s or 0.0)
    if over.reason == "protocol":
        return RemoteProtocolError(harmless(over.text))
    return fault(over.reason, harmless(over.text))


def is_good_bye(end: RemoteError | None) -> bool:
    """Whether the session that has ended so did because the client said good-bye."""
    return isinstance(end, FaultError) and end.code == "bye"


def shut_out(end: RemoteError | None) -> str:
    """Why the server lets this client in no more, and what its operator can do, if that has ended the session; else
    empty. A clause, without a full stop.
    """
    if isinstance(end, FaultError) and end.code in ("revoked", RefusalCode.NOT_AUTHORISED.value):
        return end.message[:1].lower() + end.message[1:].rstrip(".")
    return str(end) if isinstance(end, NotEnrolledError) else ""


def harmless(text: str) -> str:
    """*text* with everything escaped that a terminal obeys, but for the ends of lines and tabs: a lost worker's last
    words have some."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
