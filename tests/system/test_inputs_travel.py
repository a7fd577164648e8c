# SPDX-License-Identifier: Apache-2.0
"""What lies beside a scenario is there for its remote actions, between machines that share no disk.

Client and server are on one machine here; `files: "copy"` keeps them apart.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.servers import BRISK, CURVE, Identity, ServerProcess
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
    named = f'        run_process("cat {beside}/maps/site.yaml") with:\n            remote("{server.endpoint}")\n'
    outcome = run(whole(action, named), whole=True)
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
