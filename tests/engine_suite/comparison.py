# SPDX-License-Identifier: Apache-2.0
"""Two runs of the engine's test suite, test by test and log record by log record. Decides; reads two files per run."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

# What differs between any two runs of the same test: paths of temporary files, times, process and object ids.
PASSING = re.compile(r"(?:/[\w.+-]+){2,}|\b0x[0-9a-f]+\b|\d+(?:\.\d+)?(?:e-?\d+)?")
# Tests that log what a random number generator gives.
RANDOM = re.compile(r"::TestExternalMethodsRandom::")
# Records that tell how fast the machine is, which has other things to do.
SPEED = re.compile(r"warning Tick too long")
# What run_process logs in shutdown(): a session calls that at its end, the plain runner never does and leaves the
# process alone.
AT_THE_END = re.compile(
    r"info (Sending SIG\w+ to process\.\.\.|Waiting #s for process to finish\.\.\.|Process finished\.)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run came to.

    Attributes:
        outcomes: passed, failed, error or skipped by test; a test with several results has them all, joined.
        details: What pytest says about tests that did not pass.
        report: See ``remote_everything.Report``.
        took_s: How long it took, in seconds.
    """

    outcomes: dict[str, str]
    details: dict[str, str]
    report: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0

    @classmethod
    def read(cls, junit: Path, report: Path) -> Run:
        """From the files that pytest and the plug-in write."""
        found: dict[str, list[str]] = {}
        details = {}
        root = ElementTree.parse(junit).getroot()
        for case in root.iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            results = [child for child in case if child.tag in ("failure", "error", "skipped")]
            outcome = {"failure": "failed"}.get(results[0].tag, results[0].tag) if results else "passed"
            found.setdefault(name, []).append(outcome)
            if results:
                details[name] = results[0].text or results[0].get("message") or ""
        outcomes = {name: " ".join(sorted(several)) for name, several in found.items()}
        return cls(
            outcomes=outcomes,
            details=details,
            report=json.loads(report.read_text(encoding="utf-8")),
            took_s=sum(float(suite.get("time", 0)) for suite in root.iter("testsuite")),
        )

    def count(self, outcome: str) -> int:
        """How many tests ended like this."""
        return sum(found == outcome for found in self.outcomes.values())

    def records(self, test: str) -> list[str]:
        """What a test had logged at info level and above, without what differs from run to run."""
        if RANDOM.search(test):
            return []
        said = self.report.get("records", {}).get(test, [])
        # of a record with several lines the first: the others draw the tree, with the states that slow processes and
        # waits had reached by then
        cleaned = (f"{level} {PASSING.sub('#', text.partition(chr(10))[0])}" for level, text in said)
        return [record for record in cleaned if not SPEED.match(record)]

    @property
    def record_count(self) -> int:
        """How many such records there are in all."""
        return sum(len(self.records(test)) for test in self.report.get("records", {}))


def differences(local: Run, remote: Run) -> Iterator[str]:
    """What is not the same, a sentence or more for each."""
    for name in sorted(local.outcomes.keys() | remote.outcomes.keys()):
        here, there = local.outcomes.get(name, "not run"), remote.outcomes.get(name, "not run")
        if here != there:
            text = remote.details.get(name) or local.details.get(name) or ""
            yield f"{name}: {here} locally, {there} remotely\n{text}".rstrip()
    for test in sorted(local.report.get("records", {}).keys() | remote.report.get("records", {}).keys()):
        here_said, there_said = Counter(local.records(test)), Counter(remote.records(test))
        for record in sorted((here_said - there_said).elements()):
            yield f"{test}: only locally logged: {record}"
        for record in sorted((there_said - here_said).elements()):
            if AT_THE_END.fullmatch(record):
                continue
            yield f"{test}: only remotely logged: {record}"
