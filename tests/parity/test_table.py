# SPDX-License-Identifier: Apache-2.0
"""The parity table is in order, and the reference page says what it says."""

from __future__ import annotations

from collections import Counter

from tests.parity.page import known_differences, page
from tests.parity.row import Feature
from tests.parity.table import ROWS
from tests.support.workspace import ROOT

PAGE = ROOT / "docs" / "reference" / "parity.md"
RECORDS = ROOT / "docs" / "decisions"


def test_the_page_is_what_the_table_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(), "run: python -m tests.parity.page > docs/reference/parity.md"


def test_no_two_rows_have_the_same_name() -> None:
    assert [slug for slug, count in Counter(row.slug for row in ROWS).items() if count > 1] == []


def test_each_feature_has_rows() -> None:
    assert {row.feature for row in ROWS} == set(Feature)


def test_each_difference_has_a_decision_record_and_rows_that_show_it() -> None:
    for difference in known_differences():
        assert (RECORDS / difference.record).is_file(), difference
        assert any(row.differs is difference for row in ROWS), difference


def test_what_is_different_remotely_is_a_difference_on_purpose() -> None:
    assert [row.name for row in ROWS if row.remotely and row.differs is None] == []
    assert {row.differs.title for row in ROWS if row.differs} <= {one.title for one in known_differences()}
