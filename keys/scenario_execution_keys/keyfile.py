# SPDX-License-Identifier: Apache-2.0
"""Key files as text: ZPL as czmq and pyzmq read and write it, but read strictly.

A key file has a ``metadata`` and a ``curve`` section; ``curve`` holds ``public-key`` and, in a secret file,
``secret-key``. Where pyzmq takes the last of two duplicates and any length, this module refuses with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from scenario_execution_keys.errors import KeyFileError, KeyTextError
from scenario_execution_keys.keypair import KeyPair, PublicKey, SecretKey

MAX_FILE_BYTES = 8192  # a pair with all our metadata stays below 1 KiB; anything much larger is not a key file

_METADATA_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_RESERVED = ("public-key", "secret-key")  # pyzmq ignores sections and would take such metadata for the key

_PUBLIC_BANNER = """\
#   ZeroMQ CURVE public key of scenario-execution-server.
#   Safe to show. Check its fingerprint with the person it came from.
"""
_SECRET_BANNER = """\
#   ZeroMQ CURVE **SECRET** key of scenario-execution-server.
#   Never copy this file to another machine or show it to anybody.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """What a key file says.

    Attributes:
        public: The public key.
        secret: The secret key, or None in a public file. It belongs to `public`.
        metadata: Free text by name, as the file had it.
    """

    public: PublicKey
    secret: SecretKey | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse_key_file(data: bytes, *, path: Path, mend: str) -> KeyFile:
    """Read the bytes of a key file, or refuse them.

    Args:
        data: The whole file.
        path: Where it came from, for the error alone.
        mend: How the error tells a person to go on; ends with a command.

    Raises:
        KeyFileError: If anything is not as it should be; names file and line. Never repeats key material.
    """
    parser = _Parser(path, mend)
    for number, line in enumerate(parser.lines(data), start=1):
        parser.feed(number, line)
    return parser.finish()


def format_key_file(public: PublicKey, *, secret: SecretKey | None = None, metadata: Mapping[str, str]) -> bytes:
    """Write a key file that this module, pyzmq and czmq read.

    Raises:
        ValueError: If a metadata name or value cannot be said in ZPL. Callers check what people typed before.
    """
    lines = ["metadata"]
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name) or name.startswith(_RESERVED):
            raise ValueError(f"not a metadata name: {name!r}")
        if not value.isprintable() or ('"' in value and "'" in value):
            raise ValueError(f"metadata {name} has a value that ZPL cannot say")
        quote = "'" if '"' in value else '"'
        lines.append(f"    {name} = {quote}{value}{quote}")
    lines += ["curve", f'    public-key = "{public.z85}"']
    if secret is not None:
        lines.append(f'    secret-key = "{secret.reveal_z85()}"')
    banner = _PUBLIC_BANNER if secret is None else _SECRET_BANNER
    return (banner + "\n" + "\n".join(lines) + "\n").encode("utf-8")


class _Parser:
    """State of reading one file: the section it is in and what was found so far."""

    def __init__(self, path: Path, mend: str) -> None:
        self._path = path
        self._mend = mend
        self._section: str | None = None
        self._sections: set[str] = set()
        self._metadata: dict[str, str] = {}
        self._public: PublicKey | None = None
        self._secret: SecretKey | None = None

    def _refuse(self, what: str, line: int | None = None) -> KeyFileError:
        return KeyFileError(what, self._mend, path=self._path, line=line)

    def lines(self, data: bytes) -> list[str]:
        """Split `data` into lines and refuse what is not plain text; bytes are judged before anything else."""
        if not data:
            raise self._refuse("the file is empty")
        if len(data) > MAX_FILE_BYTES:
            raise self._refuse(f"the file is larger than {MAX_FILE_BYTES} bytes, a key file never is")
        if data.startswith(b"\xef\xbb\xbf"):
            raise self._refuse("the file begins with a byte order mark; save it as plain UTF-8", 1)
        lines = []
        for number, raw in enumerate(data.split(b"\n"), start=1):
            if raw.endswith(b"\r"):
                raise self._refuse("the line ends with a carriage return; save the file with Unix line ends", number)
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError:
                raise self._refuse("the line is not text", number) from None
            if not line.replace("\t", " ").isprintable():
                raise self._refuse("the line has control characters in it", number)
            lines.append(line)
        return lines

    def feed(self, number: int, line: str) -> None:
        """Take one line of text."""
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            return
        if line[0] in " \t":
            name, equals, value = stripped.partition("=")
            if not equals:
                raise self._refuse("expected NAME = VALUE", number)
            self._entry(number, name.rstrip(), self._unquote(number, value.lstrip()))
            return
        if stripped not in ("metadata", "curve"):
            raise self._refuse("expected the section metadata or curve", number)
        if stripped in self._sections:
            raise self._refuse(f"the section {stripped} stands here a second time", number)
        self._sections.add(stripped)
        self._section = stripped

    def _unquote(self, number: int, value: str) -> str:
        if value[:1] not in ("'", '"'):
            return value
        if len(value) < 2 or value[-1] != value[0] or value[0] in value[1:-1]:
            raise self._refuse("the quotes around the value do not match", number)
        return value[1:-1]

    def _entry(self, number: int, name: str, value: str) -> None:
        if self._section is None:
            raise self._refuse("this line stands before the first section", number)
        if self._section == "metadata":
            if not _METADATA_NAME.fullmatch(name) or name.startswith(_RESERVED):
                raise self._refuse("this is no name for metadata", number)
            if name in self._metadata:
                raise self._refuse(f"{name} stands here a second time", number)
            self._metadata[name] = value
            return
        try:
            if name == "public-key":
                if self._public is not None:
                    raise self._refuse("public-key stands here a second time", number)
                self._public = PublicKey(value)
            elif name == "secret-key":
                if self._secret is not None:
                    raise self._refuse("secret-key stands here a second time", number)
                self._secret = SecretKey(value)
            else:
                raise self._refuse("expected public-key or secret-key", number)
        except KeyTextError as error:
            raise self._refuse(f"{name}: {error.what}", number) from None

    def finish(self) -> KeyFile:
        """The file as a whole, once all lines were taken."""
        if "curve" not in self._sections:
            raise self._refuse("the section curve is missing")
        if self._public is None:
            raise self._refuse("public-key is missing")
        if self._secret is not None:
            try:
                KeyPair(self._public, self._secret)
            except KeyTextError as error:
                raise self._refuse(error.what) from None
        return KeyFile(public=self._public, secret=self._secret, metadata=MappingProxyType(self._metadata))
