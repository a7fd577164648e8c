# SPDX-License-Identifier: Apache-2.0
"""The link by itself, against peers that are no servers."""

from __future__ import annotations

from typing import Any

import pytest

from scenario_execution_remote.endpoint import Endpoint
from scenario_execution_remote.errors import ConnectAbortedError
from scenario_execution_remote.link import Link
from scenario_execution_remote.security import Security
from tests.support import peers

FOR_EVER_S = 600.0
SOON_S = 30.0  # far below FOR_EVER_S, and enough for a busy machine


class Silence:
    """Takes what a link has to say."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments: None


def test_an_end_is_not_held_up_by_a_server_that_does_not_answer() -> None:
    with peers.mute() as port:
        link = Link(Endpoint.parse(f"127.0.0.1:{port}"), Security(own=None, server_key=None), 5.0, Silence())
        link.start(FOR_EVER_S)
        link.end()
        assert link.wait_until_over(SOON_S)
        with pytest.raises(ConnectAbortedError):
            link.wait_until_open()
