# SPDX-License-Identifier: Apache-2.0
"""Whom we trust: the clients a server admits and the servers a client knows, as values and rules without files."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from scenario_execution_keys.errors import EntryNameError, KeyFileError, KeysError
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.permissions import Permissions

LOOPBACK = "loopback"

_CLIENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # 64: a login name of at most 32, and room for @HOST
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,198}[a-z0-9_])?")  # 200: keeps the file name below the 255 of Linux
_NUMBER = re.compile(r"(?P<hex>0x[0-9a-f]+)|(?P<octal>0[0-7]*)|(?P<decimal>[1-9][0-9]*)")
_ENDPOINT_MEND = "Give HOST, HOST:PORT, [IPV6]:PORT or loopback. Run: se-remote trust ENDPOINT KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client this server admits.

    Attributes:
        name: What the administrator called it; the file's name without suffix.
        key: Its public key.
        metadata: What else stands in its file.
        permissions: What it may do, as the metadata says.
        next_key: The key that it will have; admitted as well until it has come in with it.
        first_key: The key that it had first, if it has exchanged that; admitted no longer.
    """

    name: str
    key: PublicKey
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    permissions: Permissions = Permissions()
    next_key: PublicKey | None = None
    first_key: PublicKey | None = None

    @property
    def owner(self) -> str:
        """Whose files are its own, whatever key it has by now: the fingerprint of its first."""
        return (self.first_key or self.key).fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedEntry:
    """A file in a trust list that does not count, and why."""

    name: str
    error: KeysError

    def __str__(self) -> str:
        return str(self.error)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisedClients:
    """Snapshot of who is admitted; entries that could not be read are in `refused` and count for nobody."""

    by_key: Mapping[PublicKey, Client]
    refused: tuple[RefusedEntry, ...] = ()


def check_client_name(name: str) -> str:
    """Return `name` if it can name a client and its file.

    Raises:
        EntryNameError: If it could leave the folder, hide, or confuse a shell.
    """
    if not _CLIENT_NAME.fullmatch(name):
        raise EntryNameError(
            f"{name!r} cannot be the name of a client",
            "Choose a letter or digit, then up to 63 letters, digits, or any of . _ @ -. Run: se-server enrol NAME KEY",
            text=name,
        )
    return name


def client_name_for(login: str) -> str:
    """A client name made of a `login` name, however odd that is."""
    kept = re.sub(r"[^A-Za-z0-9._@-]+", "-", login).lstrip("._@-")[:64]
    return kept or "user"


def collect_clients(entries: Iterable[tuple[Client, Path]], refused: Iterable[RefusedEntry]) -> AuthorisedClients:
    """Put the readable `entries` together; of two with one key, or one owner of files, the first counts and the second
    is refused by name."""
    by_key: dict[PublicKey, Client] = {}
    by_owner: dict[str, Client] = {}
    problems = list(refused)
    for client, path in entries:
        first = by_key.get(client.key) or by_owner.get(client.owner)
        if first is None:
            by_key[client.key] = by_owner[client.owner] = client
        else:
            shared = client.key.fingerprint if client.key == first.key else client.owner
            error = KeyFileError(
                f"the key {shared} is enrolled as {first.name} already",
                f"Keep one of the two, or revoking one will not be enough. Run: rm {path}",
                path=path,
            )
            problems.append(RefusedEntry(name=client.name, error=error))
    return AuthorisedClients(by_key=MappingProxyType(by_key), refused=tuple(problems))


def canonical_host(text: str) -> str:
    """One spelling per host: lower case, no trailing dot, addresses as `ipaddress` writes them. No name is looked up.

    ``127.1`` and ``0x7f.1`` are the 127.0.0.1 that the operating system takes them for, so that a pin cannot be
    missed by spelling the address differently.

    Raises:
        EntryNameError: If it is neither a host name nor an address.
    """
    host = text.lower()
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise EntryNameError(f"{text!r} is no IPv6 address", _ENDPOINT_MEND, text=text) from None
        return str(address.ipv4_mapped or address)
    host = host.removesuffix(".")
    if not _HOST_NAME.fullmatch(host) or ".." in host:
        raise EntryNameError(f"{text!r} is no host name or address", _ENDPOINT_MEND, text=text)
    return _as_ipv4(host) or host


def _as_ipv4(host: str) -> str | None:
    """The address that inet_aton reads in `host`: up to four numbers in any base, the last one fills what is left."""
    numbers = []
    for part in host.split("."):
        match = _NUMBER.fullmatch(part)
        if match is None:
            return None
        numbers.append(int(part, {"hex": 16, "octal": 8, "decimal": 10}[match.lastgroup or ""]))
    *first, last = numbers
    if len(first) > 3 or any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return None
    value = last + sum(number << (24 - 8 * position) for position, number in enumerate(first))
    return str(ipaddress.IPv4Address(value))


def is_loopback(host: str) -> bool:
    """Whether a canonical `host` is this machine: 127.0.0.0/8, ::1 or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerScope:
    """Where a known server's key counts: on ``host:port``, on every port of ``host``, or on ``loopback``.

    Attributes:
        host: Canonical host, or ``loopback``.
        port: TCP port, None for every port.
    """

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> ServerScope:
        """Read ``host``, ``host:port``, ``[::1]:port``, ``::1``, either with ``tcp://``, or ``loopback``.

        Raises:
            EntryNameError: If it is none of these.
        """
        body = text.strip().removesuffix("/")
        if body.lower().startswith("tcp://"):
            body = body[len("tcp://") :]
        elif "/" in body or "://" in body:
            raise EntryNameError(
                f"{text!r} is no TCP endpoint, and a unix socket is guarded by file permissions instead of keys",
                _ENDPOINT_MEND,
                text=text,
            )
        host, port_text = body, None
        if body.startswith("["):
            host, bracket, rest = body[1:].partition("]")
            if not bracket or ":" not in host or (rest and not rest.startswith(":")):
                raise EntryNameError(f"{text!r} is no [IPV6]:PORT", _ENDPOINT_MEND, text=text)
            port_text = rest[1:] if rest else None
        elif body.count(":") == 1:
            host, _, port_text = body.partition(":")
        port = None
        if port_text is not None:
            if not re.fullmatch(r"[0-9]{1,5}", port_text) or not 1 <= int(port_text) <= 65535:
                raise EntryNameError(f"{text!r} has no port from 1 to 65535", _ENDPOINT_MEND, text=text)
            port = int(port_text)
        scope = cls(host=canonical_host(host), port=port)
        if scope.host == LOOPBACK and port is not None:
            raise EntryNameError("loopback stands for every port of this machine", _ENDPOINT_MEND, text=text)
        return scope

    @property
    def text(self) -> str:
        """The form that `parse` reads."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def file_stem(self) -> str:
        """A file name that no other scope has; ``@`` cannot stand in a quoted host."""
        stem = quote(self.host, safe="")
        return stem if self.port is None else f"{stem}@{self.port}"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownServer:
    """A server this client trusts.

    Attributes:
        scope: Where it is.
        key: Its public key there.
        path: The file that says so.
        next_key: The key that it will have, as it has said itself; accepted where *key* is not proved.
        next_from: When that is to be.
    """

    scope: ServerScope
    key: PublicKey
    path: Path
    next_key: PublicKey | None = None
    next_from: datetime | None = None


def scopes_for(host: str, port: int) -> tuple[ServerScope, ...]:
    """The scopes that cover an endpoint, the most particular first: ``host:port``, ``host``, ``loopback``.

    Raises:
        EntryNameError: If `host` is neither a host name nor an address.
    """
    canonical = canonical_host(host)
    scopes = [ServerScope(host=canonical, port=port), ServerScope(host=canonical)]
    if is_loopback(canonical):
        scopes.append(ServerScope(host=LOOPBACK))
    return tuple(scopes)


def find_server(known: Mapping[ServerScope, KnownServer], host: str, port: int) -> KnownServer | None:
    """The entry that counts for `host` and `port`, or None if the server is not pinned."""
    for scope in scopes_for(host, port):
        if scope in known:
            return known[scope]
    return None
