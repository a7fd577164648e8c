# SPDX-License-Identifier: Apache-2.0
"""The key store: one folder with our pairs, the clients we admit and the servers we know."""

from __future__ import annotations

import os
import shlex

from scenario_execution_keys import paths
from scenario_execution_keys.enrolled import EnrolledClients
from scenario_execution_keys.known import KnownServers


class KeyStore(EnrolledClients, KnownServers):
    """Both sides of one folder, because a machine may be server and client at once. Arguments as for `KeyFolder`."""

    @classmethod
    def open(cls, keys_dir: str | os.PathLike[str] | None = None) -> KeyStore:
        """The store in `keys_dir`, else in ``SCENARIO_EXECUTION_KEYS_DIR``, else in the platform's place."""
        directory = paths.resolve_keys_dir(keys_dir)
        found_without_option = directory == paths.resolve_keys_dir()
        return cls(directory, option="" if found_without_option else f" --keys-dir {shlex.quote(str(directory))}")
