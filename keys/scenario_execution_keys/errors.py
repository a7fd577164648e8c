# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with keys, as one tree of errors.

::

    KeysError                     exit 10
    ├─ KeyNotFoundError (path)             11  there is no such key
    ├─ KeyExistsError   (path)             12  it is there already, and nothing is overwritten
    ├─ KeyFileError     (path, line)       13  the file is not what a key file should be
    ├─ KeyExposedError  (path, mode)       14  others can read or change it
    ├─ PeerUnknownError (fingerprint)      15  nobody enrolled or trusted this key
    ├─ KeyTextError                        16  the text is no public key
    ├─ EntryNameError   (text)             17  the name or endpoint of an entry cannot be used
    ├─ KeyAccessError   (path)             18  the operating system said no
    └─ PermissionValueError (option)       19  what a client may do is not said as it has to be

Every sentence says what was true and ends with the command to run next.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class KeysError(Exception):
    """Root of everything the key store raises on purpose.

    Attributes:
        what: What was true, without a full stop.
        mend: What to do next; ends with the command to run.
        exit_code: Exit code of a command that ends with this error; one per class, above the 1 and 2 that click uses.
    """

    exit_code: ClassVar[int] = 10

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what, mend)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}. {self.mend}"


class KeyNotFoundError(KeysError):
    """There is no key at `path`."""

    exit_code = 11

    def __init__(self, what: str, mend: str, *, path: Path) -> None:
        super().__init__(what, mend)
        self.path = path


class KeyExistsError(KeysError):
    """Something is at `path` already and is left as it is."""

    exit_code = 12

    def __init__(self, what: str, mend: str, *, path: Path) -> None:
        super().__init__(what, mend)
        self.path = path


class KeyFileError(KeysError):
    """The file at `path` is not a key file of the expected kind; `line` counts from 1, None is the file as a whole."""

    exit_code = 13

    def __init__(self, what: str, mend: str, *, path: Path, line: int | None = None) -> None:
        place = f"{path}, line {line}" if line is not None else str(path)
        super().__init__(f"{place}: {what}", mend)
        self.path = path
        self.line = line


class KeyExposedError(KeysError):
    """Others can read or change what is at `path`; `mode` is its permission bits."""

    exit_code = 14

    def __init__(self, what: str, mend: str, *, path: Path, mode: int) -> None:
        super().__init__(f"{path} {what}", mend)
        self.path = path
        self.mode = mode


class PeerUnknownError(KeysError):
    """The peer with this `fingerprint` is in no trust list of ours."""

    exit_code = 15

    def __init__(
        self, fingerprint: str, mend: str = "Run: se-server enrol NAME KEY, KEY as `se-remote key` prints it"
    ) -> None:
        super().__init__(f"nobody enrolled the key {fingerprint}", mend)
        self.fingerprint = fingerprint


class KeyTextError(KeysError):
    """A text is not the key it should be; the text itself is never repeated, because it may be a secret."""

    exit_code = 16


class EntryNameError(KeysError):
    """`text` cannot be the name of a client or the endpoint of a server."""

    exit_code = 17

    def __init__(self, what: str, mend: str, *, text: str) -> None:
        super().__init__(what, mend)
        self.text = text


class KeyAccessError(KeysError):
    """The operating system refused to read or write `path`."""

    exit_code = 18

    def __init__(self, what: str, mend: str, *, path: Path) -> None:
        super().__init__(f"{path}: {what}", mend)
        self.path = path


PERMIT_HELP = "See: se-server permit --help"


class PermissionValueError(KeysError):
    """An option of a client's permissions is unknown, or its value is none; `option` is its name in the key file."""

    exit_code = 19

    def __init__(self, what: str, mend: str = PERMIT_HELP, *, option: str) -> None:
        super().__init__(f"{option}: {what}", mend)
        self.option = option
