# SPDX-License-Identifier: Apache-2.0
"""Where the keys are: the folder, and the names of the files in it."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_config_path

KEYS_DIR_VARIABLE = "SCENARIO_EXECUTION_KEYS_DIR"
FILE_VARIABLES = {  # name files, never hold keys: what is in the environment can be read by every child
    "server": "SCENARIO_EXECUTION_KEYS_SERVER_FILE",
    "client": "SCENARIO_EXECUTION_KEYS_CLIENT_FILE",
}
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"  # set by systemd for units with LoadCredential=

SERVER = "server"
CLIENT = "client"
PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"
NEXT_SUFFIX, OLD_SUFFIX = ".next", ".old"  # behind a secret file, while a key is exchanged
AUTHORISED_FOLDER = "authorized_clients"  # the spelling on disk is the one OpenSSH made familiar
KNOWN_SERVERS_FOLDER = "known_servers"
PENDING_FOLDER = "pending"
INVITATIONS_FOLDER = "invitations"
SPENT_INVITATIONS_FOLDER = "spent_invitations"


def default_keys_dir() -> Path:
    """The folder for keys of this user when neither option nor environment name one."""
    return user_config_path("scenario_execution") / "keys"


def given_pair_file(role: str) -> tuple[Path, str] | None:
    """The secret file of *role* that stands in for the one in the key store, and the variable that says so.

    That is the file which the variable of the role names, else the credential ``ROLE.key_secret`` of a systemd unit.
    """
    variable = FILE_VARIABLES[role]
    named = os.environ.get(variable)
    if named:
        return Path(named).expanduser().absolute(), variable
    credentials = os.environ.get(CREDENTIALS_VARIABLE)
    if credentials:
        credential = Path(credentials) / (role + SECRET_SUFFIX)
        if credential.exists():
            return credential, CREDENTIALS_VARIABLE
    return None


def resolve_keys_dir(option: str | os.PathLike[str] | None = None) -> Path:
    """The folder for keys as an absolute path: `option`, else the environment, else the platform's place.

    An empty option or variable counts as not given.
    """
    for chosen in (option, os.environ.get(KEYS_DIR_VARIABLE)):
        if chosen is not None and os.fspath(chosen):
            return Path(chosen).expanduser().absolute()
    return default_keys_dir()


def where_keys_are(option: str | os.PathLike[str] | None = None) -> list[str]:
    """Every folder and file that may hold secret keys of this user: what never travels to another machine.

    Args:
        option: Another folder for keys, which a command was told to use.
    """
    given = [found[0] for role in FILE_VARIABLES if (found := given_pair_file(role)) is not None]
    if credentials := os.environ.get(CREDENTIALS_VARIABLE):
        given.append(Path(credentials))
    return [str(path) for path in (resolve_keys_dir(option), resolve_keys_dir(), default_keys_dir(), *given)]
