# SPDX-License-Identifier: Apache-2.0
"""What the log says about refused handshakes."""

from __future__ import annotations

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_server.refusals import COUNT_EVERY_S, LINES_AT_ONCE, REPEAT_AFTER_S, Refusal, RefusalLog
from tests.support.keys import CLIENT


def stranger(address: str = "10.0.0.1") -> Refusal:
    return Refusal(key=CLIENT.public.z85, address=address)


def test_a_stranger_is_named_with_fingerprint_address_and_the_command_that_enrols_it() -> None:
    (line,) = RefusalLog(lambda words: f"{words} --keys-dir /k").lines([stranger()], 0.0)
    assert line.sentence == "refused a client whose key is not enrolled"
    assert line.fields["fingerprint"] == CLIENT.public.fingerprint
    assert line.fields["address"] == "10.0.0.1"
    assert str(line.fields["next"]).endswith(f"se-server enrol NAME {CLIENT.public.text} --keys-dir /k")


def test_the_same_stranger_is_named_again_only_after_a_minute_and_then_with_a_count() -> None:
    log = RefusalLog()
    assert len(log.lines([stranger(), stranger()], 0.0)) == 1
    assert log.lines([stranger()], REPEAT_AFTER_S - 1) == []
    (line,) = log.lines([stranger()], REPEAT_AFTER_S)
    assert line.fields["times"] == 3
    assert log.lines([], 10 * REPEAT_AFTER_S) == []


def test_the_same_key_from_another_address_is_another_stranger() -> None:
    log = RefusalLog()
    log.lines([stranger()], 0.0)
    assert len(log.lines([stranger("10.0.0.2")], 1.0)) == 1


def test_a_flood_of_keys_is_counted_instead_of_listed() -> None:
    flood = [Refusal(key=KeyPair.generate().public.z85, address="10.0.0.1") for _ in range(LINES_AT_ONCE + 20)]
    lines = RefusalLog().lines(flood, 0.0, uncounted=1000)
    assert len(lines) == LINES_AT_ONCE + 1
    assert lines[-1].fields == {"times": 1020}


def flood(look: int, count: int = 2 * LINES_AT_ONCE) -> list[Refusal]:
    return [Refusal(key=None, address="10.0.0.1", why=f"{number} at look {look}") for number in range(count)]


def test_a_flood_that_goes_on_is_a_line_a_second_and_hides_nobody_who_comes_from_elsewhere() -> None:
    log = RefusalLog()
    log.lines(flood(0), 0.0)
    said = [line for look in range(1, 401) for line in log.lines(flood(look), look / 4)]
    assert sum("why" in line.fields for line in said) == 100
    assert sum(line.sentence == "refused more clients than can be listed" for line in said) == 100 / COUNT_EVERY_S
    named = [line for line in log.lines([*flood(401), stranger("10.0.0.2")], 101.0) if line.stranger is not None]
    assert [address for line in named for _, address in [line.stranger or (None, "")]] == ["10.0.0.2"]


def test_memory_stays_bounded_whatever_strangers_come() -> None:
    log = RefusalLog()
    for number in range(1100):
        log.lines([Refusal(key=None, address=f"10.0.{number // 256}.{number % 256}", why="x")], float(number))
    assert len(log._strangers) == len(log._shares) == 1000


def test_a_stranger_that_is_forgotten_before_it_is_named_again_stays_forgotten() -> None:
    log = RefusalLog()
    log.lines([stranger(), stranger()], 0.0)
    for number in range(1000):
        log.lines([Refusal(key=None, address=f"10.1.{number // 256}.{number % 256}", why="x")], float(number) / 100)
    assert log.lines([], REPEAT_AFTER_S) == []


def test_a_key_that_cannot_be_one_is_listed_as_it_is() -> None:
    (line,) = RefusalLog().lines([Refusal(key="0" * 40, address="10.0.0.1")], 0.0)
    assert line.fields["key"] == "0" * 40
    assert "next" not in line.fields


def test_a_refusal_without_key_says_why() -> None:
    (line,) = RefusalLog().lines([Refusal(key=None, address="10.0.0.1", why="'PLAIN' is not spoken at this door")], 0.0)
    assert line.fields["why"] == "'PLAIN' is not spoken at this door"
