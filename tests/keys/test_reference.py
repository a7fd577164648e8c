# SPDX-License-Identifier: Apache-2.0
"""The pages about keys say what the code does."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from scenario_execution_keys import errors, files, keyfile, keypair, paths
from scenario_execution_keys.commands import CLIENT_COMMANDS, SERVER_COMMANDS
from scenario_execution_keys.invitations import Invitations
from scenario_execution_keys.pending import PENDING_LIMIT, PendingKeys
from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.rotation import ClientRotation
from scenario_execution_keys.store import KeyStore
from scenario_execution_keys.trust import ServerScope
from scenario_execution_remote.join_command import join_command
from tests.support.documents import split
from tests.support.keys import CLIENT, FAMILY, SERVER
from tests.support.workspace import ROOT

REFERENCE = ROOT / "docs" / "reference" / "keys.md"
README = ROOT / "keys" / "README.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the reference, without its head."""
    section = REFERENCE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_exit_codes_of_the_reference_are_those_of_the_errors() -> None:
    assert {int(code): name for code, name, _ in rows("Exit codes") if name} == {
        error.exit_code: error.__name__ for error in FAMILY
    }


def test_the_head_of_the_errors_shows_the_same_tree() -> None:
    drawn = {
        name: int(code)
        for name, code in re.findall(r"^[ ├└─]+(\w+Error)[^\d\n]*(?:exit )?(\d+)", errors.__doc__ or "", re.MULTILINE)
    }
    assert drawn == {error.__name__: error.exit_code for error in FAMILY}


def test_the_commands_of_the_reference_are_those_of_the_programs() -> None:
    documented = {" ".join(command.split()[:2]) for command, _ in rows("Commands")}
    of_server = {f"se-server {command.name}" for command in SERVER_COMMANDS}
    of_client = {f"se-remote {command.name}" for command in (*CLIENT_COMMANDS, join_command)}
    assert documented == of_server | of_client


def test_the_files_of_the_reference_are_those_that_are_made(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    store.create_server_pair()
    store.create_client_pair()
    store.enrol("NAME", CLIENT.public)
    store.trust("robot", SERVER.public)
    rotation = ClientRotation(store)
    rotation.make_next()
    rotation.keep_old(CLIENT, [ServerScope.parse("robot")])
    until = datetime.now(timezone.utc) + timedelta(minutes=1)
    Invitations(store).create("invited", ["robot:1"], until, Permissions())
    Invitations(store).create("invited", ["robot:1"], until, Permissions(), replace=True)
    PendingKeys(store).remember(CLIENT.public, "192.0.2.7")
    made = {str(path.relative_to(store.directory)) for path in store.directory.rglob("*") if path.is_file()}
    documented = {name: mode for name, mode, _ in rows("Files")}
    assert documented.pop("every folder") == f"{files.FOLDER_MODE:04o}"
    made = {re.sub(r"sefp-\w+", "FINGERPRINT", name) for name in made}
    patterns = {"robot": "*", "invited": "NAME"}
    for word, pattern in patterns.items():
        made = {name.replace(word, pattern) for name in made}
    assert set(documented) == made
    assert set(documented.values()) == {f"{files.FILE_MODE:04o}"}


def test_the_text_forms_of_the_reference_are_those_of_the_keys() -> None:
    shown = {kind: (prefix, int(rest.split()[0])) for kind, prefix, rest, _ in rows("Text forms")}
    texts = {
        "public key": CLIENT.public.text,
        "secret key": CLIENT.secret.reveal_text(),
        "fingerprint": CLIENT.public.fingerprint,
    }
    assert shown == {
        kind: (text[: text.index("-") + 1], len(text) - text.index("-") - 1) for kind, text in texts.items()
    }


def test_numbers_and_names_of_the_reference_are_those_of_the_code() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    assert f"more than {keyfile.MAX_FILE_BYTES} bytes" in text
    assert f"the first {keypair.CHECKSUM_BYTES} bytes of the SHA-256" in text
    assert paths.KEYS_DIR_VARIABLE in text
    assert f"At most {PENDING_LIMIT} keys" in text


def test_the_keys_of_the_reference_have_no_typo() -> None:
    for text in re.findall(r"sepub-[a-z2-7]+", REFERENCE.read_text(encoding="utf-8")):
        assert keypair.PublicKey.parse(text)


@pytest.mark.parametrize("block", [block for block in split(README)[1] if block.language == "python"], ids=str)
def test_the_readme_runs(block: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(getattr(block, "text", ""), str(block), "exec"), {})
    assert (tmp_path / "keys" / "server.key").exists()
