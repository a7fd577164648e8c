# SPDX-License-Identifier: Apache-2.0
"""`se-remote ls`, `get`, `put` and `rm`: what a server keeps for a client, carried by hand."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.store import KeyStore
from scenario_execution_remote.errors import CarryingError, NotEnrolledError
from tests.support.proxy import Proxy
from tests.support.scenarios import heard
from tests.support.servers import BIN, BRISK, CURVE, IMPATIENT, Identity, ServerProcess, clean_environment, make_guest
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve, Start
from tests.system.test_kept_results import WRITES_AND_WAITS, lose_a_client
from tests.system.test_results_come_home import code, here, whole

REFUSED = CarryingError.exit_code


def start_typing(who: Identity, *words: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    environment = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(who.folder))
    return subprocess.Popen(
        [BIN / "se-remote", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
    )


def typed(who: Identity, *words: str | Path, code: int = 0, cwd: Path | None = None) -> str:
    """What a command of se-remote prints on standard output, or on standard error if it is to fail."""
    process = start_typing(who, *words, cwd=cwd)
    output, complaints = process.communicate(timeout=60)
    assert process.returncode == code, output + complaints
    return complaints if code else output


def listed(who: Identity, server: ServerProcess, *path: str) -> list[str]:
    found = json.loads(typed(who, "ls", server.endpoint, *path, "--json"))["files"]
    return [one["name"] for one in found]


def test_results_of_a_lost_run_are_listed_and_fetched_whole(
    serve: Serve, start: Start, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *IMPATIENT)
    kept = lose_a_client(server, start, tmp_path)
    (name,) = listed(owner, server)
    assert name == f"results/{kept.name}/"
    assert f"{name}  until 20" in typed(owner, "ls", server.endpoint)
    assert f"{name}output-1/x" in listed(owner, server, name)
    typed(owner, "get", server.endpoint, name, cwd=tmp_path)
    assert (tmp_path / kept.name / "output-1" / "x").read_text() == "precious"
    typed(owner, "get", server.endpoint, f"{name}output-1/x", tmp_path / "one")
    assert (tmp_path / "one" / "x").read_text() == "precious"
    typed(owner, "rm", server.endpoint, name)
    assert listed(owner, server) == [] and not kept.exists()


def test_a_client_that_is_revoked_is_told_what_its_operator_can_do_before_it_can_fetch_its_results_and_that_is_enough(
    serve: Serve, start: Start, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    alice = make_guest(tmp_path / "alice", owner, "alice")
    server.wait_for_log("enrolled=alice")
    scenario = whole(code(server.endpoint, update=WRITES_AND_WAITS))
    client = start(scenario, "-o", str(here(tmp_path)), whole=True, who=alice)
    client.wait_for("it is written")
    KeyStore(owner.folder).revoke("alice")
    (line,) = [line for line in client.finish().said if "some may be left there" in line]
    step, _, last = line.partition("Ask its operator to run: ")[2].partition(". Once it does again, ")
    assert last == f"`se-remote get` fetches them; run: se-remote ls {server.endpoint}"
    typed(alice, "ls", server.endpoint, code=NotEnrolledError.exit_code)  # so that this comes second
    command, _, key = step.partition(", KEY as ")
    prints = "`se-remote key` prints it"
    killed = f"{prints}. Its actions did not stop within 0.3 s and were killed"  # as on a busy machine
    assert command == "se-server enrol NAME KEY" and key in (prints, killed)
    key = typed(alice, "key").strip()
    words = shlex.split(command.replace("NAME", "alice").replace("KEY", key))
    environment = clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(owner.folder))
    try:
        subprocess.run(words, executable=BIN / words[0], env=environment, check=True)
        server.wait_for_log("clients changed", "enrolled=alice", count=2)
        (name,) = listed(alice, server)
        typed(alice, "get", server.endpoint, f"{name}output-1/x", tmp_path / "home")
    finally:
        KeyStore(owner.folder).revoke("alice")
    assert (tmp_path / "home" / "x").read_text() == "precious"


def test_what_is_kept_for_one_client_is_not_there_for_another(
    serve: Serve, start: Start, guest: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *IMPATIENT)
    kept = lose_a_client(server, start, tmp_path)
    assert listed(guest, server) == []
    assert "there is no" in typed(guest, "get", server.endpoint, f"results/{kept.name}", code=REFUSED, cwd=tmp_path)


def test_what_is_put_is_found_by_an_action_under_the_path_that_was_printed(
    server: ServerProcess, run: Run, owner: Identity, tmp_path: Path
) -> None:
    folder = tmp_path / "maps"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "map.yaml").write_text("resolution: 0.05")
    (folder / "tool").write_text("#!/bin/sh")
    (folder / "tool").chmod(0o755)
    (place,) = typed(owner, "put", server.endpoint, folder).splitlines()
    outcome = run(heard(f"cat {place}/deep/map.yaml", "resolution", f'remote("{server.endpoint}")'))
    assert "INFO resolution: 0.05" in outcome.said, outcome.output
    assert stat.S_IMODE((Path(place) / "tool").stat().st_mode) == 0o755
    assert {"files/maps/", "files/maps/deep/", "files/maps/deep/map.yaml"} <= set(listed(owner, server))
    typed(owner, "get", server.endpoint, "files/maps", tmp_path / "back")
    assert (tmp_path / "back" / "maps" / "deep" / "map.yaml").read_text() == "resolution: 0.05"
    typed(owner, "rm", server.endpoint, "files/maps")
    assert listed(owner, server) == []


def test_what_has_come_or_gone_is_counted_and_a_folder_has_no_time(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "maps" / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (tmp_path / "maps" / name).write_bytes(bytes(1000))
    typed(owner, "put", server.endpoint, tmp_path / "maps")
    listing = typed(owner, "ls", server.endpoint).splitlines()
    assert listing[0] == f"{'':>33}  files/maps/" and "1970" not in "".join(listing)
    rows = json.loads(typed(owner, "ls", server.endpoint, "--json"))["files"]
    assert [row["time"] is None for row in rows] == [row["kind"] == "folder" for row in rows]
    back = tmp_path / "back"
    assert typed(owner, "get", server.endpoint, "files/maps/", back) == f"fetched 2 files, 2.0 kB: {back}/maps\n"
    (back / "maps" / "a").unlink()
    (back / "maps" / "a").mkdir()
    (back / "maps" / "a" / "mine").write_text("mine")
    process = start_typing(owner, "get", server.endpoint, "files/maps", back)
    output, complaints = process.communicate(timeout=60)
    assert (process.returncode, output) == (REFUSED, f"fetched 2 files, 2.0 kB: {back}/maps\n"), complaints
    assert "theirs is kept as 'maps/a~server'" in complaints
    assert typed(owner, "rm", server.endpoint, "files/maps/a") == "removed 1 file, 1.0 kB: files/maps/a\n"
    assert typed(owner, "rm", server.endpoint, "files") == "removed 1 file, 1.0 kB: files\n"
    assert "nothing: no results" in start_typing(owner, "ls", server.endpoint).communicate(timeout=60)[1]


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "..", "files/../../..", "results/../..", "files/./x", "clients", "results/.new-x", "files/n", "\n"],
)
@pytest.mark.parametrize("verb", ["ls", "get", "rm"])
def test_paths_that_are_none_of_the_clients_are_refused(
    verb: str, path: str, server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    assert "there is no" in typed(owner, verb, server.endpoint, path, code=REFUSED, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_clients_folder_leads_nowhere(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "x").write_text("x")
    (place,) = typed(owner, "put", server.endpoint, tmp_path / "x").splitlines()
    link = Path(place).with_name("link")
    link.symlink_to("/etc")
    typed(owner, "get", server.endpoint, "files/link/passwd", code=REFUSED, cwd=tmp_path)
    typed(owner, "get", server.endpoint, "files/link", code=REFUSED, cwd=tmp_path)
    typed(owner, "rm", server.endpoint, "files/link")
    assert Path("/etc/passwd").exists() and not link.is_symlink()
    typed(owner, "rm", server.endpoint, "files/x")


def test_a_client_that_may_only_look_puts_and_removes_nothing(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    observer = make_guest(tmp_path / "observer", owner, None)
    KeyStore(owner.folder).enrol("observer", observer.pair.public, permissions=Permissions(observe=True))
    try:
        server.wait_for_log("enrolled=observer")
        (tmp_path / "x").write_text("x")
        sentence = typed(observer, "put", server.endpoint, tmp_path / "x", code=REFUSED)
        assert "may only look" in sentence and "--files" not in sentence
        permit = f"se-server permit observer --keys-dir {owner.folder} --no-observe"
        assert f"its operator may run: {permit} (and --allow NAME" in sentence
        assert "may only look" in typed(observer, "rm", server.endpoint, "files/x", code=REFUSED)
        assert listed(observer, server) == []
    finally:
        KeyStore(owner.folder).revoke("observer")


def test_more_than_may_be_stored_is_refused_with_the_next_step_and_what_was_there_stays(
    serve: Serve, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "stored=1M")
    (tmp_path / "small").write_bytes(os.urandom(600_000))
    (tmp_path / "more").write_bytes(os.urandom(600_000))
    typed(owner, "put", server.endpoint, tmp_path / "small")
    process = start_typing(owner, "put", server.endpoint, tmp_path / "small", tmp_path / "more")
    output, sentence = process.communicate(timeout=60)
    assert process.returncode == REFUSED and [Path(line).name for line in output.splitlines()] == ["small"]
    assert "'more' has 600.0 kB, and 400.0 kB are left of the 1.0 MB" in sentence and "se-remote rm" in sentence
    assert listed(owner, server) == ["files/small"]
    command = sentence.rpartition("its operator may run: ")[2]
    assert command.startswith("se-server permit owner ") and command.endswith(" --files stored=3M\n")
    (tmp_path / "small").write_bytes(os.urandom(1_500_000))  # what lies there under its name is not this
    process = start_typing(owner, "put", server.endpoint, tmp_path / "small")
    assert (process.communicate(timeout=60)[0], process.returncode) == ("", REFUSED)
    assert listed(owner, server) == ["files/small"]
    try:
        subprocess.run(shlex.split(command), executable=BIN / "se-server", env=clean_environment(), check=True)
        server.wait_for_log("permitted=owner")
        typed(owner, "put", server.endpoint, tmp_path / "more")
    finally:
        KeyStore(owner.folder).permit("owner", {"files": None})


def test_what_is_put_counts_as_what_a_session_carries(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "count=1")
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    sentence = typed(owner, "put", server.endpoint, tmp_path / "a", tmp_path / "b", code=REFUSED)
    assert "'b' is one more than the 1 files that this session may carry" in sentence
    assert listed(owner, server) == ["files/a"]


def test_keys_cannot_be_put_however_they_are_named(
    server: ServerProcess, owner: Identity, guest: Identity, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(guest.folder)
    (tmp_path / "harmless").symlink_to(guest.folder / "client.key_secret")
    (tmp_path / "copy.key_secret").write_bytes((guest.folder / "client.key_secret").read_bytes())
    for name in (guest.folder, guest.folder / "client.key", "link", "harmless", "copy.key_secret"):
        sentence = typed(guest, "put", server.endpoint, name, code=REFUSED, cwd=tmp_path)
        real = (tmp_path / name).resolve().name
        assert f"nothing of it can be put on a server. {real!r} is a secret key, or where keys are" in sentence
    other = make_guest(tmp_path / "elsewhere", owner, None).folder
    words = ("put", server.endpoint, other, "--keys-dir", other)
    assert "never leave this machine" in typed(guest, *words, code=REFUSED)
    assert listed(guest, server) == []


def test_what_holds_keys_is_put_without_them_and_says_so(
    server: ServerProcess, guest: Identity, tmp_path: Path
) -> None:
    around = guest.folder.parent
    (around / "a").write_text("a")
    left = typed(guest, "put", server.endpoint, around, code=REFUSED)
    assert f"'{around.name}/{guest.folder.name}' is a secret key, or where keys are kept" in left
    names = listed(guest, server)
    typed(guest, "rm", server.endpoint, f"files/{around.name}")
    assert f"files/{around.name}/a" in names and not any("key" in name.removeprefix("files/") for name in names), names


def test_a_link_that_is_typed_is_followed_and_keeps_its_name(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "maps-2026").mkdir()
    (tmp_path / "maps-2026" / "site").write_text("site")
    (tmp_path / "maps-2026" / "last").symlink_to("site")
    (tmp_path / "maps").symlink_to("maps-2026")
    (tmp_path / "site").symlink_to("maps/site")
    placed = typed(owner, "put", server.endpoint, "maps", "site", cwd=tmp_path).splitlines()
    assert [Path(place).name for place in placed] == ["maps", "site"]
    assert listed(owner, server) == ["files/maps/", "files/site", "files/maps/last", "files/maps/site"]
    assert (Path(placed[0]) / "last").read_text() == Path(placed[1]).read_text() == "site"
    for name in ("maps", "site"):
        typed(owner, "rm", server.endpoint, f"files/{name}")


def test_two_things_of_one_name_are_not_put_over_each_other_and_what_is_advised_puts_both(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    for folder in ("of march", "of june"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "map").write_text(folder)
    words = ("put", server.endpoint, "of march/map", "of june/map")
    sentence = typed(owner, *words, code=REFUSED, cwd=tmp_path)
    assert "'of march/map' and 'of june/map' would both be put under the name map" in sentence
    assert listed(owner, server) == []
    command = shlex.split(sentence.rpartition("name of the link: ")[2])
    assert command == ["ln", "-s", "of june/map", "map-2"]
    subprocess.run(command, check=True, cwd=tmp_path)
    placed = typed(owner, *words[:-1], "map-2", cwd=tmp_path).splitlines()
    assert [Path(place).read_text() for place in placed] == ["of march", "of june"]
    for name in ("map", "map-2"):
        typed(owner, "rm", server.endpoint, f"files/{name}")


def test_what_is_typed_twice_is_put_once(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "site").write_text("site")
    words = ("put", server.endpoint, "maps", "maps/", "maps/../maps", tmp_path / "maps")
    (place,) = typed(owner, *words, cwd=tmp_path).splitlines()
    assert (Path(place) / "site").read_text() == "site"
    typed(owner, "rm", server.endpoint, "files/maps")


def test_a_pipe_is_said_to_be_one_and_nobody_waits_for_it(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "pipe")
    why = "is left where it is: it is a device, a pipe or a socket"
    assert f"'pipe' {why}" in typed(owner, "put", server.endpoint, tmp_path / "d" / "pipe", code=REFUSED)
    assert f"'d/pipe' {why}" in typed(owner, "put", server.endpoint, tmp_path / "d", code=REFUSED)
    assert listed(owner, server) == ["files/d/"]
    typed(owner, "rm", server.endpoint, "files/d")


def test_a_folder_with_nothing_in_it_and_one_that_ends_with_a_link_astray_are_put_without_a_wait(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    typed(owner, "put", server.endpoint, tmp_path / "empty")
    (tmp_path / "empty" / "astray").symlink_to("/etc/passwd")
    assert "'empty/astray': " in typed(owner, "put", server.endpoint, tmp_path / "empty", code=REFUSED)
    assert listed(owner, server) == ["files/empty/"]
    typed(owner, "rm", server.endpoint, "files/empty")


def test_nothing_is_put_if_something_of_it_is_not_there(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("a")
    assert "nothing is not there" in typed(
        owner, "put", server.endpoint, "a", "nothing", code=REFUSED, cwd=tmp_path
    )
    assert listed(owner, server) == []


def test_what_is_not_there_cannot_be_put(server: ServerProcess, owner: Identity, tmp_path: Path) -> None:
    assert "is not there" in typed(owner, "put", server.endpoint, tmp_path / "nothing", code=REFUSED)


def test_a_put_that_is_killed_leaves_nothing_under_its_name(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "rate=20M")
    (tmp_path / "big").write_bytes(os.urandom(100_000_000))
    process = start_typing(owner, "put", server.endpoint, tmp_path / "big")
    files = server.state / "scenario_execution" / "files" / "clients"
    wait_until(lambda: list(files.glob("*/files/.scenario-remote-*")), 30.0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.wait_idle(30.0)
    assert list(files.glob("*/files/*")) == []


def test_a_put_after_one_that_was_killed_waits_until_the_server_has_ended_that_one(
    serve: Serve, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, "--watchdog", "5", "--file-limits", "rate=20M stored=1G")
    (tmp_path / "big").write_bytes(os.urandom(100_000_000))
    (tmp_path / "small").write_text("small")
    process = start_typing(owner, "put", server.endpoint, tmp_path / "big")
    files = server.state / "scenario_execution" / "files" / "clients"
    wait_until(lambda: list(files.glob("*/files/.scenario-remote-*")), 30.0)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start_typing(owner, "put", server.endpoint, tmp_path / "small")
    output, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert complaints == (
        "se-remote: another `put` of this key is not done; waiting for up to 45 s, within which the server ends it if "
        "it was killed\n"
    )
    assert Path(output.strip()).read_text() == "small"
    server.wait_idle(30.0)


def test_a_put_beside_one_that_goes_on_is_refused_when_the_server_would_have_ended_a_killed_one(
    serve: Serve, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, "--watchdog", "2", "--shutdown-timeout", "1", "--file-limits", "rate=1M stored=1G")
    (tmp_path / "big").write_bytes(os.urandom(100_000_000))
    (tmp_path / "small").write_text("small")
    first = start_typing(owner, "put", server.endpoint, tmp_path / "big")
    files = server.state / "scenario_execution" / "files" / "clients"
    wait_until(lambda: list(files.glob("*/files/.scenario-remote-*")), 30.0)
    complaints = typed(owner, "put", server.endpoint, tmp_path / "small", code=REFUSED)
    assert "waiting for up to 3 s" in complaints and complaints.endswith("is known when it has done; try again then\n")
    assert first.poll() is None  # it goes on
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    typed(owner, "put", server.endpoint, tmp_path / "small")
    assert listed(owner, server) == ["files/small"]


def test_a_get_goes_on_where_a_broken_connection_left_it(serve: Serve, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, "--watchdog", "10", "--file-limits", "rate=20M")
    content = os.urandom(60_000_000)
    (tmp_path / "big").write_bytes(content)
    with Proxy(server.port) as proxy:
        typed(owner, "put", proxy.endpoint, tmp_path / "big")
        process = start_typing(owner, "get", proxy.endpoint, "files/big", tmp_path / "back")
        wait_until(lambda: list((tmp_path / "back").glob(".scenario-remote-*")), 30.0)
        before = proxy.connection_count
        proxy.cut()
        proxy.restore()
        wait_until(lambda: proxy.connection_count > before)
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, output + complaints
    assert hashlib.sha256((tmp_path / "back" / "big").read_bytes()).digest() == hashlib.sha256(content).digest()


def test_a_get_into_a_full_disk_is_an_error_and_leaves_what_was_there(
    server: ServerProcess, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3_000_000))
    typed(owner, "put", server.endpoint, tmp_path / "big")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "big").write_text("mine")
    command = 'ulimit -f 1000; exec "$0" get "$1" files/big "$2"'
    done = subprocess.run(
        ["sh", "-c", command, BIN / "se-remote", server.endpoint, tmp_path / "back"],
        env=clean_environment(SCENARIO_EXECUTION_KEYS_DIR=str(owner.folder)), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == REFUSED and "'files/big' could not be put down" in done.stderr, done.stderr
    assert done.stdout == f"fetched 0 files, 0 bytes: {tmp_path}/back/big\n"
    assert (tmp_path / "back" / "big").read_text() == "mine" and len(list((tmp_path / "back").iterdir())) == 1
    typed(owner, "rm", server.endpoint, "files/big")


