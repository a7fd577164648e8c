# SPDX-License-Identifier: Apache-2.0
"""Enrolment over an ssh login that exists already: both public keys travel through it, and nothing else is needed."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

from scenario_execution_keys.errors import EntryNameError
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.trust import canonical_host

from .errors import SshError

SCHEME = "ssh://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where to log in.

    Attributes:
        host: The machine, as ssh knows it.
        user: The user there; None for ssh's own choice.
        port: The port of ssh; None for ssh's own choice.
    """

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Login:
        """Read ``ssh://[USER@]HOST[:PORT]``.

        Raises:
            EntryNameError: If it is not that, or could be an option of ssh.
        """
        mend = "Run: se-remote join ssh://USER@HOST"
        try:
            parts = urlsplit(text)
            host, port, user = parts.hostname or "", parts.port, parts.username
        except ValueError:
            raise EntryNameError(f"{text!r} is no ssh login", mend, text=text) from None
        if parts.path not in ("", "/") or parts.query or parts.fragment or parts.password is not None:
            raise EntryNameError(f"{text!r} is more than a login", mend, text=text)
        if user is not None and (not user or user.startswith("-") or not user.isprintable()):
            raise EntryNameError(f"{user!r} is no user", mend, text=text)
        canonical_host(host)
        return cls(host=host, user=user, port=port)

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a command there and return what it prints; its complaints, and ssh's questions, go to the terminal.

        Args:
            command: Words without blanks or anything a shell would read otherwise.
            stdin: What it reads. Keys go here, because command lines can be seen by everybody there.

        Raises:
            SshError: ssh cannot be run, or the command fails.
        """
        words = ["ssh", *self._options, "--", self.host, *command]
        try:
            done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, text=True, check=False)
        except OSError as error:
            raise SshError(self.host, f"ssh cannot be run: {error.strerror}", login=self._typed) from None
        if done.returncode != 0:
            why = f"`{' '.join(command)}` ended with {done.returncode} there"
            raise SshError(self.host, why, login=self._typed)
        return done.stdout

    @property
    def _options(self) -> list[str]:
        port = [] if self.port is None else ["-p", str(self.port)]
        return port if self.user is None else [*port, "-l", self.user]

    @property
    def _typed(self) -> str:
        """The login as a person types it behind ``ssh``."""
        return shlex.join([*self._options, self.host])


def exchange_keys(login: Login, name: str, own: PublicKey) -> PublicKey:
    """Fetch the server's public key, and have ours enrolled there as *name*.

    Raises:
        SshError: A command failed.
        KeyTextError: What came back is no public key.
    """
    server = PublicKey.parse(login.run("se-server", "key"))
    login.run("se-server", "enrol", name, "-", stdin=f"{own.text}\n")
    return server
