# SPDX-License-Identifier: Apache-2.0
"""What `./dev engine-suite` takes for the same, for different and for no result; the suite itself is not run here."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.engine_suite import archive, run
from tests.engine_suite.comparison import Run, differences
from tests.support.workspace import ROOT

PLAUSIBLE = {"set_up": 500, "ticked": 5000, "server_status": 0, "server_log": ""}


def a_run(outcomes: dict[str, str], records: dict[str, list[tuple[str, str]]] | None = None, **report: Any) -> Run:
    return Run(outcomes=outcomes, details={}, report={"records": records or {}, **PLAUSIBLE, **report})


def found(local: Run, remote: Run) -> list[str]:
    return list(differences(local, remote))


def an_archive(path: Path, **files: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(f"{archive.FOLDER}/{name.replace('__', '/')}.py")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return path


def test_two_runs_with_the_same_outcomes_and_records_do_not_differ() -> None:
    one = a_run({"a": "passed", "b": "failed"}, {"a": [("info", "hello")]})
    assert found(one, one) == []


@pytest.mark.parametrize("there", ["failed", "error", "skipped", "passed passed"])
def test_another_outcome_of_one_test_is_a_difference(there: str) -> None:
    [text] = found(a_run({"a": "passed"}), a_run({"a": there}))
    assert text == f"a: passed locally, {there} remotely"


def test_a_test_that_is_missing_on_one_side_is_a_difference() -> None:
    assert len(found(a_run({"a": "passed"}), a_run({}))) == 1
    assert len(found(a_run({}), a_run({"a": "passed"}))) == 1


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_one_log_record_more_or_less_is_a_difference(level: str) -> None:
    with_it, without = a_run({}, {"t": [("info", "x"), (level, "Connecting")]}), a_run({}, {"t": [("info", "x")]})
    assert found(without, with_it) == [f"t: only remotely logged: {level} Connecting"]
    assert found(with_it, without) == [f"t: only locally logged: {level} Connecting"]


def test_a_record_that_comes_twice_in_place_of_once_is_a_difference() -> None:
    assert len(found(a_run({}, {"t": [("info", "x")]}), a_run({}, {"t": [("info", "x")] * 2}))) == 1


def test_another_level_is_a_difference() -> None:
    assert len(found(a_run({}, {"t": [("info", "x")]}), a_run({}, {"t": [("error", "x")]}))) == 2


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("wrote /tmp/a1/x.txt", "wrote /tmp/b2/x.txt"),
        ("took 0.12 s", "took 13 s"),
        ("<Thing at 0x7f12>", "<Thing at 0x7aff>"),
        ("failed. {-} tree\n  wait [✓]", "failed. {-} tree\n  wait"),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(here: str, there: str) -> None:
    assert found(a_run({}, {"t": [("info", here)]}), a_run({}, {"t": [("info", there)]})) == []


def test_a_slow_tick_is_no_difference() -> None:
    assert found(a_run({}), a_run({}, {"t": [("warning", "Tick too long: 0.2 > 0.1")]})) == []


def test_shutting_down_at_the_end_may_be_heard_remotely_and_not_locally() -> None:
    said = a_run({}, {"t": [("info", "Sending SIGTERM to process...")]})
    assert found(a_run({}), said) == []
    assert len(found(said, a_run({}))) == 1


def test_outcomes_are_read_from_what_pytest_writes(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(
        "<testsuites><testsuite time='1.5'><testcase classname='c' name='a'/>"
        "<testcase classname='c' name='b'><failure>why</failure></testcase>"
        "<testcase classname='c' name='d'><skipped message='not here'/></testcase></testsuite></testsuites>"
    )
    (tmp_path / "report.json").write_text(json.dumps(PLAUSIBLE))
    result = Run.read(tmp_path / "junit.xml", tmp_path / "report.json")
    assert result.outcomes == {"c::a": "passed", "c::b": "failed", "c::d": "skipped"}
    assert result.took_s == 1.5
    assert result.details == {"c::b": "why", "c::d": "not here"}
    assert [result.count(outcome) for outcome in ("passed", "failed", "error", "skipped")] == [1, 1, 0, 1]


def test_too_few_local_passes_are_a_complaint_and_the_failed_ones_are_named() -> None:
    few = a_run({"a": "passed", "b": "failed"})
    expected = [f"only 1 tests passed locally, and {run.LEAST_PASSED} should", "b: failed"]
    assert run.complaints(few, few, is_whole=True) == expected
    assert run.complaints(few, few, is_whole=False) == []


@pytest.mark.parametrize("calls", [{"set_up": 1}, {"ticked": 1}])
def test_implausibly_few_remote_calls_are_a_complaint(calls: dict[str, int]) -> None:
    outcomes = dict.fromkeys(map(str, range(run.LEAST_PASSED)), "passed")
    assert run.complaints(a_run(outcomes), a_run(outcomes), is_whole=True) == []
    assert len(run.complaints(a_run(outcomes), a_run(outcomes, **calls), is_whole=True)) == 1


@pytest.mark.parametrize("calls", [{"set_up": 0}, {"ticked": 0}])
def test_no_remote_call_at_all_is_a_complaint_for_a_part_of_the_suite_too(calls: dict[str, int]) -> None:
    outcomes = {"a": "passed"}
    assert len(run.complaints(a_run(outcomes), a_run(outcomes, **calls), is_whole=False)) == 1


def test_a_server_that_ended_badly_is_a_complaint_with_its_log() -> None:
    outcomes = {"a": "passed"}
    [text] = run.complaints(
        a_run(outcomes), a_run(outcomes, server_status=-11, server_log="last words"), is_whole=False
    )
    assert "-11" in text and "last words" in text


def test_an_archive_that_cannot_be_had_has_an_exit_code_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(_folder: Path) -> None:
        raise archive.NotAvailableError("no route to host")

    monkeypatch.setattr(archive, "_download", unreachable)
    monkeypatch.setattr(archive, "cache_folder", lambda: tmp_path)
    assert run.main([]) == run.NOT_RUN
    said = capsys.readouterr().out
    assert "no route to host" in said and "NOT RUN" in said


def test_another_archive_under_the_name_is_refused_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive, "_download", lambda folder: an_archive(folder / archive.NAME, test__a="x"))
    monkeypatch.setattr(archive, "cache_folder", lambda: tmp_path)
    assert run.main([]) == 1
    assert archive.SHA256 in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_kept_archive_is_used_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = an_archive(tmp_path / archive.NAME, test__a="x")
    monkeypatch.setattr(archive, "SHA256", archive.digest(kept))
    monkeypatch.setattr(archive, "_download", lambda folder: pytest.fail("asked the index"))
    assert archive.fetch(tmp_path) == kept


def test_only_the_tests_are_unpacked_and_what_they_lack_is_added(tmp_path: Path) -> None:
    source = an_archive(tmp_path / archive.NAME, test__test_a="x", scenario_execution__model="y")
    archive.unpack(source, tmp_path / "out")
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.py")}
    assert names == {"test/__init__.py", "test/common.py", "test/test_a.py"}


def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    source = an_archive(tmp_path / archive.NAME, **{"test__..__..__..__evil": "x"})
    with pytest.raises(archive.WrongArchiveError, match="evil"):
        archive.unpack(source, tmp_path / "out")


def test_the_suite_is_that_of_the_version_this_tree_is_tested_with() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"{archive.PROJECT}=={archive.VERSION}" in pinned
