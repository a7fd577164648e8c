# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import types
from typing import Any

import pytest

from scenario_execution_keys.permissions import Permissions
from scenario_execution_remote.protocol.messages import RefusalCode
from scenario_execution_server.admission import Peer
from scenario_execution_server.opening import incompatible, objection
from scenario_execution_server.sessions import Session, SessionTable


def peer(name: str = "alice", **more: Any) -> Peer:
    return Peer(identity=f"key:{name}", name=name, address="10.0.0.1", key=name, **more)


def table(*names: str, limit: int = 10) -> SessionTable[None]:
    """A table with one session of each of these clients."""
    sessions: SessionTable[None] = SessionTable(limit=limit)
    for number, name in enumerate(names):
        key = (f"key:{name}", bytes([number]) * 16)
        whatever: Any = types.SimpleNamespace()
        sessions.add(Session(
            key=key, peer=peer(name), route=b"", door=None, dialect=whatever, worker=None, started_s=0.0
        ))  # fmt: skip
    return sessions


def why_not(who: Peer, sessions: SessionTable[None], *, is_stopping: bool = False) -> tuple[str, str] | None:
    refused = objection(who, sessions, is_stopping=is_stopping, command=lambda words: f"HERE {words}")
    return None if refused is None else (refused.code, refused.text)


def test_nothing_is_objected_to_a_client_with_its_key() -> None:
    assert why_not(peer(), table("alice", "bob")) is None


@pytest.mark.parametrize(
    ("who", "code", "mend"),
    [
        (peer(is_invited=True), RefusalCode.NOT_AUTHORISED, "se-remote join LINE"),
        (peer(is_retired=True), RefusalCode.NOT_AUTHORISED, "se-remote keygen --rotate"),
    ],
    ids=["invited", "retired"],
)
def test_an_invitation_and_an_exchanged_key_open_no_session(who: Peer, code: RefusalCode, mend: str) -> None:
    refused = why_not(who, table())
    assert refused is not None
    assert refused[0] == code.value
    assert mend in refused[1]


def test_a_server_that_stops_takes_nobody() -> None:
    refused = why_not(peer(), table(), is_stopping=True)
    assert refused is not None
    assert refused[0] == RefusalCode.STOPPING.value


def test_a_full_server_says_how_many_it_has_and_which_option_that_is() -> None:
    refused = why_not(peer(), table("bob", "carol", limit=2))
    assert refused == (
        RefusalCode.LIMIT.value,
        "The server has its 2 sessions already; end one, or raise --max-sessions.",
    )


def test_a_clients_own_limit_counts_its_sessions_by_name_and_no_others() -> None:
    limited = peer(permissions=Permissions(sessions=2))
    assert why_not(limited, table("alice", "bob", "bob")) is None
    refused = why_not(limited, table("alice", "alice", "bob"))
    assert refused is not None
    assert refused[0] == RefusalCode.LIMIT.value
    assert "alice has the 2 sessions it may have here" in refused[1]
    assert refused[1].endswith("have the server's operator run: HERE se-server permit alice --sessions 3")
    one = why_not(peer(permissions=Permissions(sessions=1)), table("alice"))
    assert one is not None and "alice has the one session it may have here" in one[1]


@pytest.mark.parametrize("name", ["scenario-execution", "py-trees"])
def test_another_minor_version_of_what_both_sides_run_is_no_match_and_another_patch_is(name: str) -> None:
    ours = {"scenario-execution": "1.4.0", "py-trees": "2.3.0", "python": "3.11.7"}
    assert incompatible({**ours, "python": "3.13.0"}, ours) is None
    assert incompatible({**ours, name: ours[name][:-1] + "9"}, ours) is None
    assert f"The client has {name} 9.9.0" in str(incompatible({**ours, name: "9.9.0"}, ours))
    assert f"The client has {name} none" in str(incompatible({}, {name: "1.0.0"}))


@pytest.mark.parametrize("theirs", [{}, {"messages": ""}, {"messages": "0123456789abcdef"}])
def test_other_messages_are_no_match_and_come_first(theirs: dict[str, str]) -> None:
    ours = {"scenario-execution": "1.4.0", "py-trees": "2.3.0", "messages": "fedcba9876543210"}
    assert incompatible(ours, ours) is None
    assert "messages" in str(incompatible({**theirs, "py-trees": "9.9.9"}, ours))
