# SPDX-License-Identifier: Apache-2.0
"""The security page claims nothing that no test defends."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "security.md"
NAMED = re.compile(r"`(test_\w+\.py)(?:::(test_\w+))?`")


def test_every_test_that_the_security_page_names_exists() -> None:
    sources = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    missing = [
        f"{file}::{name}"
        for file, name in NAMED.findall(PAGE.read_text())
        if file not in sources or (name and f"def {name}(" not in sources[file])
    ]
    assert missing == []


def test_every_claim_in_a_table_of_the_security_page_names_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 15
    assert [row for row in rows if not NAMED.search(row)] == []
