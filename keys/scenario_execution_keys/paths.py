# SPDX-License-Identifier: Apache-2.0
"""Where the keys are: the folder, and the names of the files in it."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_config_path

KEYS_DIR_VARIABLE = "SCENARIO_EXECUTION_KEYS_DIR"

SERVER = "server"
CLIENT = "client"
PUBLIC_SUFFIX = ".key"
SECRET_SUFFIX = ".key_secret"
AUTHORISED_FOLDER = "authorized_clients"  # the spelling on disk is the one OpenSSH made familiar
KNOWN_SERVERS_FOLDER = "known_servers"
PENDING_FOLDER = "pending"
INVITATIONS_FOLDER = "invitations"


def default_keys_dir() -> Path:
    """The folder for keys of this user when neither option nor environment name one."""
    return user_config_path("scenario_execution") / "keys"


def resolve_keys_dir(option: str | os.PathLike[str] | None = None) -> Path:
    """The folder for keys as an absolute path: `option`, else the environment, else the platform's place.

    An empty option or variable counts as not given.
    """
    for chosen in (option, os.environ.get(KEYS_DIR_VARIABLE)):
        if chosen is not None and os.fspath(chosen):
            return Path(chosen).expanduser().absolute()
    return default_keys_dir()
