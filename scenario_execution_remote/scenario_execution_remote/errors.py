# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong between a scenario and its server, named for what is true.

::

    RemoteError
    ├─ EndpointError (also a ValueError)   the endpoint cannot be one
    ├─ HandshakeError                      no connection came about; one child per reason
    │   ├─ ServerUnreachableError          nobody there
    │   ├─ ServerSilentError               somebody accepts connections and then does not answer
    │   ├─ WrongServiceError               somebody answers, and it is not a server of ours
    │   ├─ NotEncryptedError               its key is pinned here, but it does not speak CURVE
    │   ├─ EncryptionRequiredError         it speaks CURVE only, and its key is not known here
    │   ├─ ServerIdentityError             it could not prove to have the pinned key
    │   ├─ NotEnrolledError                it does not admit our key
    │   ├─ InvitationError                 it does not accept our invitation
    │   ├─ RotationError                   it does not take our next key on
    │   ├─ SshError                        the way over ssh failed
    │   ├─ OwnKeyError                     our own key pair is missing or cannot be used
    │   └─ ConnectAbortedError             we stopped waiting because we were told to
    ├─ ProtocolError
    │   ├─ LocalProtocolError              our mistake
    │   └─ RemoteProtocolError             theirs
    ├─ SessionLostError                    the server fell silent
    ├─ CarryingError                       files could not be carried by hand
    └─ FaultError                          the server answered with an error; one child per code
        └─ UnknownActionError, NotAuthorisedError, BadArgumentsError, ActionFailedError, LimitReachedError,
           WorkerLostError, VersionsDifferError

Attributes are for programs, the sentence is for people: what was true, what was expected, and last the command that
mends it. ``docs/reference/connection-errors.md`` lists them; each class has its own exit code.
"""

from __future__ import annotations

from typing import ClassVar


class RemoteError(Exception):
    """Root of all errors of remote execution.

    Attributes:
        exit_code: What a command line exits with for this class; distinct, and stable.
        next_command: What to run next; the sentence ends with it. Empty where no command helps.
    """

    exit_code: ClassVar[int] = 40  # 40 and up is ours; the shell owns 126 and above, click 1 and 2

    def __init__(self, sentence: str, *, advice: str = "", next_command: str = "") -> None:
        self.next_command = next_command
        tail = f"{advice}: {next_command}" if advice and next_command else advice or next_command
        super().__init__(f"{sentence}; {tail}" if tail else sentence)


class EndpointError(RemoteError, ValueError):
    """A text that cannot be an endpoint. Also a ``ValueError``, the only error the engine shows with its location.

    Attributes:
        text: What was given.
        why: What is wrong with it.
    """

    exit_code = 41

    def __init__(self, text: str, why: str) -> None:
        self.text = text
        self.why = why
        super().__init__(
            f"endpoint {text!a:.200} {why}",
            advice='an endpoint is "host", "host:port", "[::1]:port" or "/path/to/socket", for example',
            next_command='remote("192.0.2.7:7613")',
        )


def _pin(endpoint: str, verb: str) -> str:
    """How to pin a server's key. Unix sockets are not among the known servers; only the scenario can pin one."""
    if endpoint.startswith("/"):
        return f'remote("{endpoint}", server_key: "sepub-...")'
    return f"se-remote {verb} {endpoint} sepub-..."


class HandshakeError(RemoteError):
    """No usable connection to a server came about.

    Attributes:
        endpoint: Canonical text of the endpoint.
    """

    exit_code = 42

    def __init__(self, endpoint: str, sentence: str, *, advice: str = "", next_command: str = "") -> None:
        self.endpoint = endpoint
        super().__init__(sentence, advice=advice, next_command=next_command)


class ServerUnreachableError(HandshakeError):
    """Nobody there: closed port, no socket file, no permission, packets dropped, or an unknown host name.

    Attributes:
        why: What the operating system said, as a clause.
    """

    exit_code = 43

    def __init__(self, endpoint: str, why: str, *, advice: str, next_command: str) -> None:
        self.why = why
        super().__init__(
            endpoint, f"no server can be reached at {endpoint}: {why}", advice=advice, next_command=next_command
        )


class ServerSilentError(HandshakeError):
    """Something accepts connections there and then does not answer, or does not finish the handshake.

    Attributes:
        why: How far it came, as a clause.
    """

    exit_code = 44

    def __init__(self, endpoint: str, why: str, *, advice: str, next_command: str) -> None:
        self.why = why
        super().__init__(endpoint, f"the peer at {endpoint} {why}", advice=advice, next_command=next_command)


class WrongServiceError(HandshakeError):
    """Somebody answers, but it is no scenario-execution-server.

    Attributes:
        service: What it seems to be, such as ``an SSH server``.
        said: What it said, escaped and cut; empty if it spoke ZeroMQ.
    """

    exit_code = 45

    def __init__(self, endpoint: str, service: str, said: str, *, next_command: str) -> None:
        self.service = service
        self.said = said
        quote = f' (it said "{said}")' if said else ""
        super().__init__(
            endpoint,
            f"{service} answers at {endpoint}{quote}, not a scenario-execution-server",
            advice="check host and port in the scenario, or start the server there",
            next_command=next_command,
        )


class NotEncryptedError(HandshakeError):
    """The server's key is pinned here, but the server does not speak CURVE. There is no downgrade.

    Attributes:
        expected: Fingerprint of the pinned key.
        mechanism: What it speaks instead, ``NULL`` or ``PLAIN``.
    """

    exit_code = 46

    def __init__(self, endpoint: str, *, expected: str, mechanism: str, next_command: str) -> None:
        self.expected = expected
        self.mechanism = mechanism
        super().__init__(
            endpoint,
            f"the server at {endpoint} does not encrypt (it speaks {mechanism}), but is pinned here to {expected}",
            advice="start the server there with its key",
            next_command=next_command,
        )


class EncryptionRequiredError(HandshakeError):
    """The server demands CURVE, and its public key is not known here."""

    exit_code = 47

    def __init__(self, endpoint: str) -> None:
        super().__init__(
            endpoint,
            f"the server at {endpoint} demands encryption and its public key is not known here",
            advice="show the key on the server with `se-server key`, then pin it here",
            next_command=_pin(endpoint, "trust"),
        )


class ServerIdentityError(HandshakeError):
    """The server broke off the handshake; almost certainly it does not have the pinned key.

    Attributes:
        expected: Fingerprint of the pinned key.
    """

    exit_code = 48

    def __init__(self, endpoint: str, *, expected: str, is_in_scenario: bool = False) -> None:
        self.expected = expected
        if is_in_scenario:
            whose = f"the key {expected}, which server_key gives in the scenario"
            where, mend = "write its key there", f'remote("{endpoint}", server_key: "sepub-...")'
        else:
            whose = f"the key {expected}"
            where, mend = "pin its new key here", _pin(endpoint, "trust --replace")
        super().__init__(
            endpoint,
            f"the server at {endpoint} broke off the handshake meant for {whose}: "
            "it probably has exchanged its key, or somebody else answers there",
            advice=f"compare with `se-server key` on the server; only if that is the right server, {where}",
            next_command=mend,
        )


class NotEnrolledError(HandshakeError):
    """The server does not admit our key: unknown, revoked, expired, or not from this address.

    Attributes:
        own_fingerprint: Fingerprint of our public key; empty if we came without encryption.
    """

    exit_code = 49

    def __init__(self, endpoint: str, *, own_fingerprint: str = "", own_key: str = "") -> None:
        self.own_fingerprint = own_fingerprint
        whom = f"this client's key {own_fingerprint}" if own_fingerprint else "clients without a key"
        super().__init__(
            endpoint,
            f"the server at {endpoint} does not admit {whom}",
            advice="have it enrolled on the server"
            if own_key
            else "make a key here and have it enrolled on the server",
            next_command=f"se-server enrol NAME {own_key}" if own_key else "se-remote keygen",
        )


class InvitationError(HandshakeError):
    """The server does not accept the invitation, or not the key that was handed over.

    Attributes:
        why: What is known about it.
    """

    exit_code = 63

    def __init__(self, endpoint: str, why: str) -> None:
        self.why = why
        super().__init__(
            endpoint,
            f"the server at {endpoint} does not accept this invitation; it is good once, and not for long ({why})",
            advice="ask for a new one; on the server, run",
            next_command="se-server invite --replace NAME",
        )


class RotationError(HandshakeError):
    """The server does not take our next key on.

    Attributes:
        why: What is known about it.
    """

    exit_code = 65

    def __init__(self, endpoint: str, why: str) -> None:
        self.why = why
        super().__init__(
            endpoint,
            f"the server at {endpoint} does not take the new key on ({why})",
            advice="for what it is running, see",
            next_command=f"se-remote doctor {endpoint}",
        )


class SshError(HandshakeError):
    """The keys could not be exchanged over ssh.

    Attributes:
        why: What went wrong, as a clause.
    """

    exit_code = 64

    def __init__(self, host: str, why: str, *, login: str = "") -> None:
        self.why = why
        super().__init__(
            host,
            f"the keys could not be exchanged with {host} over ssh: {why}",
            advice="make sure that this works",
            next_command=f"ssh {login or host} se-server key",
        )


class OwnKeyError(HandshakeError):
    """The server's key is pinned, so CURVE it is, but our own key pair is missing or cannot be used."""

    exit_code = 50


class ConnectAbortedError(HandshakeError):
    """The caller asked to stop before the connection was there."""

    exit_code = 51

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, f"connecting to {endpoint} was given up because the scenario ends")


class ProtocolError(RemoteError):
    """Client and server disagree about the protocol."""

    exit_code = 52


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol."""

    exit_code = 53


class RemoteProtocolError(ProtocolError):
    """The other side broke the protocol, or speaks another version of it."""

    exit_code = 54


class SessionLostError(RemoteError):
    """The server fell silent and the session counts as lost.

    Attributes:
        endpoint: Canonical text of the endpoint.
        silent_for_s: Seconds since the server was last heard.
    """

    exit_code = 55

    def __init__(self, endpoint: str, *, silent_for_s: float, why: str = "") -> None:
        self.endpoint = endpoint
        self.silent_for_s = silent_for_s
        super().__init__(
            f"the server at {endpoint} is lost: nothing was heard from it for {silent_for_s:.1f} s"
            + (f" ({why})" if why else ""),
            advice="whether it is there again, says",
            next_command=f"se-remote doctor {endpoint}",
        )


class CarryingError(RemoteError):
    """What was to be listed or carried by hand is not there, is not allowed, or has not arrived."""

    exit_code = 66


class FaultError(RemoteError):
    """The server answered with an error; the code says which. :func:`fault` makes the right child.

    Attributes:
        code: Stable name of the fault as it travels.
        message: The server's sentence.
        action_id: Number of the action it is about, or None.
    """

    exit_code = 56
    default_code: ClassVar[str] = "fault"

    def __init__(self, message: str, *, code: str = "", action_id: int | None = None) -> None:
        self.code = code or self.default_code
        self.message = message
        self.action_id = action_id
        super().__init__(message)


class UnknownActionError(FaultError):
    """The server has no plug-in of that name, or another one."""

    exit_code = 57
    default_code = "unknown-action"


class NotAuthorisedError(FaultError):
    """The server knows who we are and does not let us do this."""

    exit_code = 58
    default_code = "not-authorised"


class BadArgumentsError(FaultError):
    """The arguments do not fit the action the server has."""

    exit_code = 59
    default_code = "bad-arguments"


class ActionFailedError(FaultError):
    """The action itself raised."""

    exit_code = 60
    default_code = "action-failed"


class LimitReachedError(FaultError):
    """A limit of the server was reached: sessions, actions, bytes."""

    exit_code = 61
    default_code = "limit"


class WorkerLostError(FaultError):
    """The process that ran the actions is gone."""

    exit_code = 62
    default_code = "worker-lost"


class VersionsDifferError(FaultError):
    """Client and server are of versions that do not fit together, and one of them says so."""

    exit_code = 67
    default_code = "version"


_FAULTS: dict[str, type[FaultError]] = {
    cls.default_code: cls
    for cls in (
        UnknownActionError,
        NotAuthorisedError,
        BadArgumentsError,
        ActionFailedError,
        LimitReachedError,
        WorkerLostError,
        VersionsDifferError,
    )
}


def fault(code: str, message: str, action_id: int | None = None) -> FaultError:
    """The error for a fault as it came over the wire; a code this version does not know becomes a plain FaultError."""
    return _FAULTS.get(code, FaultError)(message, code=code, action_id=action_id)
