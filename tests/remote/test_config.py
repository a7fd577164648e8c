# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import math
import re

import pytest

from scenario_execution_keys.keypair import KeyPair
from scenario_execution_remote.config import LONGEST_S, PARAMETERS, Parameter, RemoteSettings
from tests.support.keys import SERVER


def settings(**values: object) -> RemoteSettings:
    return RemoteSettings.from_arguments({"endpoint": "robot", **values})


def complaint(**values: object) -> str:
    with pytest.raises(ValueError) as caught:
        settings(**values)
    return str(caught.value)


def test_the_endpoint_alone_is_enough() -> None:
    assert settings() == RemoteSettings(endpoint="robot:7613")


def test_every_argument_arrives() -> None:
    given = settings(
        endpoint="tcp://[::1]:9",
        setup_timeout=3,
        execution_timeout=0,
        heartbeat_failure_timeout=0.5,
        server_key=SERVER.public.text,
        files="copy",
        upload=["maps", "/opt/robots/*.urdf"],
        upload_limit="20M",
        tick_wait=1,
    )
    assert given == RemoteSettings(
        endpoint="[::1]:9",
        setup_timeout_s=3.0,
        execution_timeout_s=0.0,
        heartbeat_failure_timeout_s=0.5,
        server_key=SERVER.public.text,
        files="copy",
        upload=("maps", "/opt/robots/*.urdf"),
        upload_limit="20M",
        tick_wait=1.0,
    )


def test_whole_seconds_arrive_as_floats() -> None:
    assert isinstance(settings(setup_timeout=3).setup_timeout_s, float)


def test_two_spellings_of_one_endpoint_make_equal_settings() -> None:
    assert settings(endpoint="TCP://Robot:7613") == settings(endpoint="robot")


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_the_defaults_of_the_table_are_those_of_the_settings(parameter: Parameter) -> None:
    fields = {field.name: field.default for field in dataclasses.fields(RemoteSettings)}
    assert fields[parameter.field] == (dataclasses.MISSING if parameter.default is None else parameter.default)


def test_the_table_and_the_settings_have_the_same_names() -> None:
    assert [parameter.field for parameter in PARAMETERS] == [field.name for field in dataclasses.fields(RemoteSettings)]


@pytest.mark.parametrize("values", [{}, {"endpoint": None}])
def test_a_missing_endpoint_is_named(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="'endpoint' of remote.. is missing.*7613 if none is given"):
        RemoteSettings.from_arguments(values)


@pytest.mark.parametrize("name", ["setup_timeout", "server_key"])
def test_an_argument_without_a_value_is_named(name: str) -> None:
    assert f"'{name}' of remote() has no value" in complaint(**{name: None})


def test_unknown_arguments_are_named_with_those_that_exist() -> None:
    text = complaint(timeout=5, endpiont="robot")
    assert "no argument 'endpiont', 'timeout'" in text
    assert "it has endpoint, setup_timeout, execution_timeout, heartbeat_failure_timeout, server_key" in text


@pytest.mark.parametrize("value", [5, 5.0, True, ("unit", 1), ["robot"], {"host": "robot"}, b"robot"], ids=repr)
@pytest.mark.parametrize("name", ["endpoint", "server_key"])
def test_a_text_that_is_none_is_refused(name: str, value: object) -> None:
    text = complaint(**{name: value})
    assert f"'{name}'" in text and repr(value) in text and "expected a string" in text


@pytest.mark.parametrize("value", ["5s", True, False, ("s", 1), [5], {}, b"5", 5j], ids=repr)
@pytest.mark.parametrize("name", ["setup_timeout", "execution_timeout", "heartbeat_failure_timeout"])
def test_a_time_that_is_none_is_refused(name: str, value: object) -> None:
    text = complaint(**{name: value})
    assert f"'{name}'" in text and repr(value) in text and "expected a time" in text


@pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, -math.inf, LONGEST_S * 1.01, 10**400], ids=repr)
@pytest.mark.parametrize("name", ["setup_timeout", "execution_timeout", "heartbeat_failure_timeout"])
def test_a_time_out_of_range_is_refused(name: str, value: float) -> None:
    text = complaint(**{name: value})
    assert f"'{name}'" in text and "expected a time" in text and len(text) < 300


def test_no_time_at_all_is_refused_where_something_has_to_happen_in_it() -> None:
    assert "above 0s" in complaint(setup_timeout=0)
    assert "above 0s" in complaint(heartbeat_failure_timeout=0.0)


def test_an_execution_may_take_for_ever() -> None:
    assert settings(execution_timeout=0).execution_timeout_s == 0.0
    assert "0s (for ever)" in complaint(execution_timeout=-1)


@pytest.mark.parametrize("value", [-0.1, 1.01, math.nan, math.inf, True, "0.5", [0.5], 10**400], ids=repr)
def test_a_wait_that_is_no_part_of_a_tick_is_refused(value: object) -> None:
    text = complaint(tick_wait=value)
    assert "'tick_wait'" in text and "expected a part from 0.0 to 1.0" in text and len(text) < 300


def test_a_wrong_endpoint_is_a_parse_error() -> None:
    assert "65535" in complaint(endpoint="robot:0")


def test_a_typo_in_the_server_key_is_a_parse_error() -> None:
    good = SERVER.public.text
    text = complaint(server_key=good[:-1] + ("a" if good[-1] != "a" else "b"))
    assert "'server_key'" in text and "typo" in text


def test_a_secret_key_in_the_scenario_is_refused_and_not_repeated() -> None:
    secret = KeyPair.generate().secret.reveal_text()
    text = complaint(server_key=secret)
    assert "secret" in text and secret[8:20] not in text


def test_no_parameter_is_named_like_a_unit_and_none_carries_its_unit_in_the_dsl() -> None:
    # a parameter called ms would shadow the unit in the very declaration that uses it
    units = re.compile(r"(n|u|m|c|k)?(s|m|g)|min|h|sec|second|minute|hour|deg|rad|K|C|F|Pa|lb|ton")
    assert [parameter.name for parameter in PARAMETERS if units.fullmatch(parameter.name)] == []
