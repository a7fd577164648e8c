# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from scenario_execution_remote.files.outcomes import Outcomes

MB = 1000**2
LEFT = {"test.osc": 1000, "map/site": 90 * MB, "run/test.xml": 500, "run/bag/data": 70 * MB, "runs/x": 80 * MB}


def test_folders_with_a_verdict_are_named_once_when_much_of_them_is_sent() -> None:
    outcomes = Outcomes(LEFT)
    for name in ("map/site", "runs/x", "run/test.xml"):
        outcomes.sends(name, LEFT[name])
    assert outcomes.remark() == ""
    outcomes.sends("run/bag/data", 70 * MB)
    assert outcomes.remark() == "'run' (70.0 MB)"
    outcomes.sends("run/bag/data", 70 * MB)
    assert outcomes.remark() == ""


def test_nothing_is_said_of_what_the_server_has() -> None:
    outcomes = Outcomes(LEFT)
    outcomes.sends("run/test.xml", 500)
    assert outcomes.remark() == ""


def test_of_a_run_with_several_scenarios_the_whole_is_named_and_of_many_runs_the_largest() -> None:
    sizes = {f"all/{number}/{name}": number * MB for number in range(9) for name in ("a/test.xml", "test.xml", "b/x")}
    outcomes = Outcomes(sizes)
    for name, size_bytes in sizes.items():
        outcomes.sends(name, size_bytes)
    named = ", ".join(f"'all/{number}' ({3 * number}.0 MB)" for number in (8, 7, 6, 5, 4))
    assert outcomes.remark() == f"{named} and 4 more"


def test_a_verdict_beside_the_scenario_itself_says_nothing_of_what_else_lies_there() -> None:
    outcomes = Outcomes({"test.xml": 500, "map": 90 * MB, "latest.xml": 1, "map/contest.xml": 1})
    outcomes.sends("map", 90 * MB)
    assert outcomes.remark() == ""
