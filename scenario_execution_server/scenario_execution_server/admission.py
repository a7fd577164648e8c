# SPDX-License-Identifier: Apache-2.0
"""Who may enter, decided from what the handshake and the kernel say; never from anything a peer writes itself.

One `Admission` is a frozen answer book for one set of authorised clients. The authenticator's thread asks it at every
handshake, the front at every message; a change of the set makes a new one, which replaces the old one at once.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from types import MappingProxyType

from scenario_execution_keys.errors import KeyTextError
from scenario_execution_keys.invitation import OpenInvitation
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.trust import Client
from scenario_execution_remote.protocol.messages import Permit
from scenario_execution_server.config import DoorKind
from scenario_execution_server.errors import (
    InvitationRefusedError,
    NotEnrolledError,
    NotLocalError,
    NotPermittedError,
    RefusedError,
    UnknownPeerError,
)

# Never empty: libzmq takes an empty domain as "do not ask", also where asking is enforced.
ZAP_DOMAINS: Mapping[DoorKind, str] = {kind: f"scenario-execution.{kind.value}" for kind in DoorKind}
_MECHANISMS = {DoorKind.TCP_CURVE: "CURVE", DoorKind.TCP_NULL: "NULL", DoorKind.UNIX: "NULL"}
_NO_TIME = datetime.min.replace(tzinfo=timezone.utc)  # where the time decides nothing
_KINDS = {domain: kind for kind, domain in ZAP_DOMAINS.items()}
_LASTING_KEPT = 10_000  # keys and the addresses they came from; more than a server has sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is speaking.

    Attributes:
        identity: Stable key for what this peer owns: ``key:<z85>``, ``uid:<number>``, ``local-tcp`` or
            ``tcp:<address>``.
        name: For people: the name it was enrolled under, or the best there is.
        address: IP address, or ``unix``.
        uid: User on this machine, if the kernel says so.
        pid: Process that connected, if the kernel says so and it is visible here.
        key: Public key in Z85, if it came in with one.
        files: Whose files are its own, if it is enrolled, see `Client.owner`.
        is_invited: Whether it came in with an invitation, which opens one enrolment and nothing else.
        is_next: Whether it came in with the key that it will have, which makes that the one it has.
        is_retired: Whether it came in with the key that it had; its sessions go on, and no new one begins.
        permissions: What it may do; who comes in without a key, by being on this machine, may do everything.
    """

    identity: str
    name: str
    address: str
    uid: int | None = None
    pid: int | None = None
    key: str | None = None
    files: str | None = None
    permissions: Permissions = Permissions()
    is_invited: bool = False
    is_next: bool = False
    is_retired: bool = False

    @property
    def owner(self) -> str:
        """Whose files are whose, as the name of a folder."""
        return self.files or re.sub(r"[^A-Za-z0-9.]", "-", self.identity)


class Admission:
    """The answers for one set of authorised clients.

    Args:
        clients: Who is enrolled, by public key.
        exposed: Whether peers on other machines may come in without encryption.
        invited: Who may come in to enrol, by the public half of the one-use key.
        spent: Whom invitations were for that are used or over, by the fingerprint of the one-use key.
        retired: Names of enrolled clients by a key that they had, and that sessions of theirs still live with.
        clock: The time of day, with time zone; without one, whoever is admitted for a time only is not admitted.
        command: Completes a command line so that it works on this server's key store.
    """

    def __init__(
        self,
        clients: Mapping[PublicKey, Client],
        *,
        exposed: bool = False,
        invited: Mapping[PublicKey, OpenInvitation] = MappingProxyType({}),
        spent: Mapping[str, str] = MappingProxyType({}),
        retired: Mapping[PublicKey, str] = MappingProxyType({}),
        clock: Callable[[], datetime] | None = None,
        command: Callable[[str], str] = str,
    ) -> None:
        self._clients = {key.z85: client for key, client in clients.items()}
        by_name = {client.name: client for client in clients.values()}
        # A key that somebody has goes before one that somebody will have or had, whatever stands in the files.
        following = {client.next_key.z85: client for client in clients.values() if client.next_key is not None}
        self._next = {z85: client for z85, client in following.items() if z85 not in self._clients}
        self._retired = {
            key.z85: by_name[name]
            for key, name in retired.items()
            if name in by_name and key.z85 not in self._clients and key.z85 not in self._next
        }
        self._invited = {key.z85: invitation for key, invitation in invited.items() if key not in clients}
        self._spent = spent
        self._exposed = exposed
        self._clock = clock
        self._command = command
        self._lasting: dict[tuple[str, str], Permit] = {}  # by key and address; asked for several times a second

    def knows(self, z85: str) -> bool:
        """Whether the key is enrolled."""
        return z85 in self._clients

    def permit(self, peer: Peer) -> Permit:
        """What a peer that was admitted earlier, perhaps by another answer book, may run now.

        Raises:
            NotEnrolledError, NotPermittedError: If it may not go on at all.
        """
        if peer.key is None:
            return Permit(client=peer.name, actions=["*"], mend="")
        found = self._lasting.get((peer.key, peer.address))
        if found is not None:
            return found
        current = self._admit_key(peer.key, peer.address)
        words = ["se-server", "permit", current.name]
        if current.permissions.observe:
            words.append("--no-observe")
        for glob in current.permissions.globs:
            words += ["--allow", glob]
        mend = f"{self._command(shlex.join(words))} --allow"
        permit = Permit(client=current.name, actions=list(current.permissions.globs), mend=mend)
        if current.permissions.until is None:
            if len(self._lasting) >= _LASTING_KEPT:
                self._lasting.clear()
            self._lasting[(peer.key, peer.address)] = permit
        return permit

    def admits(self, peer: Peer) -> bool:
        """Whether a peer that was admitted earlier, perhaps by another answer book, may go on."""
        try:
            self.permit(peer)
        except RefusedError:
            return False
        return True

    def objection(self, domain: str, mechanism: str, address: str) -> str | None:
        """Why a handshake may not go on, before any key is looked at; None if nothing is against it."""
        kind = _KINDS.get(domain)
        if kind is None:
            return f"no door has the domain {domain!r}"
        if mechanism != _MECHANISMS[kind]:
            return f"{mechanism!r} is not spoken at this door"
        if kind is DoorKind.TCP_CURVE:
            return None  # its key decides
        try:
            self.admit(kind, "", address)
        except RefusedError as refused:
            return refused.text
        return None

    def admit(self, kind: DoorKind, user_id: str, address: str) -> Peer:
        """Say who speaks.

        Args:
            kind: The door the message came through.
            user_id: What the authenticator said about the connection; believed on a CURVE door only.
            address: What the operating system says about the other end.

        Raises:
            NotEnrolledError: If its key is not, or no longer, enrolled.
            NotPermittedError: If it is, but not for now or not for this place.
            InvitationRefusedError: If it is that of an invitation, which does not count (any more).
            NotLocalError: If it is on another machine and the door is not for those.
            UnknownPeerError: If the connection does not say who it is.
        """
        if kind is DoorKind.TCP_CURVE:
            return self._admit_key(user_id, address)
        if kind is DoorKind.UNIX:
            return _admit_user(address)
        return self._admit_address(address)

    def _admit_key(self, user_id: str, address: str) -> Peer:
        client = self._clients.get(user_id) or self._next.get(user_id) or self._retired.get(user_id)
        if client is None:
            return self._admit_guest(user_id, address)
        plain, may = plain_address(address), client.permissions
        if may.until is not None and self._clock is None:
            raise NotPermittedError(client.name, "nobody can tell the time here", "scenario_execution_server --curve")
        if may.until is not None or may.networks:
            objection = may.objection(plain, self._clock() if self._clock is not None else _NO_TIME)
            if objection is not None:
                mend = self._command(f"se-server permit {client.name} {objection.change}")
                raise NotPermittedError(client.name, objection.why, mend)
        return Peer(
            identity=f"key:{user_id}", name=client.name, address=plain, key=user_id, files=client.owner,
            permissions=may, is_next=user_id in self._next, is_retired=user_id in self._retired,
        )  # fmt: skip

    def _admit_guest(self, user_id: str, address: str) -> Peer:
        invitation = self._invited.get(user_id)
        if invitation is None:
            fingerprint = _fingerprint(user_id)
            if fingerprint in self._spent:
                mend = self._command("se-server invite --replace NAME")
                why = "it was used, replaced or withdrawn, or is over"
                raise InvitationRefusedError(self._spent[fingerprint], why, mend)
            raise NotEnrolledError(fingerprint)
        mend = self._command(f"se-server invite --replace {invitation.name}")
        if self._clock is None or self._clock() >= invitation.expires:
            raise InvitationRefusedError(invitation.name, "it is over", mend)
        plain = plain_address(address)
        objection = invitation.permissions.objection(plain, self._clock())
        if objection is not None:
            raise InvitationRefusedError(invitation.name, objection.why, f"{mend} {objection.change}")
        return Peer(
            identity=f"key:{user_id}", name=invitation.name, address=plain, key=user_id,
            permissions=Permissions(observe=True, until=invitation.expires), is_invited=True,
        )  # fmt: skip

    def _admit_address(self, address: str) -> Peer:
        plain = plain_address(address)
        if _is_loopback(plain):
            return Peer(identity="local-tcp", name="local", address=plain)
        if not self._exposed:
            # Bound to loopback, and yet from outside: routing can do that (route_localnet, as containers set it).
            raise NotLocalError(plain)
        return Peer(identity=f"tcp:{plain}", name=plain, address=plain)


def _admit_user(address: str) -> Peer:
    """libzmq writes the peer credentials that the kernel recorded at connect as ``localhost:UID:GID:PID``."""
    parts = address.split(":")
    if len(parts) != 4 or parts[0] != "localhost" or not all(part.isdecimal() for part in parts[1:]):
        raise UnknownPeerError("the kernel did not name the user behind this unix socket connection")
    uid, pid = int(parts[1]), int(parts[3])
    return Peer(identity=f"uid:{uid}", name=f"uid {uid}", address="unix", uid=uid, pid=pid or None)


def plain_address(address: str) -> str:
    """An IPv4 address that came in over an IPv6 socket, as IPv4."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _fingerprint(z85: str) -> str:
    try:
        return PublicKey(z85).fingerprint
    except KeyTextError:
        return "(no key)"
