# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import getpass
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from scenario_execution_keys import errors, files
from scenario_execution_keys.keyfile import format_key_file
from scenario_execution_keys.keypair import PublicKey
from scenario_execution_keys.paths import KEYS_DIR_VARIABLE
from scenario_execution_keys.store import KeyStore
from tests.support.command_lines import PROGRAMS, refused, run, succeed
from tests.support.keys import CLIENT, FAMILY, GOOD_PUBLIC, GOOD_SECRET, SERVER, put

DEADLINE_S = 60.0  # an interpreter that starts on a busy machine with two cores needs a few


@pytest.fixture(autouse=True)
def keys_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEYS_DIR_VARIABLE, str(tmp_path / "keys"))
    monkeypatch.setenv("LOGNAME", "alice")
    return tmp_path / "keys"


@pytest.fixture
def store(keys_dir: Path) -> KeyStore:
    return KeyStore(keys_dir)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files_in = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files_in}


# ---------------------------------------------------------------------- se-server keygen


def test_one_keygen_makes_everything_for_one_machine(store: KeyStore) -> None:
    said = succeed("se-server", "keygen").stdout
    server, client = store.server_pair().public, store.client_pair().public
    assert store.authorised_clients().by_key[client].name == "alice"
    assert store.known_server("127.0.0.1", 7613) == store.known_server("::1", 1) == server
    for fact in (server.fingerprint, client.fingerprint, str(store.directory / "server.key_secret"), "alice"):
        assert fact in said
    assert "scenario_execution_server --curve" in said
    assert f"se-remote trust HOST {server.text}" in said


def test_a_second_keygen_refuses_and_touches_nothing(store: KeyStore) -> None:
    succeed("se-server", "keygen")
    before = contents(store.directory)
    sentence = refused(errors.KeyExistsError, "se-server", "keygen")
    assert f"{store.directory}/server.key_secret exists already" in sentence
    assert sentence.endswith("run: se-server key")
    assert contents(store.directory) == before


def test_keygen_enrols_the_client_pair_that_is_there(store: KeyStore) -> None:
    succeed("se-remote", "keygen")
    client = store.client_pair()
    said = succeed("se-server", "keygen").stdout
    assert "Made your client key pair" not in said
    assert store.client_pair() == client
    assert store.authorised_clients().by_key[client.public].name == "alice"


def test_keygen_leaves_a_client_alone_that_is_enrolled_under_another_name(store: KeyStore) -> None:
    store.enrol("somebody", store.create_client_pair().public)
    assert "as somebody" in succeed("se-server", "keygen").stdout
    assert [client.name for client in store.authorised_clients().by_key.values()] == ["somebody"]


def test_keygen_makes_no_server_pair_if_the_client_pair_is_in_trouble(store: KeyStore) -> None:
    succeed("se-remote", "keygen")
    path = store.pair_files("client").secret_path
    path.chmod(0o644)
    assert refused(errors.KeyExposedError, "se-server", "keygen").endswith(f"chmod 600 {path}")
    path.chmod(0o600)
    path.unlink()
    assert "se-remote keygen" in refused(errors.KeyExistsError, "se-server", "keygen")
    assert not store.pair_files("server").secret_path.exists()


def test_keygen_keeps_an_old_pin_and_an_old_name_and_says_how_to_exchange_them(store: KeyStore) -> None:
    store.trust("loopback", SERVER.public)
    store.enrol("alice", CLIENT.public)
    result = run("se-server", "keygen")
    assert result.exit_code == errors.KeyExistsError.exit_code
    server = store.server_pair().public
    assert f"se-remote trust --replace loopback {server.text}" in result.stderr
    assert "se-server enrol --replace alice KEY" in result.stderr
    assert "Made the server's key pair" in result.stdout
    assert store.known_server("127.0.0.1", 1) == SERVER.public
    assert list(store.authorised_clients().by_key) == [CLIENT.public]


@pytest.mark.parametrize("lost", [["client.key", "client.key_secret"], ["authorized_clients"], ["known_servers"]])
def test_the_work_of_a_keygen_that_was_cut_short_is_finished_by_the_commands_it_names(
    store: KeyStore, lost: list[str]
) -> None:
    succeed("se-server", "keygen")
    for name in lost:
        path = store.directory / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if lost[0].startswith("client"):
        store.revoke("alice")
    before = contents(store.directory)
    sentence = refused(errors.KeyExistsError, "se-server", "keygen")
    assert contents(store.directory) == before
    steps = sentence.partition("as well, run: ")[2].split(" && ")
    assert steps
    for step in steps:
        words = re.sub(r'"\$\((.*) key\)"', lambda match: succeed(match[1], "key").stdout, step).split()
        succeed(*words)
    assert store.client_pair().public in store.authorised_clients().by_key
    assert store.known_server("localhost", 1) == store.server_pair().public
    assert refused(errors.KeyExistsError, "se-server", "keygen").endswith("run: se-server key")


@pytest.mark.parametrize("problem", [KeyError("uid not found"), OSError("No username set in the environment")])
def test_a_user_without_a_name_is_enrolled_by_number(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fail() -> str:
        raise problem

    monkeypatch.setattr(getpass, "getuser", fail)
    succeed("se-server", "keygen")
    assert [client.name for client in store.authorised_clients().by_key.values()] == [f"uid-{os.getuid()}"]


def test_of_several_keygens_at_once_one_wins_and_all_files_are_whole(keys_dir: Path) -> None:
    code = "from scenario_execution_server.key_cli import main; main()"
    command = [sys.executable, "-W", "error", "-c", code, "keygen"]
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = [process.communicate(timeout=DEADLINE_S)[1] for process in running]
    codes = sorted(process.returncode for process in running)
    assert codes == [0] + [errors.KeyExistsError.exit_code] * 3, said
    store = KeyStore(keys_dir)
    assert store.client_pair().public in store.authorised_clients().by_key
    assert not store.authorised_clients().refused
    assert store.known_server("localhost", 1) == store.server_pair().public
    assert sorted(path.name for path in keys_dir.rglob("*") if path.is_file()) == [
        "alice.key",
        "client.key",
        "client.key_secret",
        "loopback.key",
        "server.key",
        "server.key_secret",
    ]


# ---------------------------------------------------------------------- key


@pytest.mark.parametrize(
    ("program", "advice"), [("se-server", "se-remote trust HOST"), ("se-remote", "se-server enrol alice")]
)
def test_key_prints_the_key_alone_and_tells_the_fingerprint_beside_it(
    store: KeyStore, program: str, advice: str
) -> None:
    public = (store.create_server_pair() if program == "se-server" else store.create_client_pair()).public
    result = succeed(program, "key")
    assert result.stdout == f"{public.text}\n"
    assert public.fingerprint in result.stderr
    assert result.stderr.endswith(f"{advice} {public.text}\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_missing_pair_leads_to_keygen(program: str) -> None:
    assert refused(errors.KeyNotFoundError, program, "key").endswith(f"Run: {program} keygen")


# ---------------------------------------------------------------------- enrol


@pytest.mark.parametrize("form", ["text", "Z85", "our file", "file without suffix"])
def test_a_client_is_enrolled_by_whatever_shows_its_public_key(store: KeyStore, tmp_path: Path, form: str) -> None:
    put(tmp_path / "client.key", GOOD_PUBLIC, 0o644)
    put(tmp_path / "client", GOOD_PUBLIC, 0o644)
    key = {
        "text": CLIENT.public.text,
        "Z85": CLIENT.public.z85,
        "our file": str(tmp_path / "client.key"),
        "file without suffix": str(tmp_path / "client"),
    }[form]
    said = succeed("se-server", "enrol", "robot", key).stdout
    assert store.authorised_clients().by_key[CLIENT.public].name == "robot"
    assert CLIENT.public.fingerprint in said
    assert "se-remote trust HOST KEY" in said


def test_a_pasted_secret_is_refused_by_name_and_not_repeated(store: KeyStore, tmp_path: Path) -> None:
    put(tmp_path / "client.key_secret", GOOD_SECRET)
    put(tmp_path / "disguised.key", GOOD_SECRET)
    pasted = SERVER.secret.reveal_text()
    for words in (["se-server", "enrol", "robot"], ["se-remote", "trust", "robot"]):
        assert "secret key" in refused(errors.KeyTextError, *words, pasted)
        for name in ("client.key_secret", "disguised.key"):
            assert "secret key" in refused(errors.KeyFileError, *words, str(tmp_path / name))
    assert not store.directory.exists()


def test_our_own_secret_is_recognised_even_in_z85(store: KeyStore) -> None:
    pair = store.create_client_pair()
    result = CliRunner().invoke(PROGRAMS["se-server"], ["enrol", "alice", "--", pair.secret.reveal_z85()])
    assert result.exit_code == errors.KeyTextError.exit_code
    assert "secret key" in result.stderr and pair.secret.reveal_z85() not in result.output


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("sepub-typo", errors.KeyTextError),
        (SERVER.public.text[:-1] + "a", errors.KeyTextError),
        (SERVER.public.fingerprint, errors.KeyTextError),
        ("", errors.KeyTextError),
        ("\0", errors.KeyTextError),
        ("x" * 5000, errors.KeyTextError),
        ("nowhere.key", errors.KeyNotFoundError),
        ("/nowhere/at/all.key", errors.KeyNotFoundError),
        ("/dev/null", errors.KeyFileError),
        ("/", errors.KeyFileError),
    ],
)
def test_a_bad_key_is_refused_with_the_command_that_prints_a_good_one(
    store: KeyStore, key: str, error: type[errors.KeysError]
) -> None:
    assert "`se-server key`" in refused(error, "se-server", "enrol", "robot", key)
    assert "`se-server key`" in refused(error, "se-remote", "trust", "robot", key)
    assert not store.directory.exists()


def test_a_pipe_does_not_hang_the_command(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.key")
    assert "plain file" in refused(errors.KeyFileError, "se-server", "enrol", "robot", str(tmp_path / "pipe.key"))


def test_a_name_that_is_none_is_refused(store: KeyStore) -> None:
    sentence = refused(errors.EntryNameError, "se-server", "enrol", "../robot", CLIENT.public.text)
    assert sentence.endswith("Run: se-server enrol NAME KEY")
    assert not store.directory.exists()


def test_a_name_that_is_taken_is_exchanged_only_with_replace(store: KeyStore) -> None:
    succeed("se-server", "enrol", "robot", CLIENT.public.text)
    refused(errors.KeyExistsError, "se-server", "enrol", "robot", SERVER.public.text)
    succeed("se-server", "enrol", "--replace", "robot", SERVER.public.text)
    assert list(store.authorised_clients().by_key) == [SERVER.public]


# ---------------------------------------------------------------------- trust


@pytest.mark.parametrize(
    ("endpoint", "shown", "lookup"),
    [
        ("robot", "robot", ("robot", 1)),
        ("tcp://robot:7613", "robot:7613", ("robot", 7613)),
        ("[::2]:7613", "[::2]:7613", ("::2", 7613)),
        ("loopback", "127.0.0.1", ("127.0.0.1", 7613)),
    ],
)
def test_a_trusted_server_is_pinned(store: KeyStore, endpoint: str, shown: str, lookup: tuple[str, int]) -> None:
    said = succeed("se-remote", "trust", endpoint, SERVER.public.text).stdout
    assert store.known_server(*lookup) == SERVER.public
    assert f'remote("{shown}")' in said and SERVER.public.fingerprint in said


def test_a_pin_is_exchanged_only_with_the_command_the_error_names(store: KeyStore) -> None:
    succeed("se-remote", "trust", "robot", SERVER.public.text)
    sentence = refused(errors.KeyExistsError, "se-remote", "trust", "robot", CLIENT.public.text)
    assert SERVER.public.fingerprint in sentence and CLIENT.public.fingerprint in sentence
    command = sentence.partition("then run: ")[2]
    assert "--replace" in command
    succeed(*command.split())
    assert store.known_server("robot", 1) == CLIENT.public


def test_what_is_no_endpoint_is_refused(store: KeyStore) -> None:
    sentence = refused(errors.EntryNameError, "se-remote", "trust", "/tmp/se.sock", SERVER.public.text)
    assert "file permissions" in sentence
    assert sentence.endswith("Run: se-remote trust ENDPOINT KEY")


# ---------------------------------------------------------------------- all commands

COMMAND_LINES = [
    ["se-server", "keygen"],
    ["se-server", "key"],
    ["se-server", "enrol", "robot", CLIENT.public.text],
    ["se-remote", "keygen"],
    ["se-remote", "key"],
    ["se-remote", "trust", "robot", SERVER.public.text],
]


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_every_command_takes_the_folder_from_its_option(words: list[str], tmp_path: Path, keys_dir: Path) -> None:
    chosen = tmp_path / "chosen"
    if words[-1] == "key":
        store = KeyStore(chosen)
        store.create_server_pair()
        store.create_client_pair()
    succeed(*words, "--keys-dir", str(chosen))
    assert chosen.is_dir()
    assert not keys_dir.exists()


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_every_command_refuses_an_exposed_folder(words: list[str], keys_dir: Path) -> None:
    files.make_folder(keys_dir)
    keys_dir.chmod(0o755)
    assert refused(errors.KeyExposedError, *words).endswith(f"Run: chmod 700 {keys_dir}")
    assert list(keys_dir.iterdir()) == []


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_every_command_tells_of_a_folder_that_cannot_be_used(words: list[str], keys_dir: Path) -> None:
    keys_dir.touch()
    chosen = keys_dir / "below-a-file"
    assert "Run: ls -ld" in refused(errors.KeyAccessError, *words, "--keys-dir", str(chosen))


def test_a_damaged_file_is_told_with_file_and_line(store: KeyStore) -> None:
    store.create_server_pair()
    path = store.pair_files("server").secret_path
    put(path, path.read_bytes() + b"    secret-key = again\n")
    sentence = refused(errors.KeyFileError, "se-server", "key")
    assert re.match(rf"se-server: {re.escape(str(path))}, line \d+: secret-key stands here a second time\.", sentence)


def test_the_exit_codes_are_distinct_and_not_those_of_click() -> None:
    codes = [error.exit_code for error in FAMILY]
    assert len(set(codes)) == len(codes)
    assert not {0, 1, 2} & set(codes)
    assert max(codes) < 64  # where the exit codes of sysexits.h, of shells and of signals begin


def test_an_error_can_be_raised_in_words_of_its_own() -> None:
    error = errors.PeerUnknownError(CLIENT.public.fingerprint)
    assert error.fingerprint == CLIENT.public.fingerprint
    assert str(error) == f"{error.what}. {error.mend}"
    assert "se-server enrol" in error.mend


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_arguments_the_commands_are_listed(program: str) -> None:
    said = run(program, "--help").output
    assert f"Usage: {program}" in said and "keygen" in said


# ---------------------------------------------------------------------- the installed programs


def installed(program: str, *words: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run the console script in an environment that says nothing but where home is."""
    script = Path(sys.executable).with_name(program)
    return subprocess.run(
        [script, *words],
        env={"HOME": str(home), "PATH": os.defpath, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_the_installed_programs_keep_their_keys_below_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    made = installed("se-server", "keygen", home=home)
    assert (made.returncode, made.stderr) == (0, "")
    keys = home / ".config" / "scenario_execution" / "keys"
    assert stat.S_IMODE((keys / "server.key_secret").stat().st_mode) == 0o600
    shown = installed("se-remote", "key", home=home)
    assert PublicKey.parse(shown.stdout) == KeyStore(keys).client_pair().public
    again = installed("se-server", "keygen", home=home)
    assert again.returncode == errors.KeyExistsError.exit_code
    assert again.stderr.startswith("se-server: ") and "Traceback" not in again.stderr
    put(keys / "known_servers" / "bad.key", format_key_file(SERVER.public, metadata={}))
    assert installed("se-remote", "trust", "robot", SERVER.public.text, home=home).returncode == 0
