# SPDX-License-Identifier: Apache-2.0
"""Of those who were refused, watch and log are told, and some keys are kept for `se-server pending`."""

from __future__ import annotations

from pathlib import Path

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_keys.pending import PendingKeys
from scenario_execution_keys.store import KeyStore
from scenario_execution_server.refusals import Refusal
from scenario_execution_server.strangers import Strangers
from scenario_execution_server.watch import Watch
from tests.support.doors import captured_log


class Told(Watch):
    """A watch that keeps what it is told of refusals."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str | None] = []
        self.uncounted: list[int] = []

    def handshake_refused(self, key: str | None, address: str, why: str) -> None:
        self.refused.append(key)

    def refusals_uncounted(self, count: int) -> None:
        self.uncounted.append(count)


def refused(count: int) -> list[Refusal]:
    return [Refusal(key=KeyPair.generate().public.z85, address="192.0.2.1") for _ in range(count)]


def test_all_are_told_and_of_a_flood_few_keys_are_written_at_once(tmp_path: Path) -> None:
    store, watch, several = KeyStore(tmp_path / "keys"), Told(), refused(5)
    with captured_log() as (log, lines):
        Strangers(store, log, watch).tell(several, 7)
    assert watch.refused == [one.key for one in several] and watch.uncounted == [7]
    assert len(lines.about("WARNING")) >= len(several)
    assert len(PendingKeys(store).all()) == 2


def test_a_store_that_keeps_no_keys_is_complained_of_once(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no folder")
    with captured_log() as (log, lines):
        strangers = Strangers(KeyStore(tmp_path / "keys"), log, Told())
        strangers.tell(refused(2), 0)
        strangers.tell(refused(2), 0)
    assert len(lines.about("refused keys are not kept for se-server pending")) == 1
