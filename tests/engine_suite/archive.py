# SPDX-License-Identifier: Apache-2.0
"""The engine's source archive, which has its test suite: from the package index by pip, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import platformdirs

PROJECT, VERSION = "scenario-execution", "1.8.0"
FOLDER = f"scenario_execution-{VERSION}"
NAME = f"{FOLDER}.tar.gz"
SHA256 = "b2e2b65dc6d04a09b856d379d07c3a1e5ae3e6cd2c581b524179a7fcc778629e"
PIP_S = 180  # seconds; it takes 4, and an index that cannot be reached is given up after the retries below
STAND_INS = Path(__file__).parent / "stand_ins"


class NotAvailableError(Exception):
    """The archive is not in the cache and cannot be had; the text is pip's own."""


class WrongArchiveError(Exception):
    """What came is not the archive that this tree is tested with."""


def cache_folder() -> Path:
    """Where the archive is kept, outside of any work tree."""
    return platformdirs.user_cache_path("scenario-execution-server") / "engine-suite"


def fetch(cache: Path) -> Path:
    """The archive in `cache`, downloaded if it is not there.

    Raises:
        NotAvailableError: pip could not get it.
        WrongArchiveError: the index has another one under this name.
    """
    kept = cache / NAME
    if kept.exists() and digest(kept) == SHA256:
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        _download(Path(folder))
        got = Path(folder) / NAME
        if not got.exists() or digest(got) != SHA256:
            found = ", ".join(f"{path.name} ({digest(path)})" for path in Path(folder).iterdir()) or "nothing"
            raise WrongArchiveError(f"expected {NAME} with SHA-256 {SHA256}; the index gave {found}")
        os.replace(got, kept)
    return kept


def _download(folder: Path) -> None:
    # `--no-binary` for this project alone: `:all:` would also build the build back end from its sources
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--retries", "2", "--timeout", "15", "--no-binary", PROJECT, "--dest", str(folder), f"{PROJECT}=={VERSION}",
    ]  # fmt: skip
    # the variable is for the engine's own build script, which would take the version from it
    environment = {name: value for name, value in os.environ.items() if name != "SCENARIO_EXECUTION_VERSION"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PIP_S, check=False)
    except subprocess.TimeoutExpired:
        raise NotAvailableError(f"pip did not finish within {PIP_S} s") from None
    if done.returncode != 0:
        raise NotAvailableError((done.stdout + done.stderr).strip())


def digest(path: Path) -> str:
    """The SHA-256 of a file, as lowercase hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Put the test suite, with what the archive lacks, into `folder`/test.

    Only the suite: the engine's sources beside it would be imported in place of the installed ones.
    """
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if not member.name.startswith(f"{FOLDER}/test/") or not member.isfile():
                continue
            source, target = tar.extractfile(member), folder / Path(member.name).relative_to(FOLDER)
            if source is None or ".." in target.parts:
                raise WrongArchiveError(f"{member.name} in {archive} is no plain file")
            target.parent.mkdir(parents=True, exist_ok=True)
            with source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
    (folder / "test" / "__init__.py").touch()
    for path in STAND_INS.glob("*.py"):
        shutil.copy(path, folder / "test")
