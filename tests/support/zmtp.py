# SPDX-License-Identifier: Apache-2.0
"""A ZMTP 3 peer without libzmq, which says and omits what libzmq never would; CurveZMQ included.

Written after the ZeroMQ RFCs 23 (ZMTP 3.0) and 26 (CurveZMQ), and after the papers on Curve25519, Salsa20 and Poly1305.
Slow, and readable by its timing: for tests against a server on this machine alone.
"""

from __future__ import annotations

import os
import socket
import struct
from types import TracebackType

from zmq.utils import z85

from scenario_execution_keys.keypair import KeyPair, PublicKey

DEADLINE_S = 10.0  # every answer of a server on this machine takes milliseconds
GREETING_BYTES = 64
_SIGNATURE_AND_VERSION = 12  # what a peer must have heard before it sends the rest of its own greeting

# -- the cryptography of NaCl's crypto_box --------------------------------------------------------------------------

_P = 2**255 - 19
_WORD = 0xFFFFFFFF
_SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def scalar_mult(secret: bytes, point: bytes) -> bytes:
    """X25519: the Montgomery ladder on Curve25519."""
    scalar = int.from_bytes(secret, "little") & ~7 & ~(1 << 255) | 1 << 254
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    low, high = (1, 0), (u, 1)
    for bit in reversed(range(255)):
        if scalar >> bit & 1:
            high, low = _double_and_add(high, low, u)
        else:
            low, high = _double_and_add(low, high, u)
    return (low[0] * pow(low[1], _P - 2, _P) % _P).to_bytes(32, "little")


def _double_and_add(one: tuple[int, int], other: tuple[int, int], u: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Twice the one point, and the sum of both, whose difference has the coordinate `u`."""
    plus, minus = one[0] + one[1], one[0] - one[1]
    cross_a, cross_b = (other[0] - other[1]) * plus, (other[0] + other[1]) * minus
    square_a, square_b = plus * plus % _P, minus * minus % _P
    difference = square_a - square_b
    double = square_a * square_b % _P, difference * (square_a + 121665 * difference) % _P
    return double, ((cross_a + cross_b) ** 2 % _P, u * (cross_a - cross_b) ** 2 % _P)


def _quarter_round(x: list[int], a: int, b: int, c: int, d: int) -> None:
    for target, one, other, by in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
        total = (x[one] + x[other]) & _WORD
        x[target] ^= (total << by | total >> (32 - by)) & _WORD


def _salsa_rounds(state: list[int]) -> list[int]:
    x = list(state)
    for _ in range(10):
        for i in range(4):  # the columns, each from the diagonal on
            _quarter_round(x, *((5 * i + 4 * k) % 16 for k in range(4)))
        for i in range(4):  # the rows likewise
            _quarter_round(x, *(4 * i + (i + k) % 4 for k in range(4)))
    return x


def _salsa_state(key: bytes, block: bytes) -> list[int]:
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", block)
    return [_SIGMA[0], *k[:4], _SIGMA[1], *n, _SIGMA[2], *k[4:], _SIGMA[3]]


def _hsalsa(key: bytes, block: bytes) -> bytes:
    x = _salsa_rounds(_salsa_state(key, block))
    return struct.pack("<8I", x[0], x[5], x[10], x[15], x[6], x[7], x[8], x[9])


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    key = _hsalsa(key, nonce[:16])
    blocks = []
    for counter in range((length + 63) // 64):
        state = _salsa_state(key, nonce[16:] + struct.pack("<Q", counter))
        mixed = zip(state, _salsa_rounds(state), strict=True)
        blocks.append(struct.pack("<16I", *((a + b) & _WORD for a, b in mixed)))
    return b"".join(blocks)[:length]


def _poly1305(key: bytes, text: bytes) -> bytes:
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for start in range(0, len(text), 16):
        total = (total + int.from_bytes(text[start : start + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


class Box:
    """What two key pairs share."""

    def __init__(self, secret: bytes, public: bytes) -> None:
        self._key = _hsalsa(scalar_mult(secret, public), bytes(16))

    def seal(self, text: bytes, nonce: bytes) -> bytes:
        stream = _stream(self._key, nonce, 32 + len(text))
        sealed = bytes(a ^ b for a, b in zip(text, stream[32:], strict=True))
        return _poly1305(stream[:32], sealed) + sealed

    def open(self, sealed: bytes, nonce: bytes) -> bytes:
        stream = _stream(self._key, nonce, 16 + len(sealed))
        if _poly1305(stream[:32], sealed[16:]) != sealed[:16]:
            raise ValueError("the box was not sealed with this key")
        return bytes(a ^ b for a, b in zip(sealed[16:], stream[32:], strict=True))


# -- ZMTP -------------------------------------------------------------------------------------------------------------


def greeting(mechanism: bytes, *, version: bytes = b"\x03\x00") -> bytes:
    return b"\xff" + bytes(7) + b"\x01\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


def frame(body: bytes, *, command: bool = False) -> bytes:
    flags = 4 if command else 0
    if len(body) > 255:
        return struct.pack(">BQ", flags | 2, len(body)) + body
    return struct.pack(">BB", flags, len(body)) + body


def properties(**values: bytes) -> bytes:
    """The metadata of a handshake; underscores in names become dashes."""
    packed = b""
    for name, value in values.items():
        packed += struct.pack(">B", len(name)) + name.replace("_", "-").encode() + struct.pack(">I", len(value)) + value
    return packed


def plain_hello(user: bytes, password: bytes) -> bytes:
    return b"\x05HELLO" + bytes([len(user)]) + user + bytes([len(password)]) + password


class RawPeer:
    """A connection on which exactly those bytes are sent that a test wants to send.

    Args:
        address: ``(host, port)``, or the path of a unix socket.
    """

    def __init__(self, address: tuple[str, int] | str) -> None:
        self._socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self._socket.settimeout(DEADLINE_S)
        self._socket.connect(address)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, length: int) -> bytes:
        """Exactly `length` bytes.

        Raises:
            EOFError: If the server closes first.
        """
        data = b""
        while len(data) < length:
            try:
                more = self._socket.recv(length - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                raise EOFError(data)
            data += more
        return data

    def greet(self, mechanism: bytes) -> bytes:
        """Exchange greetings; returns the server's mechanism, which it tells before it has heard of ours."""
        ours = greeting(mechanism)
        self.send(ours[:_SIGNATURE_AND_VERSION])
        theirs = self.read(GREETING_BYTES)
        self.send(ours[_SIGNATURE_AND_VERSION:])
        return theirs[12:32].rstrip(b"\0")

    def read_frame(self) -> bytes:
        """The body of the next frame, of whatever kind."""
        flags = self.read(1)[0]
        length = struct.unpack(">Q", self.read(8))[0] if flags & 2 else self.read(1)[0]
        return self.read(length)

    def is_shut_out(self) -> bool:
        """Wait for what the server does: True if it says ERROR or closes, False if it goes on with the handshake."""
        try:
            body = self.read_frame()
        except EOFError:
            return True
        return body.startswith(b"\x05ERROR")

    def ready(self, socket_type: bytes = b"DEALER", **more: bytes) -> bytes:
        """Make the handshake without security; returns the server's READY."""
        self.greet(b"NULL")
        self.send(frame(b"\x05READY" + properties(Socket_Type=socket_type, **more), command=True))
        return self.read_frame()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CurveHandshake:
    """The client's side of CurveZMQ, one command at a time, so that each can be spoilt.

    Args:
        server: The server's public key.
        client: The client's pair.
        claimed: Public key to claim instead of the pair's own.
    """

    def __init__(self, server: PublicKey, client: KeyPair, *, claimed: PublicKey | None = None) -> None:
        self._server = server.raw
        self._secret = bytes(z85.decode(client.secret.reveal_z85()))
        self._public = (claimed or client.public).raw
        self._short_secret = os.urandom(32)
        self._short_public = scalar_mult(self._short_secret, (9).to_bytes(32, "little"))
        self._box_to_long = Box(self._short_secret, self._server)
        self._server_short = b""
        self.cookie = b""

    def hello(self, *, version: bytes = b"\x01\x00") -> bytes:
        signature = self._box_to_long.seal(bytes(64), b"CurveZMQHELLO---" + struct.pack(">Q", 1))
        return b"\x05HELLO" + version + bytes(72) + self._short_public + struct.pack(">Q", 1) + signature

    def take_welcome(self, body: bytes) -> None:
        opened = self._box_to_long.open(body[24:], b"WELCOME-" + body[8:24])
        self._server_short, self.cookie = opened[:32], opened[32:]

    def initiate(self, metadata: bytes, *, cookie: bytes | None = None) -> bytes:
        vouch_nonce = os.urandom(16)
        vouch = Box(self._secret, self._server_short).seal(self._short_public + self._server, b"VOUCH---" + vouch_nonce)
        text = self._public + vouch_nonce + vouch + metadata
        sealed = self._box_to_short().seal(text, b"CurveZMQINITIATE" + struct.pack(">Q", 2))
        return b"\x08INITIATE" + (self.cookie if cookie is None else cookie) + struct.pack(">Q", 2) + sealed

    def message(self, payload: bytes) -> bytes:
        sealed = self._box_to_short().seal(b"\0" + payload, b"CurveZMQMESSAGEC" + struct.pack(">Q", 3))
        return b"\x07MESSAGE" + struct.pack(">Q", 3) + sealed

    def _box_to_short(self) -> Box:
        return Box(self._short_secret, self._server_short)
