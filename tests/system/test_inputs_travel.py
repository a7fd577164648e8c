# SPDX-License-Identifier: Apache-2.0
"""What lies beside a scenario is there for its remote actions, between machines that share no disk.

Client and server are on one machine here; `files: "copy"` keeps them apart.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path
from textwrap import indent

import pytest

from scenario_execution_remote.files.folder import Folder
from scenario_execution_remote.files.selection import IGNORE_FILE
from scenario_execution_remote.files.sending import digest_of
from tests.support.proxy import Proxy
from tests.support.scenarios import heard
from tests.support.servers import BRISK, CURVE, PATIENT, Identity, ServerProcess
from tests.support.waiting import wait_until
from tests.system.conftest import Run, Serve, Start
from tests.system.test_results_come_home import quoted, whole


def code(endpoint: str, text: str, *, more: str = "", phase: str = "update") -> str:
    """A remote action that runs these lines, where `inp` is its input folder."""
    line = f"        probe_code(\"\", \"a\", at_{phase}: \"{quoted(f'{text}')}\")"
    return f'{line} with:\n            remote("{endpoint}", files: "copy"{more})\n'


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """The directory of the first scenario that a test runs, which is its current directory as well."""
    (tmp_path / "client-1").mkdir()
    return tmp_path / "client-1"


def test_files_beside_the_scenario_are_there_by_every_name_that_leads_to_them(
    server: ServerProcess, run: Run, beside: Path
) -> None:
    (beside / "maps").mkdir()
    (beside / "maps" / "site.yaml").write_text("a site")
    (beside / "link").symlink_to("maps/site.yaml")
    action = code(
        server.endpoint,
        "import os;"
        " from scenario_execution.scenario_execution_base import ScenarioExecutionConfig as C;"
        " folders = ['', self.kwargs['input_dir'], C().scenario_file_directory, os.getcwd()];"
        " assert all(open(os.path.join(one, 'maps/site.yaml')).read() == 'a site' for one in folders), folders;"
        " assert os.readlink('link') == 'maps/site.yaml' and os.getcwd().count('session-') == 1",
    )
    named = heard(f"cat {beside}/maps/site.yaml", "a site", f'remote("{server.endpoint}")')
    outcome = run(whole(action, indent(named, " " * 8)), whole=True)
    assert outcome.code == 0, outcome.output
    assert "INFO a site" in outcome.said
    assert not [line for line in outcome.said if line.startswith("WARN")], outcome.output


def test_what_an_action_does_to_its_inputs_stays_there(server: ServerProcess, run: Run, beside: Path) -> None:
    for name in ("read", "appended", "renamed", "deleted"):
        (beside / name).write_text(name)
    action = code(
        server.endpoint,
        "import os, pathlib; open('appended', 'a').write('+'); os.rename('renamed', 'new'); os.unlink('deleted');"
        " pathlib.Path('read').write_text(open('read').read() + '!')",
    )
    look = code(
        server.endpoint,
        "import os; assert [open(n).read() for n in ('appended', 'new', 'read')] == ['appended+', 'renamed', 'read!'];"
        " assert not os.path.exists('deleted')",
    )
    outcome = run(whole(action, look), whole=True)
    assert outcome.code == 0, outcome.output
    here = {path.name: path.read_text() for path in beside.iterdir() if path.suffix == ""}
    assert here == {name: name for name in ("read", "appended", "renamed", "deleted")}


def test_keys_never_travel(serve: Serve, start: Start, owner: Identity, tmp_path: Path) -> None:
    server = serve(*CURVE, *BRISK)
    store = tmp_path / "client-1" / "store"
    shutil.copytree(owner.folder, store)
    (tmp_path / "client-1" / "a.key_secret.next").write_text("a secret")
    (tmp_path / "client-1" / "plain").write_text("no secret")
    action = code(server.endpoint, "import os; assert sorted(os.listdir()) == ['output.txt', 'plain', 'test.osc']")
    who = Identity(folder=store, pair=owner.pair, server_key=owner.server_key)
    outcome = start(whole(action), whole=True, who=who).finish()
    assert outcome.code == 0, outcome.output


def test_keys_in_a_folder_that_is_uploaded_stay_and_a_warning_names_them(
    server: ServerProcess, start: Start, owner: Identity, tmp_path: Path
) -> None:
    (tmp_path / "client-1").mkdir()
    store = tmp_path / "around" / "store"
    shutil.copytree(owner.folder, store)
    for name in ("a.key_secret", "plain"):
        (tmp_path / "around" / name).write_text(name)
    there = "import os; assert os.listdir('../around') == ['plain'] and not os.path.exists('../b.key_secret')"
    (tmp_path / "b.key_secret").write_text("a secret")
    action = code(server.endpoint, there, more=', upload: ["../around", "../b.key_secret"]')
    who = Identity(folder=store, pair=owner.pair, server_key=owner.server_key)
    outcome = start(whole(action), whole=True, who=who).finish()
    (warning,) = [line for line in outcome.said if line.startswith("WARN")]
    assert outcome.code == 0, outcome.output
    for name in ("around/store", "around/a.key_secret", "b.key_secret"):
        assert f"{name!r} is a secret key, or where keys are kept, which never leave this machine" in warning


def test_what_the_server_has_is_not_sent_again_by_any_client_of_the_same_key(
    server: ServerProcess, start: Start, guest: Identity, tmp_path: Path
) -> None:
    content = os.urandom(3 << 20)
    sent = []
    for number, who in enumerate((None, None, guest), 1):
        (tmp_path / f"client-{number}").mkdir()
        (tmp_path / f"client-{number}" / f"map{number}").write_bytes(content)
        with Proxy(server.port) as proxy:
            action = code(proxy.endpoint, f"assert len(open('map{number}', 'rb').read()) == {3 << 20}")
            outcome = start(whole(action), whole=True, **({} if who is None else {"who": who})).finish()
            sent.append(proxy.byte_count)
        assert outcome.code == 0, outcome.output
    assert sent[0] > 3 << 20 and sent[1] < 100_000 and sent[2] > 3 << 20


def test_a_large_earlier_run_travels_along_and_is_named_until_somebody_says_that_it_is_not_needed(
    serve: Serve, run: Run, beside: Path
) -> None:
    server = serve(*CURVE, *BRISK, "--cache-limit", "0")
    (beside / "run-1").mkdir()
    (beside / "run-1" / "test.xml").write_text("<testsuite/>")
    (beside / "run-1" / "bag").write_bytes(os.urandom(70_000_000))
    (beside / "run-2").mkdir()
    look = code(server.endpoint, "import os; print(os.path.exists('run-1/bag'))")
    outcome = run(whole(look, look), "-o", "run-2", whole=True)
    (line,) = [line for line in outcome.said if "earlier runs" in line]
    assert line.startswith("INFO") and outcome.count("True") == 2, outcome.output
    assert line.endswith(f"'run-1' (70.0 MB); what of it no action reads can be listed in {beside}/{IGNORE_FILE}")
    (beside.parent / "client-2").mkdir()
    shutil.copytree(beside / "run-1", beside.parent / "client-2" / "run-1")
    (beside.parent / "client-2" / IGNORE_FILE).write_text("/run-*/\n")
    outcome = run(whole(look), whole=True)
    assert outcome.count("False") == 1 and outcome.count("earlier runs") == 0, outcome.output


def test_ten_thousand_small_files_are_there(server: ServerProcess, run: Run, beside: Path) -> None:
    (beside / "many").mkdir()
    for number in range(10_000):
        (beside / "many" / str(number)).write_text(str(number))
    action = code(server.endpoint, "assert all(open(f'many/{n}').read() == str(n) for n in range(10000))")
    outcome = run(whole(action), whole=True)
    assert outcome.code == 0, outcome.output


def test_a_set_up_waits_for_inputs_as_long_as_they_move(server: ServerProcess, run: Run, beside: Path) -> None:
    with (beside / "big").open("wb") as file:
        for _ in range(256):
            file.write(os.urandom(1 << 20))
    action = code(
        server.endpoint, "import os; assert os.path.getsize('big') == 256 << 20", more=", setup_timeout: 2s"
    )
    outcome = run(whole(action), whole=True)
    assert outcome.code == 0, outcome.output


def test_a_set_up_waits_for_inputs_of_which_a_limited_rate_lets_less_than_a_block_pass_within_its_timeout(
    serve: Serve, run: Run, beside: Path
) -> None:
    server = serve(*CURVE, *PATIENT, "--file-limits", "rate=8k")  # 64 KiB take 7 s, and setup_timeout is 5 s
    (beside / "in").write_bytes(os.urandom(66_000))
    outcome = run(whole(code(server.endpoint, "import os; assert os.path.getsize('in') == 66_000")), whole=True)
    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize("part", ["client", "worker"])
def test_an_upload_that_is_killed_leaves_nothing_half_written_and_the_next_one_goes_on_from_there(
    part: str, serve: Serve, start: Start, owner: Identity, tmp_path: Path
) -> None:
    server = serve(*CURVE, *BRISK)
    (tmp_path / "client-1").mkdir()
    contents = {f"part{n}": os.urandom(16 << 20) for n in range(8)}
    for folder in ("client-1", "client-2"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, content in contents.items():
            (tmp_path / folder / name).write_bytes(content)
    action = code(server.endpoint, "assert all(len(open(f'part{n}', 'rb').read()) == 16 << 20 for n in range(8))")
    first = start(whole(action), whole=True)
    whole_ones: list[Path] = []

    def has_some() -> bool:
        found = (path for path in server.state.rglob("contents/*") if len(path.name) == 64)
        whole_ones[:] = [path for path in found if path.stat().st_size == 16 << 20]
        return len(whole_ones) >= 2

    wait_until(has_some, 30.0)
    if part == "client":
        first.signal(signal.SIGKILL)
        first.finish()
    else:
        os.kill(server.named("se-worker")[0].pid, signal.SIGKILL)
        assert first.finish().code == 1
    server.wait_idle(30.0)
    for path in server.state.rglob("contents/*"):
        folder = Folder(path.parent)
        assert path.name.startswith(".scenario-remote-") or digest_of(folder, path.name).hex() == path.name
        folder.close()
    with Proxy(server.port) as proxy:
        outcome = start(whole(action.replace(server.endpoint, proxy.endpoint)), whole=True).finish()
        assert outcome.code == 0, outcome.output
        assert proxy.byte_count < (8 - len(whole_ones) + 1) * (16 << 20)


def test_an_upload_goes_on_where_a_broken_connection_left_it(server: ServerProcess, start: Start, beside: Path) -> None:
    content = os.urandom(96 << 20)
    (beside / "big").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with Proxy(server.port) as proxy:
        action = code(
            proxy.endpoint,
            f"import hashlib; assert hashlib.sha256(open('big', 'rb').read()).hexdigest() == '{digest}'",
            more=", heartbeat_failure_timeout: 10s, setup_timeout: 10s",
        )
        client = start(whole(action), whole=True)
        for part in range(1, 4):
            wait_until(lambda part=part: proxy.byte_count > part * (16 << 20), 30.0)
            before = proxy.connection_count
            proxy.cut()
            proxy.restore()
            wait_until(lambda before=before: proxy.connection_count > before)
        outcome = client.finish()
    assert outcome.code == 0, outcome.output


def test_what_is_too_much_stays_and_one_line_says_so(server: ServerProcess, run: Run, beside: Path) -> None:
    (beside / "large").write_bytes(bytes(30_000))
    (beside / "small").write_bytes(bytes(100))
    action = code(
        server.endpoint, "import os; assert os.path.exists('small') and not os.path.exists('large')",
        more=', upload_limit: "20k"',
    )  # fmt: skip
    outcome = run(whole(action), whole=True)
    assert outcome.code == 0, outcome.output
    (line,) = [line for line in outcome.said if line.startswith("WARN")]
    assert "'large'" in line and "upload_limit" in line


def test_what_is_uploaded_is_there_by_its_name_and_by_its_path(
    server: ServerProcess, run: Run, beside: Path, tmp_path: Path
) -> None:
    (beside / "large").write_bytes(bytes(30_000))
    for name in ("maps/site.yaml", "maps/deep/x", "single", "single2"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    action = code(
        server.endpoint,
        "import os; names = ['large', '../maps/site.yaml', '../maps/deep/x', '../single'];"
        " assert all(map(os.path.exists, names)) and not os.path.exists('../single2');"
        " assert open(os.path.join(self.kwargs['input_dir'], '../single')).read() == 'single'",
        more=f', upload_limit: "20k", upload: ["large", "../maps", "{tmp_path}/singl?"]',
    )
    named = heard(f"cat {tmp_path}/maps/deep/x {tmp_path}/single", "single", f'remote("{server.endpoint}")')
    outcome = run(whole(action, indent(named, " " * 8)), whole=True)
    assert outcome.code == 0, outcome.output
    assert "INFO maps/deep/xsingle" in outcome.said
    assert not [line for line in outcome.said if line.startswith("WARN")], outcome.output


def test_what_is_to_be_uploaded_and_is_not_there_fails_the_set_up_by_name(
    server: ServerProcess, run: Run, beside: Path
) -> None:
    action = code(server.endpoint, "pass", more=', upload: ["none.yaml", "test.osc", "no*.x"]')
    outcome = run(whole(action), whole=True)
    assert outcome.code == 1 and outcome.count("there is no 'none.yaml', 'no*.x'"), outcome.output


@pytest.mark.parametrize("files", ["copy", "auto"])
def test_a_relative_name_leads_where_it_leads_locally_if_the_scenario_is_started_in_its_directory(
    files: str, server: ServerProcess, run: Run, beside: Path
) -> None:
    (beside / "map.yaml").write_text("a map")
    look = code(
        server.endpoint, "import os; assert open(os.path.join(self.kwargs['input_dir'], 'map.yaml')).read() == 'a map'"
    )
    print_it = indent(heard("cat map.yaml", "a map", f'remote("{server.endpoint}")'), " " * 8)
    outcome = run(whole(look.replace('"copy"', f'"{files}"'), print_it), "-o", str(beside / "out"), whole=True)
    assert outcome.code == 0, outcome.output
    assert "INFO a map" in outcome.said
