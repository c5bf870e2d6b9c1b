"""Plots as plain SVG, for light and dark pages, without a plotting library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.results import Figure, number

WIDTH = 760
NAMES = 230  # for the peers' names, on the left
VALUES = 96  # for the figures, on the right
BAR, STEP = 14, 24
PANEL = 44  # above a panel's first bar

# colours: Relay, other durable peers, in-memory peers
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2933; }
  .title { font-weight: 600; }
  .faint { fill: #66717d; font-size: 12px; }
  .value { font-variant-numeric: tabular-nums; }
  .relay { fill: #1d6fd6; } .durable { fill: #7b8794; } .memory { fill: #adb7c2; }
  .spread { stroke: #1f2933; stroke-width: 1.2; opacity: .55; }
  .grid { stroke: #d5dae0; stroke-width: 1; }
  .range { stroke-width: 5; stroke-linecap: round; opacity: .45; }
  .range.relay { stroke: #1d6fd6; } .range.durable { stroke: #7b8794; }
  .range.memory { stroke: #adb7c2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e3e8ee; } .faint { fill: #9aa5b1; }
    .relay { fill: #63a4ff; } .durable { fill: #9aa5b1; } .memory { fill: #56616d; }
    .spread { stroke: #e3e8ee; } .grid { stroke: #333c46; }
    .range.relay { stroke: #63a4ff; } .range.durable { stroke: #9aa5b1; }
    .range.memory { stroke: #56616d; }
  }"""


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    kind: str  # relay, durable or memory
    figure: Figure
    note: str = ""  # shown before the figure


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Range:
    """One peer's percentiles, in ascending order."""

    name: str
    kind: str
    points: Sequence[float]


def bars(title: str, panels: Sequence[Panel]) -> str:
    """Panels below each other, each with its own scale that starts at zero."""
    parts, top = [], 0
    room = WIDTH - NAMES - VALUES
    for panel in panels:
        parts.append(_text(0, top + 26, panel.title, "title"))
        most = max(bar.figure.most for bar in panel.bars)
        for place, bar in enumerate(panel.bars):
            y = top + PANEL + place * STEP
            width = room * bar.figure.middle / most
            parts += [
                _text(NAMES - 10, y + BAR - 3, bar.name, anchor="end"),
                f'<rect class="{bar.kind}" x="{NAMES}" y="{y}" width="{max(width, 1):.1f}"'
                f' height="{BAR}" rx="2"/>',
            ]
            end = width
            if bar.figure.most > bar.figure.least:
                left, end = (room * edge / most for edge in (bar.figure.least, bar.figure.most))
                parts.append(_line(NAMES + left, y + BAR / 2, NAMES + end, y + BAR / 2, "spread"))
            label = bar.note + number(bar.figure.middle)
            parts.append(_text(NAMES + max(end, width) + 8, y + BAR - 3, label, "value"))
        top += PANEL + len(panel.bars) * STEP
    return _drawing(title, [*parts, *_legend(top + 22)], top + 32)


def ranges(title: str, unit: str, marks: Sequence[str], rows: Sequence[Range]) -> str:
    """Rows on one logarithmic scale, each from its first point to its last."""
    least = min(row.points[0] for row in rows)
    most = max(row.points[-1] for row in rows)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    room = WIDTH - NAMES - 36  # half of the last label

    def at(value: float) -> float:
        return NAMES + room * (math.log10(value) - low) / (high - low)

    bottom = PANEL + len(rows) * STEP
    parts = [_text(0, 26, f"{title}: {', '.join(marks)}", "title")]
    for power in range(low, high + 1):
        x = at(10.0**power)
        parts += [
            _line(x, PANEL - 8, x, bottom, "grid"),
            _text(x, bottom + 16, f"{10.0**power:g} {unit}", "faint", "middle"),
        ]
    for place, row in enumerate(rows):
        y = PANEL + place * STEP + BAR / 2
        ends = at(row.points[0]), at(row.points[-1])
        parts += [
            _text(NAMES - 10, y + 4, row.name, anchor="end"),
            _line(ends[0], y, ends[1], y, f"range {row.kind}"),
            *(
                f'<circle class="{row.kind}" cx="{at(point):.1f}" cy="{y}" r="{5 - turn}"/>'
                for turn, point in enumerate(row.points)
            ),
        ]
    return _drawing(title, [*parts, *_legend(bottom + 42)], bottom + 52)


def _legend(y: float) -> list[str]:
    parts, x = [], 0.0
    for kind, label in (("relay", "Relay"), ("durable", "stores events"), ("memory", "in memory")):
        parts.append(f'<rect class="{kind}" x="{x}" y="{y - 9}" width="10" height="10" rx="2"/>')
        parts.append(_text(x + 16, y, label, "faint"))
        x += 36 + 7 * len(label)
    return parts


def _text(x: float, y: float, label: str, kind: str = "", anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {place} class="{kind}" text-anchor="{anchor}">{escape(label)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _drawing(title: str, parts: Sequence[str], height: float) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}"'
            f' width="{WIDTH}" height="{height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )
