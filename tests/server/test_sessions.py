# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.protocol import messages, wire
from scenario_execution_remote.protocol.frames import Frame, Kind, decode_frame
from scenario_execution_remote.protocol.stream import WINDOW_FRAMES
from scenario_execution_server.sessions import ENDED_COUNT, NumberedDialect, Session, SessionTable
from tests.support.wire_values import welcome

NOW_S = 1000.0
ID = b"session-of-tests"


class Quiet:
    """A dialect that is silent when it is told to be."""

    def __init__(self) -> None:
        self.since_s = NOW_S

    def is_silent(self, now_s: float, limit_s: float) -> bool:
        return now_s - self.since_s >= limit_s


def session(identity: str = "alice", session_id: bytes = ID, **more: Any) -> Session[None]:
    fields: dict[str, Any] = {"peer": None, "route": b"", "door": None, "dialect": Quiet(), "worker": None}
    return Session(key=(identity, session_id), started_s=NOW_S, **(fields | more))


def table_of(*sessions: Session[None], limit: int = 3) -> SessionTable[None]:
    table: SessionTable[None] = SessionTable(limit=limit)
    for one in sessions:
        table.add(one)
    return table


def test_a_session_is_found_by_its_owner() -> None:
    mine = session()
    assert table_of(mine).find("alice", ID) is mine


def test_a_session_id_means_nothing_in_the_hands_of_another_identity() -> None:
    table = table_of(session("alice"))
    assert table.find("bob", ID) is None


def test_two_identities_may_choose_the_same_id_and_have_two_sessions() -> None:
    mine, theirs = session("alice"), session("bob", alias="ab" * 16)
    table = table_of(mine, theirs)
    assert (table.find("alice", ID), table.find("bob", ID)) == (mine, theirs)
    assert (table.named(mine.name), table.named(theirs.name)) == (mine, theirs)
    table.remove(mine)
    assert table.find("bob", ID) is theirs


def test_the_sessions_of_one_identity_are_told_apart_from_others() -> None:
    one, two, other = session("alice", b"1" * 16), session("alice", b"2" * 16), session("bob", b"3" * 16)
    assert table_of(one, two, other).of("alice") == [one, two]


def test_a_table_is_full_at_its_limit_and_not_after_one_has_gone() -> None:
    one, two = session("alice"), session("bob")
    table = table_of(one, limit=2)
    assert not table.is_full
    table.add(two)
    assert table.is_full
    table.remove(one)
    assert not table.is_full


def test_a_session_that_has_ended_is_known_to_its_owner_alone() -> None:
    mine = session("alice")
    table = table_of(mine)
    assert not table.has_ended("alice", ID)
    table.remove(mine)
    assert table.has_ended("alice", ID)
    assert not table.has_ended("bob", ID)
    assert table.find("alice", ID) is None


def test_only_so_many_ended_sessions_are_remembered() -> None:
    table = table_of()
    for number in range(ENDED_COUNT + 1):
        one = session("alice", number.to_bytes(16, "big"))
        table.add(one)
        table.remove(one)
    assert not table.has_ended("alice", bytes(16))
    assert table.has_ended("alice", (1).to_bytes(16, "big"))


def test_sessions_may_be_removed_while_the_table_is_walked_through() -> None:
    table = table_of(session("alice"), session("bob"))
    for one in table:
        table.remove(one)
    assert len(table) == 0


def test_the_silent_are_those_who_said_nothing_for_the_limit_and_are_not_ending_already() -> None:
    silent, talking, ending = session("alice"), session("bob"), session("carol", ending=("bye", ""))
    talking.dialect.since_s = NOW_S + 5
    table = table_of(silent, talking, ending)
    assert table.silent(NOW_S + 9.999, 10.0) == []
    assert table.silent(NOW_S + 10.0, 10.0) == [silent]


def test_the_name_of_a_session_is_harmless_in_a_path() -> None:
    assert session(session_id=b"../../etc/passwd").name.isalnum()


@pytest.fixture
def dialect() -> NumberedDialect:
    return NumberedDialect(ID, NOW_S, welcome())


def test_a_client_of_version_2_gets_numbered_frames_up_to_its_window(dialect: NumberedDialect) -> None:
    sent = [parts for _ in range(WINDOW_FRAMES + 3) for parts in dialect.deliver(b"body")]
    assert all(len(parts) == 1 for parts in sent)
    assert [decode_frame(parts[0]).seq for parts in sent] == list(range(1, WINDOW_FRAMES + 1))


def test_the_farewell_of_version_2_comes_behind_what_still_waits(dialect: NumberedDialect) -> None:
    for _ in range(WINDOW_FRAMES + 1):
        dialect.deliver(b"body")
    frames = [decode_frame(parts[0]) for parts in dialect.farewell("stopped", "The server is stopping.", True)]
    assert [frame.kind for frame in frames] == [Kind.DATA, Kind.ENDED]
    ended = wire.decode_one(frames[-1].body, messages.Ended)
    assert ended == messages.Ended(reason="stopped", text="The server is stopping.", is_home=True)


def test_a_version_2_session_is_full_and_silent_as_its_machine_says(dialect: NumberedDialect) -> None:
    assert not dialect.is_full
    for _ in range(17):
        dialect.deliver(bytes(1024 * 1024))
    assert dialect.is_full
    assert dialect.is_silent(NOW_S + 10, 10.0)
    dialect.receive(Frame(kind=Kind.BEAT, session=ID), NOW_S + 5)
    assert not dialect.is_silent(NOW_S + 10, 10.0)
