# SPDX-License-Identifier: Apache-2.0
"""Public keys, secret keys and pairs as values, and their paste-safe text forms."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import NoReturn

from zmq import curve_keypair, curve_public

from scenario_execution_keys.errors import KeyTextError

PUBLIC_PREFIX = "sepub-"
SECRET_PREFIX = "sesec-"
FINGERPRINT_PREFIX = "sefp-"

KEY_BYTES = 32  # a Curve25519 key
Z85_CHARS = 40  # KEY_BYTES in Z85: 5 characters for 4 bytes
CHECKSUM_BYTES = 3  # a typo slips through once in 16 million; fills 56 base32 characters with a key, no padding
FINGERPRINT_BYTES = 17  # 136 bits, more than the 128 of the curve; with the checksum it fills 32 base32 characters
TEXT_CHARS = 56  # base32 characters after the prefix of a key

_Z85_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"  # ZeroMQ RFC 32
_Z85_VALUES = {char: value for value, char in enumerate(_Z85_ALPHABET)}
_ASK_PUBLIC = "Paste the line that `se-server key` prints on the server, or `se-remote key` on the client"


def _checksum(prefix: str, payload: bytes) -> bytes:
    """The prefix goes into the sum, so that a public key with a changed prefix does not pass for a secret one."""
    return hashlib.sha256(prefix.rstrip("-").encode("ascii") + payload).digest()[:CHECKSUM_BYTES]


def _to_text(prefix: str, payload: bytes) -> str:
    return prefix + base64.b32encode(payload + _checksum(prefix, payload)).decode("ascii").lower()


def _from_text(prefix: str, text: str, mend: str) -> bytes:
    """Decode the part after `prefix`; case and surrounding blanks do not matter, everything else does."""
    body = text[len(prefix) :]
    if len(body) != TEXT_CHARS:
        missing = "too short" if len(body) < TEXT_CHARS else "too long"
        raise KeyTextError(
            f"the key is {missing}: {TEXT_CHARS} characters belong after {prefix}, there are {len(body)}", mend
        )
    try:
        data = base64.b32decode(body.upper().encode("ascii"))
    except ValueError:  # binascii.Error and UnicodeEncodeError; neither may carry the text into the message
        raise KeyTextError(f"the key has a typo: only a-z and 2-7 stand after {prefix}", mend) from None
    payload, checksum = data[:KEY_BYTES], data[KEY_BYTES:]
    if not hmac.compare_digest(checksum, _checksum(prefix, payload)):
        raise KeyTextError("the key has a typo: its checksum does not match", mend)
    return payload


def _to_z85(payload: bytes) -> str:
    text = ""
    for start in range(0, len(payload), 4):
        number = int.from_bytes(payload[start : start + 4], "big")
        text += "".join(_Z85_ALPHABET[number // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text


def _from_z85(text: str, mend: str) -> bytes:
    if len(text) != Z85_CHARS:
        raise KeyTextError(f"this is not a key: a Z85 key has {Z85_CHARS} characters, this has {len(text)}", mend)
    for position, char in enumerate(text, start=1):
        if char not in _Z85_VALUES:
            raise KeyTextError(f"this is not a key: character {position} does not occur in Z85", mend)
    payload = b""
    for start in range(0, Z85_CHARS, 5):
        number = 0
        for char in text[start : start + 5]:
            number = number * 85 + _Z85_VALUES[char]
        if number >= 2**32:  # five characters can say more than four bytes hold
            raise KeyTextError(f"this is not a key: characters {start + 1} to {start + 5} are no Z85", mend)
        payload += number.to_bytes(4, "big")
    if not any(payload):
        raise KeyTextError("this is not a key: all its bytes are zero", mend)
    return payload


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """A Curve25519 public key: what a peer is known by.

    Attributes:
        z85: The key as libzmq writes it, 40 characters.

    Raises:
        KeyTextError: If `z85` is not the Z85 of 32 bytes that are not all zero.
    """

    z85: str

    def __post_init__(self) -> None:
        _from_z85(self.z85, _ASK_PUBLIC)

    @classmethod
    def from_bytes(cls, raw: bytes) -> PublicKey:
        """The key whose 32 bytes are `raw`, as a ZAP request carries them.

        Raises:
            KeyTextError: If `raw` is not 32 bytes long or all zero.
        """
        if len(raw) != KEY_BYTES:
            raise KeyTextError(f"this is not a key: a key has {KEY_BYTES} bytes, this has {len(raw)}", _ASK_PUBLIC)
        return cls(_to_z85(raw))

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read a public key that a person pasted: the ``sepub-`` form or Z85, blanks around it are ignored.

        Raises:
            KeyTextError: If it is a typo, a secret key, a fingerprint or no key at all. The text is not repeated.
        """
        text = text.strip()
        lowered = text.lower()
        if lowered.startswith(SECRET_PREFIX):
            raise KeyTextError(
                "this is a secret key, which must never leave its machine; a public key is needed here",
                f"Treat that pair as lost if others saw it. {_ASK_PUBLIC}",
            )
        if lowered.startswith(FINGERPRINT_PREFIX):
            raise KeyTextError("this is a fingerprint, which is too short to be a key", _ASK_PUBLIC)
        if lowered.startswith(PUBLIC_PREFIX):
            return cls.from_bytes(_from_text(PUBLIC_PREFIX, text, _ASK_PUBLIC))
        if len(text) != Z85_CHARS:
            what = f"a public one begins with {PUBLIC_PREFIX}; Z85 has {Z85_CHARS} characters, this has {len(text)}"
            raise KeyTextError(f"this is not a key: {what}", _ASK_PUBLIC)
        return cls(text)

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key."""
        return _from_z85(self.z85, _ASK_PUBLIC)

    @property
    def text(self) -> str:
        """The form people paste: ``sepub-`` and 56 characters of a-z and 2-7, checksum included."""
        return _to_text(PUBLIC_PREFIX, self.raw)

    @property
    def fingerprint(self) -> str:
        """The form people compare: ``sefp-`` and 32 characters of a-z and 2-7."""
        return _to_text(FINGERPRINT_PREFIX, hashlib.sha256(self.raw).digest()[:FINGERPRINT_BYTES])

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint})"

    def __str__(self) -> str:
        return self.fingerprint


class SecretKey:
    """A Curve25519 secret key, which shows itself only when asked by name.

    Neither ``repr``, ``str`` nor ``format`` contain the key, and it can be neither pickled nor copied.

    Raises:
        KeyTextError: If `z85` is not the Z85 of 32 bytes that are not all zero.
    """

    __slots__ = ("__z85",)

    def __init__(self, z85: str) -> None:
        _from_z85(z85, "Make a new pair: se-server keygen, or se-remote keygen")
        self.__z85 = z85

    @classmethod
    def parse(cls, text: str) -> SecretKey:
        """Read a secret key in the ``sesec-`` form or in Z85.

        Raises:
            KeyTextError: If it is a typo, a public key or no key at all. The text is not repeated.
        """
        text = text.strip()
        mend = "Copy the secret key again from where it was made"
        if text.lower().startswith((PUBLIC_PREFIX, FINGERPRINT_PREFIX)):
            raise KeyTextError("this is a public key; a secret key is needed here", mend)
        if text.lower().startswith(SECRET_PREFIX):
            return cls(_to_z85(_from_text(SECRET_PREFIX, text, mend)))
        return cls(text)

    def reveal_z85(self) -> str:
        """The key as libzmq wants it, 40 characters. Give it to a socket or an owner-only file, to nothing else."""
        return self.__z85

    def reveal_text(self) -> str:
        """The ``sesec-`` form, for the one place that must hand a secret over."""
        return _to_text(SECRET_PREFIX, _from_z85(self.__z85, ""))

    @classmethod
    def from_bytes(cls, raw: bytes) -> SecretKey:
        """The key whose 32 bytes are `raw`.

        Raises:
            KeyTextError: If `raw` is not 32 bytes long or all zero.
        """
        if len(raw) != KEY_BYTES:
            raise KeyTextError(f"this is not a key: a key has {KEY_BYTES} bytes", "Ask for it again")
        return cls(_to_z85(raw))

    def reveal_raw(self) -> bytes:
        """The 32 bytes of the key, for an invitation, the one secret that travels."""
        return _from_z85(self.__z85, "")

    def public(self) -> PublicKey:
        """The public key that belongs to this secret key."""
        return PublicKey(curve_public(self.__z85.encode("ascii")).decode("ascii"))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretKey):
            return NotImplemented
        return hmac.compare_digest(self.__z85, other.__z85)

    __hash__ = None  # type: ignore[assignment]  # a secret is no key of a dictionary

    def __repr__(self) -> str:
        return "SecretKey(hidden)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret key is neither pickled nor copied")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key and the secret key that belongs to it.

    Raises:
        KeyTextError: If they do not belong together; libzmq would not notice and every handshake would hang.
    """

    public: PublicKey
    secret: SecretKey

    def __post_init__(self) -> None:
        if self.secret.public() != self.public:
            raise KeyTextError(
                "the secret key does not belong to the public key",
                "Make a new pair: se-server keygen, or se-remote keygen",
            )

    @classmethod
    def generate(cls) -> KeyPair:
        """A new pair from the operating system's random numbers."""
        public, secret = curve_keypair()
        return cls(PublicKey(public.decode("ascii")), SecretKey(secret.decode("ascii")))
