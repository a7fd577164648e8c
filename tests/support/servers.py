# SPDX-License-Identifier: Apache-2.0
"""Real servers as processes of their own, and what has to be true when they are gone."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenario_execution_keys.keypair import KeyPair, PublicKey
from scenario_execution_keys.store import KeyStore
from tests.support.inventory import MARK, Found, end_marked, marked, new_mark
from tests.support.waiting import wait_until

BIN = Path(sys.executable).parent
START_S = 30.0  # a server listens after half a second; a busy machine may need many
STOP_S = 20.0  # likewise for its end
OWN_NAMES = ("scenario_executi", "se-zygote")  # the kernel keeps 15 characters of a name
CURVE = ("--curve", "--host", "127.0.0.1", "--port", "0")
PLAIN = ("--port", "0")
# So that nothing a test provokes takes long; but a busy machine may need a second to start a worker, and meanwhile
# a raw client of a test may say nothing.
BRISK = ("--watchdog", "2", "--shutdown-timeout", "3")
# Where a raw client says nothing while commands run, each of which may take seconds on a busy machine.
PATIENT = ("--watchdog", "60", "--shutdown-timeout", "3")
# Where an action never ends by itself, and is to be killed.
IMPATIENT = ("--watchdog", "2", "--shutdown-timeout", "0.5")


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without anything that would set our programs or Python otherwise than by default."""
    ours = ("SCENARIO_EXECUTION_", "PYTHON", "NOTIFY_SOCKET", MARK)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PYTHONUNBUFFERED": "1", **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Somebody with a key store of their own."""

    folder: Path
    pair: KeyPair
    server_key: PublicKey


def make_owner(folder: Path) -> Identity:
    """A key store as `se-server keygen` makes it: server pair, client pair, enrolled and trusted on loopback."""
    store = KeyStore(folder)
    server, client = store.create_server_pair(), store.create_client_pair()
    store.enrol("owner", client.public)
    store.trust("loopback", server.public)
    return Identity(folder=folder, pair=client, server_key=server.public)


def make_guest(folder: Path, owner: Identity, name: str | None) -> Identity:
    """Another client of the same server, enrolled under a name, or not at all."""
    store = KeyStore(folder)
    client = store.create_client_pair()
    store.trust("loopback", owner.server_key)
    if name is not None:
        KeyStore(owner.folder).enrol(name, client.public)
    return Identity(folder=folder, pair=client, server_key=owner.server_key)


class ServerProcess:
    """One `scenario_execution_server`.

    Args:
        folder: A new folder for its log and its temporary files.
        options: For its command line.
        keys: Its key store.
        site: PYTHONPATH that makes plug-ins available to it.
        environment: More variables.
    """

    def __init__(
        self, folder: Path, *options: str, keys: Path, site: str, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.mark = new_mark("server")
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self._log_path = folder / "server.log"
        self._was_killed = False
        ready, told = os.pipe()
        self.state = folder / "state"
        self.runtime = Path(tempfile.mkdtemp(prefix="se-"))  # a test's own folder may be too long for sockets
        own = {
            "XDG_STATE_HOME": str(self.state), "XDG_RUNTIME_DIR": str(self.runtime), "TMPDIR": str(self.temporary),
            "PYTHONPATH": site, "PROBE_SIDE": "server", MARK: self.mark,
        }  # fmt: skip
        variables = clean_environment(**(own | (environment or {})))
        command = [BIN / "scenario_execution_server", "--keys-dir", keys, "--ready-fd", str(told), *options]
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[told], cwd=folder
            )
        os.close(told)
        try:
            # readable when it listens, and also when it has died
            select.select([ready], [], [], START_S)
            assert os.read(ready, 1) == b"\n", f"the server does not listen:\n{self.log}"
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(ready)

    @property
    def log(self) -> str:
        """Everything it has written to standard output and error."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def lines(self, *words: str) -> list[str]:
        """The lines of its log that contain all these words."""
        return [line for line in self.log.splitlines() if all(word in line for word in words)]

    def wait_for_log(self, *words: str, count: int = 1, within_s: float = 10.0) -> list[str]:
        """Wait until at least `count` lines with these words are there."""
        wait_until(lambda: len(self.lines(*words)) >= count, within_s)
        return self.lines(*words)

    @property
    def port(self) -> int:
        """Its TCP port."""
        found = re.search(r"listening on .*?tcp://[^ ]*:(\d+)", self.log)
        assert found is not None, self.log
        return int(found[1])

    @property
    def endpoint(self) -> str:
        """What a scenario writes into remote() to reach its TCP port."""
        return f"127.0.0.1:{self.port}"

    # -- what it has started ----------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def zygote_pid(self) -> int:
        (zygote,) = self.named("se-zygote")
        return zygote.pid

    def named(self, name: str) -> list[Found]:
        """Its processes with a name: se-zygote, se-shepherd, se-worker, or the program of an action."""
        return [process for process in marked(self.mark) if process.name == name]

    def of_sessions(self) -> list[Found]:
        """Its processes that belong to sessions."""
        return [process for process in marked(self.mark) if process.pid != self.pid and process.name != "se-zygote"]

    def folders(self) -> list[Path]:
        """The folders of its sessions."""
        return sorted((self.state / "scenario_execution" / "files").glob("server-*/session-*"))

    def kept(self) -> list[Path]:
        """The results that it keeps."""
        return sorted((self.state / "scenario_execution" / "files").glob("clients/*/results/[!.]*"))

    def wait_idle(self, within_s: float = 10.0) -> None:
        """Wait until no session is left: no process, no folder, and the log says so too; and the server itself runs."""

        def is_idle() -> bool:
            is_told = len(self.lines(" session ended ")) >= len(self.lines(" session opened "))
            return is_told and not self.of_sessions() and not self.folders()

        try:
            wait_until(is_idle, within_s)
        except AssertionError:
            raise AssertionError(f"left: {self.of_sessions()} {self.folders()}\n{self.log}") from None
        assert self.process.poll() is None, f"the server has ended with {self.process.returncode}:\n{self.log}"

    # -- its end ----------------------------------------------------------------------------------------------------

    def stop(self, number: signal.Signals = signal.SIGTERM, within_s: float = STOP_S) -> int:
        """Ask it to stop, and wait for it; returns the exit status."""
        self.process.send_signal(number)
        return self.wait(within_s)

    def wait(self, within_s: float = STOP_S) -> int:
        """Wait for its end; returns the exit status."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {within_s:g} s:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL for the front process."""
        self._was_killed = True
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it if it still runs. Fails if anything of it stays: a process, a folder, a socket."""
        try:
            if self.process.poll() is None:
                code = self.stop()
                assert code == 0, f"the server ended with {code}:\n{self.log}"
            if self._was_killed:  # what it left ends by itself, but not before its parent is gone
                wait_until(lambda: not marked(self.mark))
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            left = end_marked(self.mark)
            control = list(self.runtime.rglob("*.sock"))
            shutil.rmtree(self.runtime)
        assert not left, f"left running: {left}\n{self.log}"
        assert not self.folders(), f"left behind: {self.folders()}"
        assert not list(self.temporary.iterdir()), f"left behind: {list(self.temporary.iterdir())}"
        if not self._was_killed:  # a killed one cannot take its own folder and its socket along
            live = list((self.state / "scenario_execution" / "files").glob("server-*"))
            assert not live, f"left behind: {live}"
            sockets = [path for path in self.folder.rglob("*") if path.is_socket()]
            assert not sockets + control, f"left behind: {sockets + control}"


@contextmanager
def serving(
    folder: Path, *options: str, keys: Path, site: str, environment: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A server for the length of a block; see `ServerProcess`."""
    server = ServerProcess(folder, *options, keys=keys, site=site, environment=environment)
    try:
        yield server
    finally:
        server.close()


def seconds_until(event: object) -> float:
    """How long `event()` takes to become true, for bounds that are much wider than what is expected."""
    assert callable(event)
    started_s = time.monotonic()
    wait_until(event, 60.0)
    return time.monotonic() - started_s
