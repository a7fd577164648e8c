# SPDX-License-Identifier: Apache-2.0
"""What a remote action shows in the tree, with a server that says what the test has it say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from py_trees.common import Status
from scenario_execution.model.osc2_parser import OpenScenario2Parser

from scenario_execution_remote.config import RemoteSettings
from scenario_execution_remote.leaf import RemoteNode
from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.run import RUN
from scenario_execution_remote.session import RemoteSession
from tests.support import peers
from tests.support.twins import Records

FOR_EVER_S = 600.0
SOON_S = 30.0  # far below FOR_EVER_S, and enough for a busy machine
SCENARIO = """
import osc.helpers
import osc.remote

scenario here:
    do serial:
        log("hello") with:
            remote(endpoint: "127.0.0.1:{port}")
"""


class Server:
    """A remote action, set up, on a server that answers nothing by itself."""

    def __init__(self, node: RemoteNode, session: RemoteSession) -> None:
        self.node, self.session = node, session

    def says(self, *several: Any) -> None:
        """All of it in one message."""
        self.session.link._deliver(wire.encode_all(several))

    def result(self, feedback: str, status: Status | None = Status.RUNNING) -> messages.Result:
        """The answer to the call that was sent last."""
        return messages.Result(
            call=max(self.session.link._pending), status=None if status is None else status.name,
            stopped=status is not Status.RUNNING, feedback=feedback, fault=None, value=None, nodes=[],
        )  # fmt: skip

    def feedback(self, text: str) -> messages.Feedback:
        """What a thread of the action says by itself."""
        return messages.Feedback(action=self.node.number, text=text)

    def tick(self) -> str:
        """The tree comes to the action; returns what it shows then."""
        RUN.budget.begin(-FOR_EVER_S)  # it has no time to wait for an answer
        for _ in self.node.tick():
            pass
        return self.node.feedback_message


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("SCENARIO_EXECUTION_KEYS_DIR", str(tmp_path / "keys"))
    with peers.mute() as port:
        file = tmp_path / "here.osc"
        file.write_text(SCENARIO.format(port=port))
        logger = Records()
        ((tree, *_),) = OpenScenario2Parser(logger).process_file(str(file), False)
        (node,) = (one for one in tree.iterate() if isinstance(one, RemoteNode))
        session = RemoteSession(RemoteSettings(endpoint=f"127.0.0.1:{port}", files="shared"), logger, RUN.budget)
        session.link.start(FOR_EVER_S)
        monkeypatch.setattr(RUN, "session_for", lambda *_arguments: session)
        node.begin_setup(1, {})
        made = Server(node, session)
        session.link.go_on()
        made.says(made.result("", None))
        yield made
        session.link.abort()
        assert session.link.wait_until_over(SOON_S)
        session.close()


@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCESS])
def test_what_a_thread_of_the_action_has_said_since_is_not_overwritten_by_an_older_result(
    server: Server, status: Status
) -> None:
    server.tick()
    server.says(server.result("by update", status), server.feedback("by a thread"))
    assert server.tick() == "by a thread"


@pytest.mark.parametrize("status", [Status.RUNNING, Status.SUCCESS])
def test_a_result_shows_what_the_action_has_said_since_its_thread_did(server: Server, status: Status) -> None:
    server.tick()
    server.says(server.feedback("by a thread"), server.result("by update", status))
    assert server.tick() == "by update"


def test_the_next_result_counts_whatever_a_thread_has_said_before_it(server: Server) -> None:
    server.tick()
    server.says(server.result("first"), server.feedback("by a thread"))
    server.tick()
    server.says(server.result("second", Status.SUCCESS))
    assert server.tick() == "second"


def test_what_a_thread_says_between_two_ticks_is_shown_at_once(server: Server) -> None:
    server.tick()
    server.says(server.feedback("by a thread"))
    assert server.node.feedback_message == "by a thread"
