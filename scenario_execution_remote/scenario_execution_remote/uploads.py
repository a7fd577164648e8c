# SPDX-License-Identifier: Apache-2.0
"""What ``remote(..., upload: [...])`` names, found on this machine."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from scenario_execution_keys.paths import where_keys_are


class UploadError(RuntimeError):
    """Something that is to be taken to the server is not there, or may not leave this machine; names it."""


def found(wanted: Iterable[str], base: str) -> dict[str, list[str]]:
    """What *wanted* names: for each folder, the names in it.

    Args:
        wanted: Files, folders and globs, absolute or relative to *base*.
        base: The scenario's directory.

    Raises:
        UploadError: some of it is missing, or is where keys are.
    """
    folders: dict[str, list[str]] = {}
    missing, secret = [], []
    keys = [os.path.realpath(path) for path in where_keys_are()]
    for text in wanted:
        # ~ is the shell's, but nobody who writes it here means a file of that name
        pattern = os.path.normpath(os.path.join(base, os.path.expanduser(text)))
        matches = [pattern] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            missing.append(text)
        for path in matches:
            real = os.path.realpath(path)
            if any(real == one or real.startswith(f"{one}/") for one in keys):
                secret.append(text)
                continue
            folder, name = os.path.split(path)
            names = folders.setdefault(folder, [])
            if name and name not in names:
                names.append(name)
    if missing:
        raise UploadError(
            f"upload: there is no {', '.join(map(ascii, missing))}; names are relative to the scenario's folder {base}"
        )
    if secret:
        shown = ", ".join(map(ascii, secret))
        raise UploadError(f"upload: {shown} is where keys are kept, which never leave this machine")
    return folders
