# SPDX-License-Identifier: Apache-2.0
"""remote() wherever it may stand, and what is said where it may not."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from tests.support.probe import trace_of
from tests.support.scenarios import HEAD
from tests.support.servers import BRISK, ServerProcess
from tests.system.conftest import Run, Serve


def test_remote_may_stand_on_an_action_and_leaves_its_neighbours_where_they_are(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    outcome = run(
        f"""
        probe_where("{tmp_path}/places", "before")
        probe_where("{tmp_path}/places", "under") with:
            remote("{server.endpoint}")
        probe_where("{tmp_path}/places", "behind")
        """
    )
    assert outcome.code == 0, outcome.output
    assert trace_of(tmp_path / "places") == ["before client", "under server", "behind client"]


def test_remote_may_stand_under_and_over_other_modifiers(server: ServerProcess, run: Run, tmp_path: Path) -> None:
    outcome = run(
        f"""
        probe_steps("{tmp_path}/trace", "over", result: "failure success") with:
            remote("{server.endpoint}")
            retry(2)
        probe_steps("{tmp_path}/trace", "under", result: "failure success") with:
            retry(2)
            remote("{server.endpoint}")
        """
    )
    assert outcome.code == 0, outcome.output
    twice = [
        "setup(INVALID)", "execute(INVALID)", "update(INVALID)", "terminate FAILURE(INVALID)",
        "execute(FAILURE)", "update(FAILURE)", "terminate SUCCESS(FAILURE)", "shutdown(SUCCESS)",
    ]  # fmt: skip
    assert trace_of(tmp_path / "trace", "over") == twice
    assert trace_of(tmp_path / "trace", "under") == twice
    assert len(server.lines("session opened")) == len(server.lines("session ended"))


def test_all_remote_actions_of_a_run_share_one_session(serve: Serve, run: Run, tmp_path: Path) -> None:
    server = serve("--socket", "door", *BRISK)
    outcome = run(
        f"""
        probe_where("{tmp_path}/places", "one") with:
            remote("{server.folder}/door")
        probe_where("{tmp_path}/places", "two") with:
            remote("ipc://{server.folder}/door", setup_timeout: 9s)
        """
    )
    assert outcome.code == 0, outcome.output
    assert len(server.lines("session opened")) == 1


def test_remote_on_a_composite_makes_every_action_below_it_remote(
    server: ServerProcess, run: Run, tmp_path: Path
) -> None:
    outcome = run(
        f"""
        parallel:
            serial:
                probe_where("{tmp_path}/places", "deep")
                wait elapsed(0.1s)
            probe_where("{tmp_path}/places", "flat")
        with:
            remote("{server.endpoint}")
        one_of:
            remote("{server.endpoint}")
            probe_where("{tmp_path}/places", "as a statement")
            probe_steps("", ticks: 100)
        """
    )
    assert outcome.code == 0, outcome.output
    assert sorted(trace_of(tmp_path / "places")) == ["as a statement server", "deep server", "flat server"]


def test_remote_on_the_scenario_makes_every_action_remote_and_an_inner_one_wins(
    server: ServerProcess, serve: Serve, run: Run, tmp_path: Path
) -> None:
    inner = serve("--socket", "door", *BRISK, environment={"PROBE_PLACE": "inner server"})
    outcome = run(
        f"""{HEAD}
scenario placed:
    remote("{server.endpoint}")
    do serial:
        probe_where("{tmp_path}/places", "one")
        serial:
            probe_where("{tmp_path}/places", "two")
            probe_where("{tmp_path}/places", "three")
        with:
            remote("{inner.folder}/door")
""",
        whole=True,
    )
    assert outcome.code == 0, outcome.output
    assert trace_of(tmp_path / "places") == ["one server", "two inner server", "three inner server"]


def test_a_label_names_the_remote_action_in_the_tree_as_it_does_locally(server: ServerProcess, run: Run) -> None:
    outcome = run(f'greeting: log("hi") with:\n    remote("{server.endpoint}")', "-t")
    assert "--> greeting [✓]" in outcome.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "argument 'endpoint' of remote() is missing"),
        ("5", "argument 'endpoint' of remote() is 5, expected a string"),
        ('"127.0.0.1", setup_timeuot: 3s', "'setup_timeuot'"),
        ('"127.0.0.1", setup_timeout: "soon"', "argument 'setup_timeout' of remote() is 'soon'"),
    ],
)
def test_a_wrong_argument_is_a_parse_error_with_its_place_in_the_file(arguments: str, words: str, run: Run) -> None:
    outcome = run(f'log("never") with:\n    remote({arguments})')
    assert outcome.code == 1
    assert words in outcome.output
    assert re.search(r"line: 8, column: \d+ in '.*test\.osc'", outcome.output), outcome.output
    assert "Traceback" not in outcome.output


def test_a_remote_without_any_action_below_is_a_parse_error(run: Run) -> None:
    outcome = run('serial:\n    wait elapsed(1s)\nwith:\n    remote("127.0.0.1")')
    assert outcome.code == 1
    assert "remote() has no action below it" in outcome.output


def test_a_dry_run_connects_to_nobody(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        outcome = run(f'log("never") with:\n    remote("127.0.0.1:{listener.getsockname()[1]}")', "-n")
        assert outcome.code == 0, outcome.output
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_run_connects_where_the_dry_run_would_have(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        body = f'log("never") with:\n    remote("127.0.0.1:{listener.getsockname()[1]}", setup_timeout: 300ms)'
        outcome = run(body)
        assert outcome.code == 1
        listener.setblocking(False)
        listener.accept()[0].close()
