# SPDX-License-Identifier: Apache-2.0
"""What a measurement hands back, and how it is printed, drawn and written down. No dependency, no clock."""

from __future__ import annotations

import html
import math
from dataclasses import asdict, dataclass, field
from typing import Any

Cell = float | int | str


@dataclass(frozen=True)
class Aim:
    """Something the project wants, and whether this run has it.

    Attributes:
        what: Is measured.
        wanted: In words.
        seen: The same, as measured.
        is_met: Computed from the numbers by the case that measured them.
    """

    what: str
    wanted: str
    seen: str
    is_met: bool


@dataclass(frozen=True)
class Result:
    """One table.

    Attributes:
        name: Of the case, as on the command line.
        title: One line.
        columns: Headings; the first column says what a row is about.
        rows: One list of cells for each.
        aims: What the project wants, and whether it has it.
        facts: Numbers by name that ``model`` works with.
        remarks: What one has to know to read it.
        plot: Headings of the columns to draw over the first one; nothing is drawn without.
        unit: Of what is drawn.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    aims: list[Aim] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    plot: list[str] = field(default_factory=list)
    unit: str = ""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Result:
        """What :meth:`as_json` wrote."""
        return cls(**{**document, "aims": [Aim(**aim) for aim in document["aims"]]})

    def as_text(self) -> str:
        """For people."""
        cells = [self.columns, *[[shown(cell) for cell in row] for row in self.rows]]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.columns))]
        lines = [f"== {self.name}: {self.title}"]
        for row in cells:
            first, *rest = (
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("   " + "  ".join([first, *rest]).rstrip())
        for aim in self.aims:
            lines.append(f"   {'met' if aim.is_met else 'NOT MET'}: {aim.what}: {aim.seen} (wanted: {aim.wanted})")
        return "\n".join([*lines, *(f"   {remark}" for remark in self.remarks)])


def shown(cell: Cell) -> str:
    """A cell as people read it: three significant digits."""
    if isinstance(cell, float):
        return "-" if math.isnan(cell) else f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 320, 60, 40, 50
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")


def svg(result: Result) -> str:
    """The plotted columns as groups of bars on a logarithmic scale, which shows ratios as distances."""
    places = [result.columns.index(name) for name in result.plot]
    values = [[float(row[place]) for place in places] for row in result.rows]
    positive = [value for row in values for value in row if value > 0]
    low = 10 ** math.floor(math.log10(min(positive)))
    high = 10 ** math.ceil(math.log10(max(positive) * 1.001))
    plot_height = _HEIGHT - _TOP - _BOTTOM

    def y(value: float) -> float:
        return _TOP + plot_height * (1 - math.log10(max(value, low) / low) / math.log10(high / low))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-weight="bold">{html.escape(result.title)}</text>',
        f'<text x="8" y="{_TOP - 8}">{html.escape(result.unit)}</text>',
    ]
    mark = low
    while mark <= high * 1.001:
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y(mark):.1f}" y2="{y(mark):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(mark) + 4:.1f}" text-anchor="end">{mark:g}</text>')
        mark *= 10
    group = (_WIDTH - _LEFT - 10) / len(values)
    bar = group * 0.8 / len(places)
    for at, (row, row_values) in enumerate(zip(result.rows, values, strict=True)):
        left = _LEFT + at * group
        for number, value in enumerate(row_values):
            top = y(value)
            parts.append(
                f'<rect x="{left + group * 0.1 + number * bar:.1f}" y="{top:.1f}" width="{bar * 0.95:.1f}" '
                f'height="{_TOP + plot_height - top:.1f}" fill="{_COLOURS[number % len(_COLOURS)]}">'
                f"<title>{shown(value)}</title></rect>"
            )
        label = html.escape(shown(row[0]))
        middle = left + group / 2
        parts.append(f'<text x="{middle:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{label}</text>')
    for number, name in enumerate(result.plot):
        x = _LEFT + number * 190
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<rect x="{x}" y="{_HEIGHT - 20}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14}" y="{_HEIGHT - 11}">{html.escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
