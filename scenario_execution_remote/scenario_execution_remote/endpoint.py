# SPDX-License-Identifier: Apache-2.0
"""Where a server listens: the text people write, checked, and the address ZeroMQ wants."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from scenario_execution_remote.errors import EndpointError

DEFAULT_PORT = 7613  # the one home of this number; free in the registry of well-known ports
UNIX_PATH_LIMIT_BYTES = 107  # sockaddr_un.sun_path has 108 bytes on Linux, one of them the closing zero

_HOST_LIMIT = 253  # RFC 1035: 255 octets on the wire
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")  # RFC 1123, and the underscore that container tools use
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")  # what makes resolvers read a name as an IPv4 address
_ZONE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # an interface name: IFNAMSIZ is 16
_PORT = re.compile(r"[0-9]{1,5}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a server listens. Two endpoints are equal if their canonical texts are.

    Attributes:
        host: Host name in lower case, IPv4 address, or IPv6 address without brackets; empty for a unix socket.
        port: TCP port, 1 to 65535; 0 for a unix socket.
        path: Absolute path of the unix socket; empty for TCP.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read an endpoint as people write it.

        Args:
            text: ``host``, ``host:port``, ``[::1]:port``, ``::1``, ``/path/to/socket``, ``tcp://...`` or ``ipc://...``;
                port :data:`DEFAULT_PORT` if none is given.

        Raises:
            EndpointError: it is none of these; the error names what is wrong.
        """
        if not text:
            raise EndpointError(text, "is empty")
        if text != text.strip():
            raise EndpointError(text, "begins or ends with white space")
        if not text.isprintable():
            raise EndpointError(text, "has a control character in it")
        match = _SCHEME.fullmatch(text)
        if match is None:
            if text.startswith("/"):
                return cls(path=_unix_path(text, text))
            return cls._parse_tcp(text, text)
        scheme, rest = match[1].lower(), match[2]
        if scheme == "ipc":
            return cls(path=_unix_path(text, rest))
        if scheme == "tcp":
            return cls._parse_tcp(text, rest)
        raise EndpointError(text, f'has the unknown scheme "{match[1][:20]}", known are tcp and ipc')

    @classmethod
    def _parse_tcp(cls, text: str, rest: str) -> Endpoint:
        for sign, why in _NEVER_IN_A_HOST.items():
            if sign in rest:
                raise EndpointError(text, why)
        if rest.startswith("@"):
            raise EndpointError(text, _ABSTRACT)
        if "@" in rest:
            raise EndpointError(text, "names a user; who may connect is decided by keys")
        if rest.startswith("["):
            inside, closing, after = rest[1:].partition("]")
            if not closing:
                raise EndpointError(text, 'has a "[" without "]"')
            if after and not after.startswith(":"):
                raise EndpointError(text, 'has something other than ":port" after "]"')
            return cls(host=_ipv6(text, inside), port=_port(text, after[1:]) if after else DEFAULT_PORT)
        if rest.count(":") > 1:
            return cls(host=_ipv6(text, rest), port=DEFAULT_PORT)
        name, colon, number = rest.partition(":")
        return cls(host=_host(text, name), port=_port(text, number) if colon else DEFAULT_PORT)

    @property
    def is_unix(self) -> bool:
        """Whether this is a unix socket, guarded by file permissions instead of keys."""
        return bool(self.path)

    @property
    def is_loopback(self) -> bool:
        """Whether TCP to it stays on this machine: 127.0.0.0/8, ::1, or the name localhost. False for a unix socket."""
        if self.host == "localhost":
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return address.is_loopback

    @property
    def text(self) -> str:
        """The canonical text, which :meth:`parse` reads back: ``host:port``, ``[v6]:port`` or the path."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def zmq_address(self) -> str:
        """The address as ZeroMQ writes it, ``tcp://...`` or ``ipc://...``."""
        return f"ipc://{self.path}" if self.path else f"tcp://{self.text}"

    def __str__(self) -> str:
        return self.text


_ABSTRACT = "is an abstract socket, which no file permission guards; use a path"

_NEVER_IN_A_HOST = {
    " ": "has a space in it",
    "*": "has a wildcard in it; a client connects to one host",
    "~": "uses ~, which only a shell expands; write the absolute path",
    "/": "has a path after the host",
    ";": "names a source address, which is not supported",  # libzmq would take "source;destination"
}


def _unix_path(text: str, path: str) -> str:
    if path.startswith("@"):
        raise EndpointError(text, _ABSTRACT)
    if not path.startswith("/"):
        raise EndpointError(text, "is not absolute; a relative path means another socket in every directory")
    if path.endswith(("/", "/.", "/..")):
        raise EndpointError(text, "is a folder, not a socket")
    if path != path.rstrip():
        raise EndpointError(text, "begins or ends with white space")
    # ".." stays: what it means depends on symbolic links, which only the file system knows.
    tidy = str(PurePosixPath("/" + path.lstrip("/")))
    length = len(os.fsencode(tidy))
    if length > UNIX_PATH_LIMIT_BYTES:
        raise EndpointError(text, f"has {length} bytes; a socket's path may have {UNIX_PATH_LIMIT_BYTES}")
    return tidy


def _port(text: str, number: str) -> int:
    if not number:
        raise EndpointError(text, "has a colon without a port behind it")
    if not _PORT.fullmatch(number) or not 1 <= int(number) <= 65535:
        raise EndpointError(text, f'has the port "{number[:20]}", which is not a number from 1 to 65535')
    return int(number)


def _ipv6(text: str, inside: str) -> str:
    bare, percent, zone = inside.partition("%")
    try:
        address = ipaddress.IPv6Address(bare)
    except ValueError:
        raise EndpointError(text, f'has "{inside[:50]}" where an IPv6 address is expected') from None
    if percent and not _ZONE.fullmatch(zone):
        raise EndpointError(text, "has an IPv6 zone that is not an interface name")
    if address.is_unspecified:
        raise EndpointError(text, "means every interface; a client connects to one host")
    if address.ipv4_mapped is not None:
        return _host(text, str(address.ipv4_mapped))  # one spelling per address, or a pin would be missed
    return f"{address}{percent}{zone}"


def _host(text: str, name: str) -> str:
    if not name:
        raise EndpointError(text, "has no host")
    if not name.isascii():
        raise EndpointError(text, 'has a host name beyond ASCII; write its "xn--" form')
    lower = name.lower()
    labels = lower.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            address = ipaddress.IPv4Address(lower)
        except ValueError:
            raise EndpointError(text, f'has the host "{name[:50]}", which is a number and no IPv4 address') from None
        if address.is_unspecified:
            raise EndpointError(text, "means every interface; a client connects to one host")
        return str(address)
    if len(lower) > _HOST_LIMIT or not all(_LABEL.fullmatch(label) for label in labels):
        raise EndpointError(text, f'has "{name[:50]}", which is not a host name')
    return lower
