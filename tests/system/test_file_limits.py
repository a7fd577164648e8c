# SPDX-License-Identifier: Apache-2.0
"""What is too much, too many or too fast, and disks that are full: said clearly, and nothing is lost by it."""

from __future__ import annotations

import os
import pty
import resource
import subprocess
import time
from pathlib import Path

from scenario_execution_keys.permissions import Permissions
from scenario_execution_keys.store import KeyStore
from tests.support.servers import BIN, BRISK, CURVE, Identity, ServerProcess, clean_environment, make_guest
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve, Start
from tests.system.test_files_by_hand import REFUSED, typed
from tests.system.test_results_come_home import code, here, tree, whole


def test_results_beyond_the_total_stay_on_the_server_and_the_error_says_what_to_do(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "total=1M")
    write = "(out / 'large').write_bytes(os.urandom(2000000)); (out / 'small').write_text('s')"
    action = code(server.endpoint, update=write)
    outcome = run(whole(action), "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    assert tree(here(tmp_path)) == ["small"]
    (line,) = [line for line in outcome.said if line.startswith("ERROR")]
    for words in ("'large' has 2.0 MB", "of the 1.0 MB", "se-server permit owner", "--files total=5M"):
        assert words in line
    server.wait_for_log("results are not home and are kept")
    assert (server.kept()[0] / "output-1" / "large").stat().st_size == 2000000


def test_more_files_than_the_count_stay_on_the_server_and_one_line_says_so(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "count=10")
    action = code(server.endpoint, update="[(out / f'{i:03}').write_text('x') for i in range(100)]")
    outcome = run(whole(action), "-o", str(here(tmp_path)), whole=True)
    home = tree(here(tmp_path))
    assert 0 < len(home) < 10  # the scenario's own directory has travelled as well
    (line,) = [line for line in outcome.said if line.startswith("ERROR")]
    assert f"'{len(home):03}' is one more than the 10 files" in line


def test_a_key_has_limits_of_its_own(serve: Serve, run: Run, tmp_path: Path, owner: Identity) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "total=1M")
    wealthy = make_guest(tmp_path / "wealthy", owner, None)
    metadata = Permissions.from_metadata({"files": "total=5M"})
    KeyStore(owner.folder).enrol("wealthy", wealthy.pair.public, permissions=metadata)
    try:
        server.wait_for_log("enrolled=wealthy")
        action = code(server.endpoint, update="(out / 'large').write_bytes(bytes(2000000))")
        outcome = run(whole(action), "-o", str(here(tmp_path)), who=wealthy, whole=True)
        assert tree(here(tmp_path)) == ["large"], outcome.output
    finally:
        KeyStore(owner.folder).revoke("wealthy")


def test_a_rate_slows_files_down_and_refuses_none(serve: Serve, run: Run, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "rate=1M")
    action = code(server.endpoint, update="(out / 'large').write_bytes(os.urandom(3000000))")
    began_s = time.monotonic()
    outcome = run(whole(action), "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output
    assert time.monotonic() - began_s > 1.9  # one second's worth is free
    assert (here(tmp_path) / "large").stat().st_size == 3000000


def test_a_full_disk_on_the_clients_side_is_an_error_that_loses_nothing(
    serve: Serve, start: Start, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    here(tmp_path).mkdir()
    (here(tmp_path) / "large").write_text("of an earlier run")
    write = code(
        server.endpoint,
        update="(out / 'large').write_bytes(os.urandom(4000000)); (out / 's').write_text('s')",
    )
    client = start(whole(write), "-o", str(here(tmp_path)), whole=True)
    # The kernel refuses to let its files grow beyond that, as a full disk would.
    resource.prlimit(client.process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    outcome = client.finish()
    assert tree(here(tmp_path)) == ["large", "s"], outcome.output
    assert (here(tmp_path) / "large").read_text() == "of an earlier run"
    errors = [line for line in outcome.said if line.startswith("ERROR")]
    assert len(errors) == 2 and "'large' could not be brought home" in errors[0]
    assert errors[1].endswith(f"run: se-remote ls {server.endpoint}")
    server.wait_for_log("results are not home and are kept")
    assert (server.kept()[0] / "output-1" / "large").stat().st_size == 4000000


def limit_files(server: ServerProcess, size_bytes: int) -> None:
    """The kernel refuses to let files of new sessions grow beyond that, as a full disk would."""
    for pid in (server.pid, server.zygote_pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))


def beside(tmp_path: Path, number: int) -> Path:
    (tmp_path / f"client-{number}").mkdir()
    return tmp_path / f"client-{number}"


def test_a_full_disk_on_the_server_fails_the_set_up_for_that_reason_and_costs_nothing_that_was_there(
    serve: Serve, run: Run, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    small, big = os.urandom(5000), os.urandom(4_000_000)
    look = code(server.endpoint, update="assert len(open('big', 'rb').read() + open('small', 'rb').read()) == 4005000")
    for number in (1, 2):
        folder = beside(tmp_path, number)
        (folder / "small").write_bytes(small)
        (folder / "big").write_bytes(big)
    limit_files(server, 1_000_000)
    outcome = run(whole(look), "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 1
    for words in ("'big' could not be put down on the server: the server's disk has no room for it", "--files-dir"):
        assert words in outcome.output
    server.wait_idle()
    contents = [path for path in server.state.rglob("contents/*") if path.is_file()]
    assert small in [path.read_bytes() for path in contents] and all(len(path.name) == 64 for path in contents)
    limit_files(server, resource.RLIM_INFINITY)
    outcome = run(whole(look), "-o", str(here(tmp_path)), whole=True)
    assert outcome.code == 0, outcome.output


def test_a_full_disk_on_the_server_leaves_what_was_put_before_as_it_was_and_takes_what_fits(
    serve: Serve, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    (tmp_path / "large").write_text("of yesterday")
    typed(owner, "put", server.endpoint, tmp_path / "large")
    (tmp_path / "large").write_bytes(os.urandom(4_000_000))
    (tmp_path / "small").write_text("s")
    limit_files(server, 1_000_000)
    sentence = typed(owner, "put", server.endpoint, tmp_path / "large", tmp_path / "small", code=REFUSED)
    assert "'large' could not be put down on the server: the server's disk has no room for it" in sentence
    assert "se-remote rm" in sentence
    (place,) = {path.parent for path in server.state.rglob("files/large")}
    assert {path.name: path.read_text() for path in place.iterdir()} == {"large": "of yesterday", "small": "s"}
    server.wait_idle()


def test_a_person_at_a_terminal_sees_a_bar_and_the_log_one_line(
    serve: Serve, owner: Identity, site: str, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--file-limits", "rate=40M")
    file = tmp_path / "test.osc"
    file.write_text(whole(code(server.endpoint, update="(out / 'bag').write_bytes(os.urandom(100_000_000))")))
    ours, theirs = pty.openpty()
    variables = clean_environment(
        PYTHONPATH=site, PROBE_SIDE="client", SCENARIO_EXECUTION_KEYS_DIR=str(owner.folder)
    )
    process = subprocess.Popen(
        [BIN / "scenario_execution", file, "-o", str(here(tmp_path))],
        env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = bytearray()

    def is_over() -> bool:
        try:
            seen.extend(os.read(ours, 65536))
        except BlockingIOError:
            pass
        except OSError:  # the other end is closed: that is how a terminal ends
            return True
        return False

    wait_until(is_over, 60.0)
    os.close(ours)
    output = process.communicate()[0].decode()
    assert process.returncode == 0, output
    text = seen.decode(errors="replace")
    assert "bag [" in text and "% " in text and "MB/s" in text and "left" in text and "\r\x1b[K" in text
    assert output.count("results: 1 file, 100.0 MB in") == 1, output
