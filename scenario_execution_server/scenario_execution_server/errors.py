# SPDX-License-Identifier: Apache-2.0
"""What can keep the server from serving, as one tree of errors.

::

    ServerError                  exit 20
    ├─ SettingsError    (option)      2  options that contradict each other or cannot be (click's own code for usage)
    ├─ LibraryError                  21  this libzmq cannot guard a door
    ├─ ListenError      (endpoint)   22  an address, port or socket path cannot be had
    ├─ GuardError                    23  a door would be open although it looks guarded; nothing was served
    ├─ SelfTestFailed   (endpoint)   24  the server's own strangers were not refused; nothing was served
    ├─ AuthenticatorDead             25  nobody decides any more who may enter; serving ended
    ├─ WorkersError                  26  the processes in which actions run cannot be started
    ├─ NoServerError                 27  `se-server status`: none of this user's servers answers
    ├─ AuditLogError                 28  `se-server audit`: there is no log, or it cannot be read
    ├─ ProblemsError                 29  `se-server check`: something is not as it has to be
    └─ FilesDirError                 30  there is no folder for sessions' files, or others can look into it

    RefusedError        (code)           one peer may not go on; costs that peer its message, never the server
    ├─ NotEnrolledError (fingerprint)    this key is not, or no longer, in the set of authorised clients
    ├─ NotPermittedError (name)          this client may not come in now, or not from there
    ├─ EnrolmentRefusedError             its key cannot be enrolled
    ├─ NotLocalError    (address)        this door serves peers on this machine only
    └─ UnknownPeerError                  the connection does not say who is speaking

Every sentence says what was true and ends with what to do next. Key errors (exit 10 to 18) are in
``scenario_execution_keys.errors``.
"""

from __future__ import annotations

from typing import ClassVar

from scenario_execution_remote.protocol.messages import RefusalCode


class ServerError(Exception):
    """Root of everything that ends the server on purpose.

    Attributes:
        what: What was true, without a full stop.
        mend: What to do next.
        exit_code: Exit code of a server that ends with this error; one per class, above those of the keys.
    """

    exit_code: ClassVar[int] = 20

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what, mend)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}. {self.mend}"


class SettingsError(ServerError):
    """The settings contradict each other or one of them cannot be; `option` is the first to look at, as ``--name``."""

    exit_code = 2

    def __init__(self, what: str, mend: str, *, option: str) -> None:
        super().__init__(what, mend)
        self.option = option


class LibraryError(ServerError):
    """The installed libzmq is too old or was built without CURVE."""

    exit_code = 21


class ListenError(ServerError):
    """`endpoint`, an address with a port or the path of a unix socket, cannot be listened on."""

    exit_code = 22

    def __init__(self, what: str, mend: str, *, endpoint: str) -> None:
        super().__init__(what, mend)
        self.endpoint = endpoint


class GuardError(ServerError):
    """A door is about to be opened in a way in which libzmq would let everybody in without a word."""

    exit_code = 23


class SelfTestFailed(ServerError):
    """A stranger sent by the server itself to `endpoint` was not refused, or not for the right reason."""

    exit_code = 24

    def __init__(self, what: str, mend: str, *, endpoint: str) -> None:
        super().__init__(what, mend)
        self.endpoint = endpoint


class AuthenticatorDead(ServerError):
    """The thread that decides who may enter has ended or does not answer."""

    exit_code = 25


class WorkersError(ServerError):
    """No session could be given a process: the launcher does not start."""

    exit_code = 26


class NoServerError(ServerError):
    """`se-server status`: no server of this user answers on this machine, or none at the endpoint asked for."""

    exit_code = 27


class AuditLogError(ServerError):
    """`se-server audit`: there is no audit log, or this user may not read it."""

    exit_code = 28


class ProblemsError(ServerError):
    """`se-server check`: something would keep the server from starting, or clients and actions from working."""

    exit_code = 29


class FilesDirError(ServerError):
    """`--files-dir`: the folder for the files of sessions cannot be had, or others can look into it."""

    exit_code = 30


class ControlError(Exception):
    """The control socket cannot be had; the server goes on without.

    Attributes:
        what: What was true, without a full stop.
        mend: What to do next.
    """

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(f"{what}. {mend}")
        self.what = what
        self.mend = mend


class RefusedError(Exception):
    """Root of the reasons for which one peer may not go on.

    Attributes:
        code: What the peer's program is told.
        text: What the person behind it is told; ends with the next step.
    """

    code: ClassVar[RefusalCode] = RefusalCode.NOT_AUTHORISED

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class NotEnrolledError(RefusedError):
    """The key with this `fingerprint` is not in the set of authorised clients, or not any more."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            f"the key {fingerprint} is not enrolled on this server. "
            "Ask its operator to run: se-server enrol NAME KEY, KEY as `se-remote key` prints it"
        )
        self.fingerprint = fingerprint


class NotPermittedError(RefusedError):
    """The client `name` is enrolled, and its permissions keep it out for now or for the place it comes from."""

    def __init__(self, name: str, why: str, mend: str) -> None:
        super().__init__(f"the client {name} may not come in: {why}. Ask its operator to run: {mend}")
        self.name = name


class InvitationRefusedError(RefusedError):
    """The key is that of an invitation for `name`, which is used or over, or not for the place it comes from."""

    def __init__(self, name: str, why: str, mend: str) -> None:
        super().__init__(f"the invitation for {name} does not count: {why}. Ask the server's operator to run: {mend}")
        self.name = name
        self.why = why
        self.mend = mend


class EnrolmentRefusedError(RefusedError):
    """The key that a client hands over is not enrolled."""


class NotLocalError(RefusedError):
    """The peer at `address` is on another machine, and this door has no encryption."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} is not this machine, and this server takes others only over CURVE. "
            "Ask its operator to start it with: scenario_execution_server --port PORT --curve"
        )
        self.address = address


class UnknownPeerError(RefusedError):
    """The connection carries no identity that this door can vouch for."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the server cannot tell who is speaking: {why}. Connect again")
