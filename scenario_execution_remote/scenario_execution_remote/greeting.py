# SPDX-License-Identifier: Apache-2.0
"""What a peer's first bytes tell: whether it speaks ZeroMQ, with which security, or what it is instead."""

from __future__ import annotations

import enum
from dataclasses import dataclass

# The first 11 bytes of a ZMTP 3 greeting: the signature (ff, eight bytes that ZMTP 3 ignores, 7f) and the version. That
# is as much as makes a ZMTP 3 peer send its whole greeting, and the least that commits us to nothing.
GREETING_PROBE = b"\xff" + bytes(8) + b"\x7f\x03"

# Servers of line-based protocols wait for the end of a line. A ZMTP peer has greeted long before this is sent.
LINE_PROBE = b"\r\n\r\n"

GREETING_BYTES = 64  # a whole ZMTP 3 greeting; nothing more is ever read

_SIGNATURE_BYTES = 10
_MECHANISM = slice(12, 32)
_QUOTED_BYTES = 48  # enough to recognise a banner, short enough for one line of a log


class Tongue(enum.Enum):
    """What a peer speaks."""

    NOTHING = "nothing"
    UNFINISHED = "unfinished"  # began a ZMTP greeting and did not go on
    ZMTP = "zmtp"
    OLD_ZMTP = "old-zmtp"  # ZeroMQ before version 4, which knows no security
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """A peer's first bytes, understood.

    Attributes:
        tongue: What it speaks.
        mechanism: ``NULL``, ``PLAIN`` or ``CURVE`` (or another name) for ZMTP, else empty.
        service: What it seems to be, for OTHER; else empty.
        said: Its words for a sentence, escaped and cut, for OTHER; else empty.
    """

    tongue: Tongue
    mechanism: str = ""
    service: str = ""
    said: str = ""


def is_complete(data: bytes) -> bool:
    """Whether *data* says all that :func:`read_greeting` wants to know."""
    if len(data) >= GREETING_BYTES:
        return True
    if _may_be_zmtp(data):
        return len(data) > _SIGNATURE_BYTES and data[_SIGNATURE_BYTES] < 3
    return b"\n" in data


def read_greeting(data: bytes) -> Greeting:
    """Understand a peer's first bytes; any bytes will do, none raise."""
    if not data:
        return Greeting(tongue=Tongue.NOTHING)
    if not _may_be_zmtp(data):
        return Greeting(tongue=Tongue.OTHER, service=_service(data), said=_quote(data))
    if len(data) > _SIGNATURE_BYTES and data[_SIGNATURE_BYTES] < 3:
        return Greeting(tongue=Tongue.OLD_ZMTP)
    if len(data) < GREETING_BYTES:
        return Greeting(tongue=Tongue.UNFINISHED)
    return Greeting(tongue=Tongue.ZMTP, mechanism=_quote(data[_MECHANISM].rstrip(b"\0")))


def _may_be_zmtp(data: bytes) -> bool:
    if data[:1] != b"\xff":
        return False
    return len(data) < _SIGNATURE_BYTES or data[_SIGNATURE_BYTES - 1] == 0x7F


def _service(data: bytes) -> str:
    start = data.lstrip().lower()
    if start.startswith(b"ssh-"):
        return "an SSH server"
    if start.startswith((b"http/", b"<!doctype html", b"<html")):
        return "a web server"
    if data[:2] in (b"\x15\x03", b"\x16\x03"):  # a TLS record: alert or handshake
        return "a TLS server"
    if start.startswith(b"220"):
        return "a mail or FTP server"
    return "another service"


def _quote(data: bytes) -> str:
    """The first line, with everything escaped that could steer a terminal or end a quotation."""
    line = data.lstrip(b"\r\n").partition(b"\n")[0].rstrip(b"\r")
    shown = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in line)
    return shown if len(shown) <= _QUOTED_BYTES else shown[:_QUOTED_BYTES] + "..."
