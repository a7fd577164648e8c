# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from scenario_execution_remote.plugin import ACTION_GROUP, parameters_of
from scenario_execution_remote.protocol import messages
from scenario_execution_server.worker import catalogue
from scenario_execution_server.worker.catalogue import UnknownActionError, find_action


class Go:
    def __init__(self, speed: float) -> None: ...

    def execute(self, goal: str, retries: int) -> None: ...


class GoElsewhere:
    def __init__(self, speed: float) -> None: ...

    def execute(self, goal: str) -> None: ...


class Rest:
    """Has neither method."""


NOT_A_CLASS = 5


class Distribution:
    def __init__(self, name: str) -> None:
        self.name = name
        self.version = "1.2"


def entry_point(attribute: str, distribution: str | None = "robot", name: str = "go") -> EntryPoint:
    found = EntryPoint(name=name, value=f"{__name__}:{attribute}", group=ACTION_GROUP)
    if distribution is not None:
        vars(found)["dist"] = Distribution(distribution)
    return found


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(*found: EntryPoint) -> None:
        def entry_points(*, group: str) -> list[EntryPoint]:
            return [one for one in found if one.group == group]

        monkeypatch.setattr(catalogue, "entry_points", entry_points)

    return install


def wanted(cls: type = Go, distribution: str = "robot", **changed: Any) -> messages.Plugin:
    fields: dict[str, Any] = {
        "key": "go",
        "value": f"{__name__}:{cls.__name__}",
        "distribution": distribution,
        "version": "1.0",
        "init_arguments": parameters_of(cls, "__init__"),
        "execute_arguments": parameters_of(cls, "execute"),
    }
    return messages.Plugin(**(fields | changed))


def test_the_one_that_is_installed_under_that_name_and_class_is_found(install: Any) -> None:
    install(entry_point("Go"))
    assert find_action(wanted()) is Go


def test_of_two_packages_with_the_same_name_the_one_with_the_class_is_found(install: Any) -> None:
    install(entry_point("GoElsewhere", "other"), entry_point("Go"))
    assert find_action(wanted()) is Go
    assert find_action(wanted(GoElsewhere, "other")) is GoElsewhere


def test_of_two_packages_with_the_same_class_the_clients_one_is_found(install: Any) -> None:
    install(entry_point("Go", "fork"), entry_point("Go", "robot"))
    assert find_action(wanted(distribution="fork")) is Go
    with pytest.raises(UnknownActionError, match="of fork 1.2, .* of robot 1.2"):
        find_action(wanted(distribution="third"))


def test_an_action_that_is_not_installed_is_refused_and_where_the_client_has_it_from_is_said(install: Any) -> None:
    install(entry_point("Go", name="come"))
    with pytest.raises(UnknownActionError, match=r"no plug-in for action 'go' \(the client has it from robot 1\.0\)"):
        find_action(wanted())


def test_another_class_under_the_same_name_is_refused_and_both_are_named(install: Any) -> None:
    install(entry_point("GoElsewhere", "other"))
    with pytest.raises(UnknownActionError, match=":Go' of robot 1.0 on the client, .*:GoElsewhere' of other 1.2"):
        find_action(wanted())


def test_an_entry_point_of_another_group_is_no_action_whatever_it_is_called(install: Any) -> None:
    install(EntryPoint(name="go", value=f"{__name__}:Go", group="console_scripts"))
    with pytest.raises(UnknownActionError):
        find_action(wanted())


@pytest.mark.parametrize("value", ["os:system", "builtins:eval", "subprocess:Popen"])
def test_a_class_that_no_package_registers_is_never_imported_for_a_client(install: Any, value: str) -> None:
    install(entry_point("Go"))
    with pytest.raises(UnknownActionError):
        find_action(wanted(value=value))


def test_what_is_registered_but_is_no_class_is_refused(install: Any) -> None:
    install(entry_point("NOT_A_CLASS"))
    with pytest.raises(UnknownActionError, match="is not a class"):
        find_action(wanted(value=f"{__name__}:NOT_A_CLASS"))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"init_arguments": ["speed", "colour"]}, r"takes __init__\(speed, colour\) .* and __init__\(speed\)"),
        ({"init_arguments": []}, r"takes __init__\(\) on the client"),
        ({"init_arguments": None}, r"takes no __init__\(\) on the client"),
        ({"execute_arguments": ["retries", "goal"]}, r"takes execute\(retries, goal\) .* and execute\(goal, retries\)"),
        ({"execute_arguments": None}, r"takes no execute\(\) on the client"),
    ],
)
def test_a_class_that_takes_other_arguments_is_refused_and_both_lists_are_shown(
    install: Any, changed: dict[str, Any], sentence: str
) -> None:
    install(entry_point("Go"))
    with pytest.raises(UnknownActionError, match=sentence):
        find_action(wanted(**changed))


def test_a_class_without_the_methods_is_compared_too(install: Any) -> None:
    install(entry_point("Rest"))
    assert find_action(wanted(Rest)) is Rest
    with pytest.raises(UnknownActionError):
        find_action(wanted(Rest, execute_arguments=["goal"]))


def test_a_client_that_does_not_know_its_package_is_told_so_in_words(install: Any) -> None:
    install(entry_point("Go", None))
    with pytest.raises(UnknownActionError, match=r"\(an unknown package\) and execute\(goal, retries\)"):
        find_action(wanted(distribution="", execute_arguments=None))


def test_a_version_1_client_gets_the_only_one_of_that_name_whatever_its_arguments(install: Any) -> None:
    install(entry_point("Go"))
    assert find_action(messages.Plugin(key="go")) is Go


def test_a_version_1_client_is_refused_when_the_name_is_ambiguous(install: Any) -> None:
    install(entry_point("Go"), entry_point("GoElsewhere", "other"))
    with pytest.raises(UnknownActionError, match="cannot say which one it means"):
        find_action(messages.Plugin(key="go"))
