# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from platformdirs import user_config_path

from scenario_execution_keys.paths import KEYS_DIR_VARIABLE, resolve_keys_dir


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEYS_DIR_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_the_platform_says_where_keys_are_kept() -> None:
    assert resolve_keys_dir() == user_config_path("scenario_execution") / "keys"


def test_the_environment_goes_before_the_platform_and_the_option_before_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_DIR_VARIABLE, "/from/environment")
    assert resolve_keys_dir() == Path("/from/environment")
    assert resolve_keys_dir("/from/option") == resolve_keys_dir(Path("/from/option")) == Path("/from/option")


def test_an_empty_option_or_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_DIR_VARIABLE, "")
    assert resolve_keys_dir("") == user_config_path("scenario_execution") / "keys"


def test_a_relative_folder_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = resolve_keys_dir("keys")
    monkeypatch.chdir("/")
    assert found == tmp_path / "keys"


def test_a_tilde_in_the_environment_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_DIR_VARIABLE, "~/keys")
    assert resolve_keys_dir() == tmp_path / "keys"
