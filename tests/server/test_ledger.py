# SPDX-License-Identifier: Apache-2.0
"""What becomes an entry of the audit log, and what is only counted."""

from __future__ import annotations

import json

from scenario_execution_server.ledger import NOBODY, REPORT_EVERY_S, Happening, Ledger, Who

WHEN = "2030-01-31T12:00:00.000Z"
ALICE = Who(client="alice", fingerprint="sefp-a", address="192.0.2.7")
BOB = Who(client="bob", fingerprint="sefp-b", address="192.0.2.8")


def test_an_entry_says_when_what_and_who_and_leaves_out_what_is_not_known() -> None:
    entry = Ledger().enter(Happening.SESSION_ENDED, ALICE, WHEN, 0.0, reason="bye", seconds=1.5, detail=None)
    assert entry == {
        "when": WHEN, "event": "session-ended", "client": "alice", "fingerprint": "sefp-a", "address": "192.0.2.7",
        "reason": "bye", "seconds": 1.5,
    }  # fmt: skip
    assert Ledger().enter(Happening.SERVER_STOPPED, NOBODY, WHEN, 0.0) == {"when": WHEN, "event": "server-stopped"}


def test_a_megabyte_from_a_client_does_not_become_a_megabyte_of_log() -> None:
    entry = Ledger().enter(Happening.ACTION_SET_UP, ALICE, WHEN, 0.0, action="x" * 1_000_000)
    assert entry is not None and len(json.dumps(entry)) < 500


def entered(ledger: Ledger, who: Who, count: int, now_s: float, happening: Happening = Happening.REFUSED) -> int:
    entries = [ledger.enter(happening, who, WHEN, now_s, reason="not-enrolled") for _ in range(count)]
    return sum(entry is not None for entry in entries)


def test_a_client_that_is_refused_all_the_time_gets_some_entries_and_then_a_count() -> None:
    ledger = Ledger()
    assert entered(ledger, ALICE, 1000, 0.0) == 10
    assert entered(ledger, BOB, 3, 0.0) == 3
    assert ledger.refusals == {"not-enrolled": 1003}
    (report,) = ledger.report(WHEN, REPORT_EVERY_S)
    assert report == {"when": WHEN, "event": "suppressed", "client": "alice", "of": "refused", "times": 990}
    assert ledger.report(WHEN, 3 * REPORT_EVERY_S) == []


def test_its_budget_comes_back_with_time() -> None:
    ledger = Ledger()
    entered(ledger, ALICE, 1000, 0.0)
    assert entered(ledger, ALICE, 1000, 20.0) == 2


def test_ever_new_keys_do_not_make_ever_more_entries_nor_fill_the_memory() -> None:
    ledger = Ledger()
    strangers = (Who(fingerprint=f"sefp-{number}", address="192.0.2.9") for number in range(20_000))
    assert sum(entered(ledger, stranger, 1, 0.0) for stranger in strangers) == 100
    assert len(ledger._budgets) <= 1000
    (report,) = ledger.report(WHEN, 0.0)
    assert report == {"when": WHEN, "event": "suppressed", "of": "refused", "times": 19_900}


def test_a_flood_of_refusals_does_not_cost_an_enrolled_client_its_entries() -> None:
    ledger = Ledger()
    for number in range(2000):
        entered(ledger, Who(fingerprint=f"sefp-{number}"), 1, 0.0)
    assert entered(ledger, ALICE, 500, 0.0, Happening.ACTION_SET_UP) == 500


def test_a_client_that_creates_actions_without_end_is_counted_and_another_is_not_held_up() -> None:
    ledger = Ledger()
    assert entered(ledger, ALICE, 5000, 0.0, Happening.ACTION_SET_UP) == 1000
    assert entered(ledger, BOB, 5, 0.0, Happening.ACTION_SET_UP) == 5


def test_a_client_that_comes_in_again_and_again_is_told_once_a_minute() -> None:
    ledger = Ledger()
    assert ledger.admit(ALICE, WHEN, 0.0) is not None
    assert ledger.admit(ALICE, WHEN, 59.0) is None
    assert ledger.admit(BOB, WHEN, 59.0) is not None
    assert ledger.admit(ALICE, WHEN, 61.0) is not None


def test_the_beginning_and_the_end_of_a_server_are_always_told() -> None:
    ledger = Ledger()
    assert entered(ledger, NOBODY, 5000, 0.0, Happening.SERVER_STARTED) == 5000
