# SPDX-License-Identifier: Apache-2.0
"""The parity table: all rows, in the order of the features they belong to."""

from __future__ import annotations

from tests.parity import rows_exceptions, rows_lifecycle
from tests.parity.row import Row

ROWS: tuple[Row, ...] = (*rows_lifecycle.ROWS, *rows_exceptions.ROWS)
