# SPDX-License-Identifier: Apache-2.0
"""What the settings mean, and which of them cannot stand together."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pytest

from scenario_execution_server.config import (
    DEFAULT_PORT,
    ENVIRONMENT_PREFIX,
    Group,
    ServerSettings,
    TcpDoor,
    UnixDoor,
    flag_of,
    options,
)
from scenario_execution_server.errors import SettingsError

SOCKET = Path("/run/se.sock")


def only_tcp_door(**values: Any) -> TcpDoor:
    (door,) = ServerSettings(**values).doors
    assert isinstance(door, TcpDoor)
    return door


def test_without_options_it_listens_on_loopback_without_encryption() -> None:
    assert only_tcp_door() == TcpDoor(host="127.0.0.1", port=DEFAULT_PORT, curve=False, exposed=False)


def test_curve_alone_listens_on_all_interfaces() -> None:
    assert only_tcp_door(curve=True) == TcpDoor(host="*", port=DEFAULT_PORT, curve=True, exposed=False)


def test_a_socket_alone_opens_no_tcp_port() -> None:
    assert ServerSettings(socket=SOCKET).doors == (UnixDoor(path=SOCKET, mode=0o600),)


def test_a_socket_and_a_port_are_both_served() -> None:
    doors = ServerSettings(socket=SOCKET, port=1234, curve=True).doors
    assert [door.kind for door in doors] == ["tcp-curve", "unix"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_encryption(host: str) -> None:
    assert not only_tcp_door(host=host).exposed


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "::", "10.1.2.3", "fe80::1%eth0", "[2001:db8::1]"])
def test_everything_else_is_refused_without_encryption_unless_insecure_is_spelled_out(host: str) -> None:
    with pytest.raises(SettingsError, match="nothing is encrypted") as caught:
        ServerSettings(host=host)
    assert caught.value.option == "--host"
    assert only_tcp_door(host=host, insecure=True).exposed
    assert ServerSettings(host=host, insecure=True).exposed
    assert not only_tcp_door(host=host, curve=True).exposed


@pytest.mark.parametrize("host", ["", "eth0", "example.org", "127.1", "1.2.3.4.5", "localhost ", "::1]", "a\nb"])
def test_a_host_that_could_mean_several_addresses_is_refused(host: str) -> None:
    with pytest.raises(SettingsError, match="is not an address"):
        ServerSettings(host=host, curve=True)


@pytest.mark.parametrize("values", [{"curve": True}, {"host": "127.0.0.1"}, {"insecure": True}], ids=str)
def test_an_option_about_tcp_with_a_socket_alone_is_refused_instead_of_forgotten(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="no TCP port is opened. Add --port"):
        ServerSettings(socket=SOCKET, **values)
    ServerSettings(socket=SOCKET, port=0, **values)


def test_encrypted_and_insecure_at_once_is_refused() -> None:
    with pytest.raises(SettingsError, match="one TCP port"):
        ServerSettings(curve=True, insecure=True)


@pytest.mark.parametrize(
    "values",
    [
        {"port": -1},
        {"port": 65536},
        {"watchdog_s": 0.0},
        {"watchdog_s": -1.0},
        {"watchdog_s": math.nan},
        {"watchdog_s": math.inf},
        {"connect_timeout_s": -0.5},
        {"connect_timeout_s": math.nan},
        {"shutdown_timeout_s": math.inf},
        {"max_sessions": 0},
        {"ready_fd": -1},
        {"log_level": "loud"},
        {"socket_mode": 0o1600},
        {"socket_mode": 0o000},
        {"socket_mode": 0o060},
        {"socket_mode": -1},
    ],
    ids=str,
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_option(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        ServerSettings(**values)
    assert caught.value.option == flag_of(next(iter(values)))


def test_to_name_one_limit_of_files_lifts_no_other() -> None:
    by_default, named = ServerSettings().limits, ServerSettings(file_limits="rate=1M total=2G").limits
    assert (named.rate, named.total) == (10**6, 2 * 10**9)
    assert (named.count, named.stored) == (by_default.count, by_default.stored)
    assert by_default.count and by_default.stored


def test_the_watchdog_is_twice_as_patient_as_the_client_of_the_modifier() -> None:
    heartbeat_failure_timeout_s = 5.0  # product.md: the modifier's default
    assert ServerSettings().watchdog_s == 2 * heartbeat_failure_timeout_s


def test_every_field_is_an_option_with_an_environment_name_a_help_text_and_a_heading() -> None:
    listed = options()
    assert [option.field for option in listed] == [field.name for field in dataclasses.fields(ServerSettings)]
    for option in listed:
        assert option.environment[0] == ENVIRONMENT_PREFIX + option.flag[2:].upper().replace("-", "_")
        assert option.help.endswith(".")
        assert option.group in Group
        assert bool(option.metavar) is (option.type is not bool)


def test_the_keys_folder_has_the_environment_name_of_all_key_commands_too() -> None:
    (keys_dir,) = (option for option in options() if option.field == "keys_dir")
    assert keys_dir.environment[1:] == ("SCENARIO_EXECUTION_KEYS_DIR",)
