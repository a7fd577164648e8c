# SPDX-License-Identifier: Apache-2.0
"""The page about what is the same and what differs, made from the table: `python -m tests.parity.page` prints it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.parity import differences
from tests.parity.row import Difference, Feature, Row
from tests.parity.table import ROWS

HEAD = """# Parity: what is the same remotely, and what is not

A scenario behaves with `remote()` as without. What that means is a table of {count} scenarios. Each is run three
times by the engine's own command line: with its actions here, with them on a server over CURVE, and with them on a
server over a unix socket. The remote runs must be like the local one in

* the exit status, the log records, what is printed, and the verdict (`test.xml`);
* the calls that each action sees, in their order, with its status and arguments at that moment;
* the status and feedback of each node of the tree in each tick (`--bt-log`), but for the `remote` nodes themselves;
* every file that is left, and the processes that still run.

Times, ids, process numbers and folders are left out. In which tick a process has printed or ended is known in no run;
where a scenario depends on that, the results of its actions are compared, and not the ticks in between.

Besides, trees of compositions, modifiers and actions are generated and compared in the same way, and the engine's own
tests pass with every action made remote (`./dev engine-suite`). This page is made from the table; a test compares the
two.

"""


def page() -> str:
    """The page, as Markdown."""
    return HEAD.format(count=len(ROWS)) + "\n".join((*_summary(), *_differences(), *_features()))


def known_differences() -> list[Difference]:
    """All differences that there are on purpose."""
    return [value for value in vars(differences).values() if isinstance(value, Difference)]


def _summary() -> Iterator[str]:
    yield from ("| what the scenarios are about | how many | of these with a difference |", "|---|---|---|")
    for feature in Feature:
        rows = [row for row in ROWS if row.feature is feature]
        different = sum(row.differs is not None for row in rows)
        yield f"| [{feature.value}](#{_anchor(feature.value)}) | {len(rows)} | {different or ''} |"
    yield f"| all | {len(ROWS)} | {sum(row.differs is not None for row in ROWS)} |"


def _differences() -> Iterator[str]:
    yield from ("", "## What differs on purpose", "", "Each of these has a decision record, and no others exist.", "")
    for number, difference in enumerate(known_differences(), start=1):
        record = f"[{difference.record[:4]}](../decisions/{difference.record})"
        yield f"{number}. **{difference.title}** {difference.why} ({record})"


def _features() -> Iterator[str]:
    numbers = {difference.title: number for number, difference in enumerate(known_differences(), start=1)}
    yield from (
        "",
        "## What was run",
        "",
        "A number in brackets is that of the difference above which the scenario shows.",
    )
    for feature in Feature:
        yield from ("", f"### {feature.value}", "")
        for row in ROWS:
            if row.feature is feature:
                yield f"* {_sentence(row, numbers)}"
    yield ""


def _sentence(row: Row, numbers: dict[str, int]) -> str:
    number = "" if row.differs is None else f" ({numbers[row.differs.title]})"
    left_out = "".join(f" Not compared: {aspect} ({why})." for aspect, why in _grouped(row).items())
    return f"{row.name}{number}.{left_out}".replace("_", r"\_").replace("*", r"\*")


def _grouped(row: Row) -> dict[str, str]:
    """What is not compared in a row -> why."""
    reasons: dict[str, list[str]] = {}
    for aspect, why in row.unlike.items():
        reasons.setdefault(why, []).append(aspect.replace("file out/", "").replace("file ", "the file "))
    return {_listed(aspects): why for why, aspects in reasons.items()}


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _anchor(heading: str) -> str:
    return "".join(letter for letter in heading.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


if __name__ == "__main__":
    print(page(), end="")
