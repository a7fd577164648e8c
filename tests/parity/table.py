# SPDX-License-Identifier: Apache-2.0
"""The parity table: all rows, in the order of the features they belong to."""

from __future__ import annotations

from tests.parity import rows_exceptions, rows_files, rows_lifecycle, rows_process, rows_tools, rows_values
from tests.parity.row import Row

_MODULES = (rows_lifecycle, rows_exceptions, rows_values, rows_process, rows_tools, rows_files)
ROWS: tuple[Row, ...] = tuple(row for module in _MODULES for row in module.ROWS)
