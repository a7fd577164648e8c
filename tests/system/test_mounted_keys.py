# SPDX-License-Identifier: Apache-2.0
"""Servers and clients in containers: keys from files somebody else put there, nothing written, no home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scenario_execution_keys.store import KeyStore
from tests.support.servers import CURVE, Identity, make_guest, make_owner, serving
from tests.system.conftest import Run


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Identity]:
    """A key store without secrets; they stand beside it."""
    owner = make_owner(tmp_path / "keys")
    for role in ("server", "client"):
        shutil.move(owner.folder / f"{role}.key_secret", tmp_path / f"{role}.key_secret")
        (owner.folder / f"{role}.key").unlink()
    yield owner


def test_server_and_client_run_on_files_that_the_environment_names_and_write_none(
    tmp_path: Path, mounted: Identity, run: Run, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mounted.folder / "pending").touch()  # nothing can be noted there, as on a read-only mount
    before = sorted(mounted.folder.rglob("*"))
    stranger = make_guest(tmp_path / "stranger", mounted, None)
    homeless = {"HOME": "/nonexistent", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    with serving(tmp_path / "server", *CURVE, keys=mounted.folder, site=site, environment=homeless) as server:
        scenario = f'log("mounted") with:\n    remote("{server.endpoint}", setup_timeout: 1s)'
        refused = run(scenario, who=stranger)
        assert refused.code == 1
        assert server.wait_for_log("refused keys are not kept for se-server pending")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        outcome = run(scenario, who=mounted)
        assert outcome.code == 0 and "INFO mounted" in outcome.said, outcome.output
        server.wait_idle()
    assert sorted(mounted.folder.rglob("*")) == before
    assert KeyStore(mounted.folder).pair_files("server").given is not None
