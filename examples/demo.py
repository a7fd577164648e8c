# SPDX-License-Identifier: Apache-2.0
"""First light, told as it happens: keys, a server with CURVE, a scenario with remote actions, a stranger at the door.

Started by `./dev demo`. Everything lies in a temporary folder and on a free loopback port; nothing of yours is read or
changed. It exits with 0 only if all of it really happened.
"""

from __future__ import annotations

import io
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SCENARIO = Path(__file__).resolve().parent / "first_light.osc"
COMMANDS = Path(sys.executable).parent
START_S = 30.0  # a server is ready in under a second; a machine busy with other things may need many
RUN_S = 60.0  # a run takes about two seconds, one of them spent on starting the engine
STOP_S = 15.0  # more than the server grants its sessions when they have nothing left to do
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class DemoError(Exception):
    """Something did not happen that had to; the sentence says what, and what came instead."""


def heading(text: str, explanation: str) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    print(f"\n{bold}{text}{plain}")
    print(textwrap.indent(textwrap.fill(explanation, width=96), "  "), flush=True)


def show(command: list[str | Path], output: str) -> None:
    """A command as one would type it, and what it printed."""
    words = [str(part).removeprefix(f"{COMMANDS}/") for part in command]
    print(f"\n  $ {' '.join(words)}")
    print(textwrap.indent(output.rstrip("\n"), "  | "), flush=True)


def expect(happened: bool, sentence: str, output: str = "") -> None:
    """
    Raises:
        DemoError: it did not happen.
    """
    if not happened:
        raise DemoError(f"{sentence}\n{textwrap.indent(output, '  | ')}".rstrip())
    print(f"  ✓ {sentence}", flush=True)


class Person:
    """Somebody with a key store: the commands they type see that store and no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        unset = {name for name in os.environ if name.startswith("SCENARIO_EXECUTION_")}
        self.variables = {name: value for name, value in os.environ.items() if name not in unset}
        self.variables["SCENARIO_EXECUTION_KEYS_DIR"] = str(folder / "keys")
        # a server's audit log, files and control socket; their usual places are the user's own
        for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
            self.variables[name] = str(folder / name.lower())
        # the engine's log goes through a pipe here; without this its lines could wait in a buffer
        self.variables["PYTHONUNBUFFERED"] = "1"

    def type(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of our commands or the engine's, and wait for it; standard error comes with standard output."""
        done = subprocess.run(
            [COMMANDS / command[0], *command[1:]],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_S,
        )
        if not sys.stdout.isatty():
            done.stdout = COLOUR.sub("", done.stdout)
        return done

    def run_scenario(self, endpoint: str) -> subprocess.CompletedProcess[str]:
        """Run first_light.osc with its parameter `endpoint` set."""
        parameters = self.folder / "first_light.yaml"
        parameters.write_text(f'first_light:\n  endpoint: "{endpoint}"\n', encoding="utf-8")
        return self.type("scenario_execution", SCENARIO, "--scenario-parameter-file", parameters)


class Server:
    """A running scenario_execution_server, and what it has logged so far."""

    def __init__(self, owner: Person) -> None:
        self.log_path = owner.folder / "server.log"
        self.sessions_folder = Path(owner.variables["XDG_STATE_HOME"]) / "scenario_execution" / "files"
        ready, told = os.pipe()
        command: list[str | Path] = ["--curve", "--host", "127.0.0.1", "--port", "0", "--ready-fd", str(told)]
        print(f"\n  $ scenario_execution_server {' '.join(map(str, command))} &", flush=True)
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMANDS / "scenario_execution_server", *command],
                cwd=owner.folder,
                env=owner.variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[told],
            )
        os.close(told)
        try:
            # readable when the server has written its newline, and also when it has died and closed its end
            select.select([ready], [], [], START_S)
            self.port = self._port()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            os.close(ready)

    def _port(self) -> int:
        found = re.search(r"listening on tcp://127\.0\.0\.1:(\d+)", self.log())
        if found is None:
            raise DemoError(f"the server does not say that it listens\n{textwrap.indent(self.log(), '  | ')}")
        return int(found[1])

    def log(self) -> str:
        return COLOUR.sub("", self.log_path.read_text(encoding="utf-8", errors="replace"))

    def stop(self) -> int:
        """End it as a service manager would; the exit code, or -9 if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def running(owner: Person) -> Iterator[Server]:
    server = Server(owner)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def last_words(output: str, of: Callable[[str], bool]) -> str:
    """The last line for which `of` holds; empty if there is none."""
    return next((line for line in reversed(output.splitlines()) if of(line)), "")


def tell(folder: Path) -> None:
    """
    Raises:
        DemoError: a step did not do what it says.
    """
    owner = Person(folder / "owner")
    heading("1  Keys", "One command makes the server's key pair and a client pair of yours that is enrolled on it.")
    made = owner.type("se-server", "keygen")
    show(["se-server", "keygen"], made.stdout)
    expect(made.returncode == 0, "there are keys, in a temporary place", made.stdout)

    heading("2  A server", "It speaks CURVE, on loopback and a free port, and admits enrolled clients only.")
    with running(owner) as server:
        endpoint = f"127.0.0.1:{server.port}"
        print(textwrap.indent(server.log().rstrip("\n"), "  | "))
        expect(server.process.poll() is None, f"it listens on {endpoint}")

        heading(
            "3  A scenario",
            "One action runs here; log and run_process below remote() run in a process of the server, in a folder of"
            " their own, and what they print arrives here.",
        )
        text = SCENARIO.read_text(encoding="utf-8").partition("\n")[2]  # without the line about the licence
        print(f"\n{textwrap.indent(text.rstrip(), '    ')}")
        run = owner.run_scenario(endpoint)
        show(["scenario_execution", "first_light.osc"], run.stdout)
        expect(run.returncode == 0, "the scenario succeeded", run.stdout)
        expect("this line comes from the server" in run.stdout, "the remote log line arrived here", run.stdout)
        expect(os.uname().release in run.stdout, "the remote process ran, and what it printed arrived here", run.stdout)
        place = re.search(rf"{re.escape(str(server.sessions_folder))}/\S+", run.stdout)
        expect(place is not None, "it ran in the session's own folder on the server", run.stdout)
        gone = place is not None and not Path(place[0]).exists()
        expect(gone, "and that folder is gone with the session", run.stdout)

        heading(
            "4  A stranger",
            "Somebody else has a key pair too, and knows the server's public key. But nobody enrolled theirs.",
        )
        stranger = Person(folder / "stranger")
        own = stranger.type("se-remote", "keygen")
        show(["se-remote", "keygen"], own.stdout)
        key = re.search(r"sepub-[a-z2-7]+", owner.type("se-server", "key").stdout)
        expect(key is not None, "the server's public key may be known to everybody")
        assert key is not None
        trusted = stranger.type("se-remote", "trust", endpoint, key[0])
        show(["se-remote", "trust", endpoint, key[0]], trusted.stdout)
        expect(trusted.returncode == 0, "the stranger knows the server", trusted.stdout)

        refused = stranger.run_scenario(endpoint)
        reason = last_words(refused.stdout, lambda line: "does not admit" in line)
        # the engine shows a traceback above it, of interest to nobody here
        show(["scenario_execution", "first_light.osc"], f"...\n{reason}" if reason else refused.stdout)
        expect(refused.returncode != 0, "the stranger's scenario failed", refused.stdout)
        expect("se-server enrol" in reason, "the reason is said in words, with the command that would mend it", reason)
        expect("this line comes from the server" not in refused.stdout, "nothing of it ran", refused.stdout)

        heading("5  The end", "The server is asked to end, as a service manager would. This is what it has to say:")
        code = server.stop()
        print(f"\n{textwrap.indent(server.log().rstrip(), '  | ')}")
        expect(code == 0, "it ended in order, with exit code 0")
        stranger_key = re.search(r"sefp-[a-z2-7]+", own.stdout)
        noted = [line for line in server.log().splitlines() if stranger_key and stranger_key[0] in line]
        expect(len(noted) == 1, "it noted whom it refused")
        left = sorted(str(path.relative_to(server.sessions_folder)) for path in server.sessions_folder.rglob("*"))
        expect(not left, "and left nothing behind", "\n".join(left))


def main() -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the marks below are not in every terminal's alphabet
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must not outlive us then either
    with tempfile.TemporaryDirectory(prefix="first-light-") as folder:
        try:
            tell(Path(folder).resolve())
        except (DemoError, subprocess.TimeoutExpired) as error:
            print(f"\n  ✗ this did not happen: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130  # as a shell reports a command ended by SIGINT
    print("\nAll of this happened. What next: README.md, and docs/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
