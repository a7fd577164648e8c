# SPDX-License-Identifier: Apache-2.0
"""An invitation as one line to paste: where the server is, its key, and a key that opens one enrolment, no more.

The line is a prefix and lower-case base32 of: version (1 byte), the server's public key (32), the one-use secret key
(32), the end of the invitation in seconds since 1970 (4), the endpoints with blanks between them (UTF-8), checksum (3).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timezone

from scenario_execution_keys.errors import EntryNameError, KeyTextError
from scenario_execution_keys.keypair import CHECKSUM_BYTES, KEY_BYTES, KeyPair, PublicKey, SecretKey
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.trust import LOOPBACK, ServerScope

INVITATION_PREFIX = "seinv-"
ENDPOINTS_LIMIT = 4  # a machine with more addresses than these is known by one of them
_VERSION = 1
_INSTANT_BYTES = 4  # good until 2106; an invitation lives for minutes
_HEAD_BYTES = 1 + 2 * KEY_BYTES + _INSTANT_BYTES
_LONGEST = 2048  # characters; four endpoints of the longest host names stay below
_MEND = "Copy the whole line again; if it stays so, ask for a new one. Run on the server: se-server invite NAME"
_ENDPOINT_MEND = "Give HOST, HOST:PORT or [IPV6]:PORT. Run: se-server invite NAME --endpoint HOST:PORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What an invited client needs. Whoever has it can enrol one key, once, until it ends.

    Attributes:
        server: The server's public key.
        pair: The one-use pair.
        until: When it ends, to the second, on the server's clock.
        endpoints: Where the server is, as `se-remote trust` takes it, the best first.
    """

    server: PublicKey
    pair: KeyPair
    until: datetime
    endpoints: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line. It holds a secret: show it to whom it is for."""
        data = bytes([_VERSION]) + self.server.raw + self.pair.secret.reveal_raw()
        data += int(self.until.timestamp()).to_bytes(_INSTANT_BYTES, "big") + " ".join(self.endpoints).encode()
        encoded = base64.b32encode(data + _checksum(data)).decode("ascii")
        return INVITATION_PREFIX + encoded.rstrip("=").lower()

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Read a pasted line; blanks and line breaks that a mail has put into it do not matter.

        Raises:
            KeyTextError: If it is no invitation, or a typo is in it. The text is not repeated.
        """
        text = "".join(text.split())
        if not text.lower().startswith(INVITATION_PREFIX):
            raise KeyTextError(f"this is no invitation; one begins with {INVITATION_PREFIX}", _MEND)
        body = text[len(INVITATION_PREFIX) :].upper()
        if len(body) > _LONGEST:
            raise KeyTextError("this is no invitation: it is too long to be one", _MEND)
        try:
            data = base64.b32decode(body.encode("ascii") + b"=" * (-len(body) % 8))
        except (binascii.Error, UnicodeEncodeError):
            raise KeyTextError("the invitation has a typo, or its end is missing", _MEND) from None
        data, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
        if not hmac.compare_digest(checksum, _checksum(data)):
            raise KeyTextError("the invitation has a typo, or its end is missing: its checksum does not match", _MEND)
        if len(data) <= _HEAD_BYTES or data[0] != _VERSION:
            raise KeyTextError("the invitation is of another version of this program", _MEND)
        instant = data[1 + 2 * KEY_BYTES : _HEAD_BYTES]
        try:
            secret = SecretKey.from_bytes(data[1 + KEY_BYTES : 1 + 2 * KEY_BYTES])
            return cls(
                server=PublicKey.from_bytes(data[1 : 1 + KEY_BYTES]),
                pair=KeyPair(secret.public(), secret),
                until=datetime.fromtimestamp(int.from_bytes(instant, "big"), timezone.utc),
                endpoints=check_endpoints(data[_HEAD_BYTES:].decode("utf-8").split(" ")),
            )
        except (UnicodeDecodeError, EntryNameError):
            raise KeyTextError("the invitation names no endpoint", _MEND) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInvitation:
    """An invitation as the server knows it.

    Attributes:
        name: What its client will be called.
        key: The public half of the one-use pair.
        expires: When it ends.
        permissions: What its client will be allowed.
    """

    name: str
    key: PublicKey
    expires: datetime
    permissions: Permissions


def endpoint_scope(text: str) -> ServerScope:
    """An endpoint as `se-server invite` takes it.

    Raises:
        EntryNameError: If it is none.
    """
    try:
        return ServerScope.parse(text)
    except EntryNameError as error:
        raise EntryNameError(error.what, _ENDPOINT_MEND, text=text) from None


def check_endpoints(endpoints: list[str]) -> tuple[str, ...]:
    """The endpoints of an invitation in their canonical spelling.

    Raises:
        EntryNameError: If one is none, says no port, or there are too many.
    """
    found = []
    for text in endpoints:
        scope = endpoint_scope(text)
        if scope.port is None or scope.host == LOOPBACK:
            raise EntryNameError(f"{text!r} is no HOST:PORT", _ENDPOINT_MEND, text=text)
        found.append(scope.text)
    if not 1 <= len(found) <= ENDPOINTS_LIMIT:
        what = f"an invitation has 1 to {ENDPOINTS_LIMIT} endpoints"
        raise EntryNameError(what, _ENDPOINT_MEND, text=" ".join(endpoints))
    return tuple(dict.fromkeys(found))


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(INVITATION_PREFIX.rstrip("-").encode("ascii") + data).digest()[:CHECKSUM_BYTES]
