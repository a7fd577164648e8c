# SPDX-License-Identifier: Apache-2.0
"""The page about speed says what its numbers say, and nothing is added by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.model import SESSIONS, Machine, model, sessions_by_resource
from benchmarks.page import PAGE, page
from benchmarks.results import Aim, Result, svg

FACTS = {
    "front_us_a_tick": 200.0, "front_thread_us_a_tick": 100.0, "worker_us_a_tick": 200.0, "worker_mib": 6.0,
    "shepherd_mib": 2.0, "front_mib_a_session": 0.0, "descriptors_a_session": 4.0, "bytes_a_tick": 100.0,
    "starts_a_second": 100.0,
}  # fmt: skip
AIM = Aim(what="a tick", wanted="2 times at most", seen="1.50", is_met=True)
RESULT = Result("running", "one tick", ["actions", "us"], [[1, 2.0], [10, 30.0]], aims=[AIM], facts=FACTS, plot=["us"])


def document(*results: Result, load: float = 0.1) -> dict[str, object]:
    about = {"machine": "a machine", "cores": 2, "load": load, "quick": False}
    return {**about, "results": [one.as_json() for one in results]}


def test_the_committed_page_is_what_its_numbers_make() -> None:
    numbers = json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(numbers)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in PAGE.with_suffix("").iterdir()}
    results = [Result.from_json(one) for one in numbers["results"]]
    assert drawn == {f"{result.name}.svg": svg(result) for result in results if result.plot}


def test_a_missed_aim_is_marked_and_counted() -> None:
    missed = replace(RESULT, aims=[AIM, replace(AIM, what="another", seen="3.00", is_met=False)])
    text = page(document(missed))
    assert "1 of 2 met in this run." in text
    assert "| another | 2 times at most | 3.00 | **no** |" in text
    assert "take what is missed as missed" in text
    assert "other work took part" in page(document(missed, load=5.0))


def test_with_all_aims_met_nothing_is_excused() -> None:
    text = page(document(RESULT))
    assert "1 of 1 met in this run." in text and "missed" not in text and "**no**" not in text


def test_a_plot_reaches_for_nothing_outside_of_itself() -> None:
    drawn = svg(RESULT)
    assert drawn.count("http") == 1 and 'xmlns="http://www.w3.org/2000/svg"' in drawn


def test_the_model_takes_the_resource_that_runs_out_first() -> None:
    carried = sessions_by_resource(FACTS, Machine(cores=2, memory_gib=4))
    assert carried["the front's one thread"] == pytest.approx(700)  # 70 % of a core, 1 ms a second each
    assert carried["CPU of front and workers"] == pytest.approx(350)
    assert carried["memory"] == pytest.approx(409.6)
    worked_out = model([RESULT])
    assert worked_out is not None
    assert worked_out.rows[-2][1] == "CPU of front and workers"
    assert worked_out.rows[-1][1] == -(-SESSIONS // 350)


def test_without_the_numbers_there_is_no_model() -> None:
    assert model([replace(RESULT, facts={"worker_mib": 6.0})]) is None
