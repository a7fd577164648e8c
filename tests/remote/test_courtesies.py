# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from scenario_execution_remote.courtesies import error_for
from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.protocol.client import Over


@pytest.mark.parametrize("reason", ["limit", "stopping", "worker-lost", "protocol", "never heard of"])
def test_what_a_server_says_at_the_end_is_shown_and_obeyed_by_no_terminal(reason: str) -> None:
    said = "full\x1b]0;title\x07\x1b[2J\rINFO all is well\u202e\x9b31m\nlast words: \u00fc\t!"
    shown = str(error_for(Endpoint.parse("127.0.0.1"), Over(reason, said)))
    assert shown == r"full\x1b]0;title\x07\x1b[2J\rINFO all is well\u202e\x9b31m" + "\nlast words: \u00fc\t!"
