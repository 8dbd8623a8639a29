"""The ratios as a picture: `python -m benchmarks.picture [FILE.json]` writes FILE.svg. Plain SVG, written as text.

A bar for each row that has a goal, from 1 (as fast as the best peer) to the right where graphc is ahead, to the left where it is
behind, on a logarithmic axis; a tick where the goal is; green where it is met, amber where graphc is ahead all the same, red where
it is behind.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.goals import goal
from benchmarks.table import best_peer, duration, ratio

Report = dict[str, Any]

NAMES, PLOT, VALUES = 250, 520, 240  # widths of the three columns
LINE, GAP, TOP, BOTTOM = 17, 14, 76, 30  # heights: of a row, between families, above and below
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
MET, AHEAD, BEHIND, GOAL, GREY, FRAME = "#2e8b57", "#d9a406", "#c0392b", "#222", "#666", "#ddd"


def draw(report: Report) -> str:
    """The picture of a report as SVG."""
    listed = [(name, row, ratio(row["peers"])) for name, row in report["rows"].items() if goal(name, report["threads"]) is not None]
    rows = [(name, row, r) for name, row, r in listed if r is not None]
    families = [(family, list(members)) for family, members in groupby(rows, key=lambda r: r[0].split("/")[0])]
    height = TOP + sum(LINE * len(members) + GAP for _, members in families) + BOTTOM
    axis = Axis([r for _, _, r in rows] or [1.0])
    lines = [*_frame(report, axis, height, len(rows), sum(_state(name, r, report["threads"]) == MET for name, _, r in rows))]
    y = TOP
    for _, members in families:
        for name, row, r in members:
            lines += _row(name, row, r, report["threads"], axis, y)
            y += LINE
        y += GAP
        if y < height - BOTTOM:
            lines.append(f'<line x1="0" y1="{y - GAP / 2:g}" x2="{NAMES + PLOT + VALUES}" y2="{y - GAP / 2:g}" stroke="{FRAME}"/>')
    size = f'width="{NAMES + PLOT + VALUES}" height="{height}" viewBox="0 0 {NAMES + PLOT + VALUES} {height}"'
    style = 'font-family="Helvetica, Arial, sans-serif" font-size="11"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>', *lines, "</svg>", ""])


class Axis:
    """A logarithmic axis that holds all ratios: where a ratio lies."""

    def __init__(self, ratios: list[float]) -> None:
        self.low = max([s for s in STEPS if s <= min([*ratios, 0.5])], default=STEPS[0])
        self.high = min([s for s in STEPS if s >= max([*ratios, 5.0])], default=STEPS[-1])

    def __call__(self, value: float) -> float:
        share = math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return round(NAMES + PLOT * share, 1)


def _state(name: str, r: float, threads: int) -> str:
    return MET if r >= (goal(name, threads) or 1.0) else AHEAD if r >= 1 else BEHIND


def _frame(report: Report, axis: Axis, height: int, count: int, met: int) -> Iterator[str]:
    threads = report["threads"]
    yield f'<rect width="100%" height="{height}" fill="white"/>'
    title = f"Best peer's time / graphc's, {threads} thread{'s' if threads > 1 else ''}: {met} of {count} rows at their goal"
    yield f'<text x="12" y="22" font-size="15" font-weight="bold">{escape(title)}</text>'
    x = 12
    for colour, text in ((MET, "goal met"), (AHEAD, "ahead, below the goal"), (BEHIND, "behind the best peer")):
        yield f'<rect x="{x}" y="32" width="10" height="10" fill="{colour}"/><text x="{x + 14}" y="41" fill="{GREY}">{text}</text>'
        x += 32 + 6 * len(text)
    yield f'<line x1="{x}" y1="31" x2="{x}" y2="43" stroke="{GOAL}" stroke-width="2"/><text x="{x + 6}" y="41" fill="{GREY}">goal</text>'
    for step in (s for s in STEPS if axis.low <= s <= axis.high):
        at = axis(step)
        yield f'<line x1="{at}" y1="{TOP - 8}" x2="{at}" y2="{height - BOTTOM}" stroke="{GREY if step == 1 else FRAME}"/>'
        for y in (TOP - 12, height - BOTTOM + 14):
            yield f'<text x="{at}" y="{y}" text-anchor="middle" fill="{GREY}">{step:g}</text>'


def _row(name: str, row: Report, r: float, threads: int, axis: Axis, y: int) -> Iterator[str]:
    left, right = sorted((axis(1.0), axis(r)))
    own, best = row["peers"]["graphc"]["min"], best_peer(row["peers"])
    times = f"{duration(own, row['unit'])}, {best} {duration(row['peers'][best]['min'], row['unit'])}"
    middle = y + LINE - 5
    yield f'<text x="{NAMES - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>'
    yield f'<rect x="{left}" y="{y + 3}" width="{max(right - left, 1):.1f}" height="{LINE - 6}" fill="{_state(name, r, threads)}"/>'
    at = axis(goal(name, threads) or 1.0)
    yield f'<line x1="{at}" y1="{y + 1}" x2="{at}" y2="{y + LINE - 1}" stroke="{GOAL}" stroke-width="2"/>'
    text = f'<tspan font-weight="bold">{r:.2f}</tspan><tspan dx="6" fill="{GREY}">{escape(times)}</tspan>'
    yield f'<text x="{NAMES + PLOT + 8}" y="{middle}">{text}</text>'


def main() -> None:
    """Draw the files named on the command line, or all ledgers."""
    results = Path(__file__).parent / "results"
    for file in [Path(a) for a in sys.argv[1:]] or sorted(results.glob("*/threads-*.json")):
        file.with_suffix(".svg").write_text(draw(json.loads(file.read_text())))


if __name__ == "__main__":
    main()
