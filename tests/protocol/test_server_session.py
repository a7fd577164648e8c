# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest

from scenario_execution_remote.protocol.frames import Frame, FrameError, Kind, decode_frame
from scenario_execution_remote.protocol.server import FREE_REPETITIONS, LONGEST_PAUSE_S, Received, ServerSession
from scenario_execution_remote.protocol.stream import CONFIRM_AFTER_FRAMES, WINDOW_FRAMES

SESSION = b"session-of-tests"
NOW_S = 1000.0


class Front:
    """A server session, as the front uses it."""

    def __init__(self) -> None:
        self.machine = ServerSession(SESSION, NOW_S, b"welcome")

    def hear(self, kind: Kind, seq: int = 0, ack: int = 0, body: bytes = b"", now_s: float = NOW_S) -> Received:
        twin = copy.deepcopy(self.machine)
        frame = Frame(kind=kind, session=SESSION, seq=seq, ack=ack, body=body)
        # As the front does: by the short way if there is one, which leads to where the long one does.
        if kind is not Kind.DATA or not self.machine.take_next(seq, ack, len(body), now_s):
            assert state_of(self.machine) == state_of(twin)
            return self.machine.receive(frame, now_s)
        received = twin.receive(frame, now_s)
        assert received == Received((body,))
        assert state_of(self.machine) == state_of(twin)
        return received

    def replies(self) -> list[tuple[Kind, int, int, bytes]]:
        return frames(self.machine.take_replies())

    def push(self, body: bytes) -> list[tuple[Kind, int, int, bytes]]:
        return frames(self.machine.push(body))


def state_of(machine: ServerSession) -> dict[str, object]:
    return vars(machine) | {"_stream": vars(machine._stream)}


def frames(sent: list[bytes]) -> list[tuple[Kind, int, int, bytes]]:
    decoded = [decode_frame(data) for data in sent]
    assert all(frame.session == SESSION for frame in decoded)
    return [(frame.kind, frame.seq, frame.ack, bytes(frame.body)) for frame in decoded]


def test_hello_is_answered_with_welcome_however_often_it_comes() -> None:
    front = Front()
    for _ in range(2):
        assert front.hear(Kind.HELLO) == Received()
        assert front.replies() == [(Kind.WELCOME, 0, 0, b"welcome")]


def test_a_beat_is_answered_with_a_beat_that_tells_what_was_sent_and_received() -> None:
    front = Front()
    front.push(b"x")
    front.hear(Kind.DATA, seq=1)
    front.replies()
    front.hear(Kind.BEAT, seq=1, ack=1)
    assert front.replies() == [(Kind.BEAT, 1, 1, b"")]


def test_bodies_are_handed_on_once_and_in_order() -> None:
    front = Front()
    heard = [front.hear(Kind.DATA, seq=seq, body=b"%d" % seq).bodies for seq in (1, 2, 1, 2, 3)]
    assert heard == [(b"1",), (b"2",), (), (), (b"3",)]


@pytest.mark.parametrize("seq", [3, 2**64 - 1])
@pytest.mark.parametrize("kind", [Kind.DATA, Kind.BEAT])
def test_a_client_that_leaves_something_out_is_refused(kind: Kind, seq: int) -> None:
    front = Front()
    front.hear(Kind.DATA, seq=1)
    with pytest.raises(FrameError, match=f"before number {seq} is missing"):
        front.hear(kind, seq=seq)
    assert front.hear(Kind.DATA, seq=2, body=b"still").bodies == (b"still",)


@pytest.mark.parametrize("ack", [2, 2**64 - 1])
@pytest.mark.parametrize("kind", [Kind.DATA, Kind.BEAT, Kind.RESUME, Kind.BYE])
def test_a_client_that_confirms_what_was_never_sent_is_refused_and_nothing_of_it_counts(kind: Kind, ack: int) -> None:
    front = Front()
    front.push(b"x")
    with pytest.raises(FrameError, match="never sent"):
        front.hear(kind, seq=kind is Kind.DATA, ack=ack)
    front.hear(Kind.RESUME)
    assert front.replies() == [(Kind.RESUMED, 0, 0, b""), (Kind.DATA, 1, 0, b"x")]


@pytest.mark.parametrize("kind", [Kind.WELCOME, Kind.REFUSED, Kind.RESUMED, Kind.ENDED, Kind.NOTICE])
def test_what_only_a_server_sends_is_refused_by_name(kind: Kind) -> None:
    front = Front()
    with pytest.raises(FrameError, match=f"a client does not send {kind.name}") as caught:
        front.hear(kind)
    assert caught.value.session == SESSION
    assert front.replies() == []


def test_resuming_repeats_what_was_not_confirmed_and_only_that() -> None:
    front = Front()
    for body in (b"a", b"b", b"c"):
        front.push(body)
    front.hear(Kind.RESUME, ack=1)
    assert front.replies() == [(Kind.RESUMED, 0, 0, b""), (Kind.DATA, 2, 0, b"b"), (Kind.DATA, 3, 0, b"c")]


def test_a_client_that_does_not_confirm_is_sent_a_window_and_no_more() -> None:
    front = Front()
    sent = [frame for _ in range(WINDOW_FRAMES + 10) for frame in front.push(b"x")]
    assert len(sent) == WINDOW_FRAMES
    front.hear(Kind.BEAT, ack=4)
    assert [seq for kind, seq, _, _ in front.replies() if kind is Kind.DATA] == [
        WINDOW_FRAMES + number for number in range(1, 5)
    ]


def repetitions(front: Front, asked_at_s: list[float]) -> list[bool]:
    """Whether everything came again, for each time that it was asked for."""
    found = []
    for now_s in asked_at_s:
        front.hear(Kind.RESUME, now_s=now_s)
        kinds = [kind for kind, *_ in front.replies()]
        assert kinds[0] is Kind.RESUMED and len(kinds) in (1, 1 + WINDOW_FRAMES)
        found.append(len(kinds) > 1)
    return found


def test_a_client_that_asks_again_and_again_and_confirms_nothing_waits_longer_and_longer() -> None:
    front = Front()
    for _ in range(10 * WINDOW_FRAMES):
        front.push(b"x")
    assert repetitions(front, [NOW_S] * 100) == [True] * FREE_REPETITIONS + [False] * (100 - FREE_REPETITIONS)
    every_second = [NOW_S + second for second in range(1, 100)]
    sent = [second for second, again in enumerate(repetitions(front, every_second), start=1) if again]
    assert sent == [1, 3, 7, 15, 31, 63, 95]
    assert max(after - before for before, after in zip(sent, sent[1:], strict=False)) == LONGEST_PAUSE_S


def test_a_client_that_has_confirmed_something_is_repeated_everything_else_at_once() -> None:
    front = Front()
    for _ in range(10 * WINDOW_FRAMES):
        front.push(b"x")
    repetitions(front, [NOW_S] * 10)
    front.hear(Kind.RESUME, ack=1)
    assert [kind for kind, *_ in front.replies()] == [Kind.RESUMED] + [Kind.DATA] * WINDOW_FRAMES


def test_a_client_that_reads_nothing_makes_the_session_full() -> None:
    front = Front()
    for _ in range(17):
        front.push(bytes(1024 * 1024))
    assert front.machine.is_full
    front.hear(Kind.BEAT, ack=1)
    front.hear(Kind.BEAT, ack=2)
    assert not front.machine.is_full


def test_a_client_that_sends_much_is_confirmed_before_its_window_is_full() -> None:
    front = Front()
    for seq in range(1, CONFIRM_AFTER_FRAMES + 1):
        assert front.replies() == []
        front.hear(Kind.DATA, seq=seq)
    assert front.replies() == [(Kind.BEAT, 0, CONFIRM_AFTER_FRAMES, b"")]


def test_bye_is_told_and_answers_still_come_through_behind_it() -> None:
    front = Front()
    assert front.hear(Kind.BYE).is_bye
    assert front.hear(Kind.DATA, seq=1, body=b"answer").bodies == (b"answer",)


def test_the_last_word_comes_behind_everything_that_still_waits() -> None:
    front = Front()
    for _ in range(WINDOW_FRAMES + 2):
        front.push(b"x")
    last = frames(front.machine.finish(b"bye"))
    assert [(kind, seq) for kind, seq, _, _ in last] == [
        (Kind.DATA, WINDOW_FRAMES + 1), (Kind.DATA, WINDOW_FRAMES + 2), (Kind.ENDED, 0),
    ]  # fmt: skip


def test_a_client_is_silent_exactly_when_nothing_came_for_the_limit() -> None:
    front = Front()
    front.hear(Kind.BEAT, now_s=NOW_S + 1)
    assert not front.machine.is_silent(NOW_S + 10.999, 10.0)
    assert front.machine.is_silent(NOW_S + 11.0, 10.0)


def test_a_notice_is_sent_at_once_and_again_behind_what_begins_a_connection() -> None:
    front = Front()
    front.hear(Kind.HELLO)
    front.replies()
    assert frames(front.machine.announce(b"news")) == [(Kind.NOTICE, 0, 0, b"news")]
    assert frames(front.machine.announce(b"other")) == [(Kind.NOTICE, 0, 0, b"other")]
    for kind, answer in ((Kind.RESUME, Kind.RESUMED), (Kind.HELLO, Kind.WELCOME)):
        front.hear(kind)
        assert [(kind, body) for kind, _, _, body in front.replies()][0][0] is answer
        front.hear(kind)
        assert front.replies()[-1] == (Kind.NOTICE, 0, 0, b"other")
    front.hear(Kind.BEAT)
    assert [kind for kind, *_ in front.replies()] == [Kind.BEAT]
