# SPDX-License-Identifier: Apache-2.0
"""Keys for tests: two fixed pairs, and what people and attackers put where a key file should be."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_keys.errors import KeyExposedError, KeyFileError, KeysError
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.keypair import KeyPair, PublicKey, SecretKey

# The pair from the documentation of libzmq (zmq_curve(7)), which belongs to nobody.
SERVER = KeyPair(
    PublicKey("rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"), SecretKey("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
)
CLIENT = KeyPair(
    PublicKey("Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"), SecretKey("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
)
FAMILY: tuple[type[KeysError], ...] = (KeysError, *KeysError.__subclasses__())
STRANGER_UID = 4242  # neither root nor, on any sane machine, whoever runs the tests


@dataclass(frozen=True)
class Hostile:
    """One thing that is not the key file it should be: how to put it at a path, and what must be said about it."""

    name: str
    place: Callable[[Path], None]
    error: type[KeysError]
    says: str

    def __str__(self) -> str:
        return self.name


def put(path: Path, data: bytes, mode: int = 0o600) -> None:
    path.write_bytes(data)
    path.chmod(mode)


def _data(data: bytes) -> Callable[[Path], None]:
    return lambda path: put(path, data)


def _mode(mode: int, data: bytes) -> Callable[[Path], None]:
    return lambda path: put(path, data, mode)


def _symlink(data: bytes) -> Callable[[Path], None]:
    def place(path: Path) -> None:
        target = path.parent / "elsewhere"
        put(target, data)
        path.symlink_to(target)

    return place


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _strangers(data: bytes) -> Callable[[Path], None]:
    def place(path: Path) -> None:
        put(path, data)
        os.chown(path, STRANGER_UID, STRANGER_UID)

    return place


def _folder(path: Path) -> None:
    path.mkdir(mode=0o700)


GOOD_PUBLIC = format_key_file(CLIENT.public, metadata={"endpoint": "loopback"})
GOOD_SECRET = format_key_file(CLIENT.public, secret=CLIENT.secret, metadata={})


def hostile_texts(good: bytes) -> dict[str, tuple[bytes, str]]:
    """Bytes that are nearly `good`, and what the refusal says."""
    text = good.decode()
    key_line = next(line for line in text.splitlines() if "public-key" in line)
    lines = text.splitlines(keepends=True)
    return {
        "empty": (b"", "is empty"),
        "truncated in the key": (good[: good.index(b"public-key") + 30], "quotes"),
        "truncated before the key": (good[: good.index(b"curve\n") + 6], "public-key is missing"),
        "truncated before the section": (good[: good.index(b"curve\n")], "curve is missing"),
        "oversized": (good + b"#" * 9000, "larger than"),
        "endless line": (b"#" * 9000, "larger than"),
        "binary": (bytes(range(128, 256)) + good, "not text"),
        "NUL": (good.replace(b"curve", b"cu\0rve"), "control characters"),
        "BOM": (b"\xef\xbb\xbf" + good, "byte order mark"),
        "UTF-16": (text.encode("utf-16"), "not text"),
        "CRLF": (good.replace(b"\n", b"\r\n"), "carriage return"),
        "escape sequence": (b"# \x1b[2J\n" + good, "control characters"),
        "key too short": (text.replace(CLIENT.public.z85, CLIENT.public.z85[:-1]).encode(), "40 characters"),
        "key too long": (text.replace(CLIENT.public.z85, CLIENT.public.z85 + "0").encode(), "40 characters"),
        "bad alphabet": (text.replace(CLIENT.public.z85, "~" + CLIENT.public.z85[1:]).encode(), "does not occur"),
        "overflowing Z85": (text.replace(CLIENT.public.z85, "#" * 40).encode(), "no Z85"),
        "zero key": (text.replace(CLIENT.public.z85, "0" * 40).encode(), "zero"),
        "no value": (text.replace(key_line, "    public-key").encode(), "NAME = VALUE"),
        "quote left open": (text.replace(CLIENT.public.z85 + '"', CLIENT.public.z85).encode(), "quotes"),
        "duplicate public-key": (text.replace(key_line, key_line + "\n" + key_line).encode(), "second time"),
        "duplicate section": (good + b"curve\n", "second time"),
        "duplicate metadata": (b"metadata\n    a = 1\n    a = 2\n" + good[good.index(b"curve\n") :], "second time"),
        "key in the metadata": (b"metadata\n    public-key = x\n" + good[good.index(b"curve\n") :], "no name"),
        "unknown section": (good + b"ssh\n", "expected the section"),
        "unknown entry": (good + b"    private-key = x\n", "expected public-key"),
        "entry before any section": (b"    public-key = x\n" + good, "before the first section"),
        "sections joined": ("".join(lines).replace("curve\n", "curve {\n").encode(), "expected the section"),
        "somebody's SSH key": (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI someone@somewhere\n", "expected the section"),
        "JSON": (b'{"public-key": "x"}\n', "expected the section"),
    }


def hostile_files(good: bytes) -> list[Hostile]:
    """Everything that may stand at the path of a key file and is not `good` in a plain file of our own."""
    return [
        *(Hostile(name, _data(data), KeyFileError, says) for name, (data, says) in hostile_texts(good).items()),
        Hostile("symlink", _symlink(good), KeyFileError, "symbolic link"),
        Hostile("dangling symlink", _dangling, KeyFileError, "symbolic link"),
        Hostile("folder", _folder, KeyFileError, "not a plain file"),
        Hostile("fifo", lambda path: os.mkfifo(path, 0o600), KeyFileError, "not a plain file"),
        Hostile("writable by the group", _mode(0o620, good), KeyExposedError, "mode 0620"),
        Hostile("writable by all", _mode(0o666, good), KeyExposedError, "mode 0666"),
        *(
            # Only root can give a file away; for anybody else the kernel keeps this case from coming up.
            [Hostile("of another user", _strangers(good), KeyExposedError, f"uid {STRANGER_UID}")]
            if os.geteuid() == 0
            else []
        ),
    ]


# What may stand in the folder of refused keys and is no note of one: rubbish, a secret, and another key's file.
HOSTILE_NOTES = [b"", b"rubbish", GOOD_SECRET, format_key_file(CLIENT.public, metadata={})]
