"""Numbers for people: the Markdown table, and what got slower since a kept run."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.goals import goal

Report = dict[str, Any]
SLOWER = 1.10
UNITS = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))
HEAD = ("row", "graphc", "median", "best peer", "ratio", "goal", "limit", "of limit", "others")
SPEED_UP = "speed-up"  # a column of runs on several threads
OWN = ("graphc", "graphc-1", "graphc-before")


def best_peer(entries: dict[str, Any]) -> str | None:
    """The fastest peer with a right result."""
    right = [p for p, e in entries.items() if p not in OWN and "min" in e and "wrong" not in e]
    return min(right, key=lambda p: entries[p]["min"], default=None)


def ratio(entries: dict[str, Any], key: str = "min") -> float | None:
    """Best peer's time over graphc's: above 1 graphc is ahead. None without a right result on both sides."""
    best, own = best_peer(entries), entries.get("graphc", {})
    if best is None or "min" not in own or "wrong" in own:
        return None
    return float(entries[best][key] / own[key])


def speed_up(entries: dict[str, Any]) -> float | None:
    """graphc's time on one thread over its time on those of the run."""
    one, own = entries.get("graphc-1", {}), entries.get("graphc", {})
    return float(one["min"] / own["min"]) if "min" in one and "min" in own else None


def beside(report: Report) -> Iterator[str]:
    """Of rows measured beside another checkout: its time over this one's, the slowest rows first; below 1 this one is slower."""
    found: list[tuple[float, str]] = []
    for name, row in report["rows"].items():
        before, now = row["peers"].get("graphc-before", {}), row["peers"].get("graphc", {})
        if "min" in before and "min" in now:
            times = f"{duration(before['min'], row['unit'])} -> {duration(now['min'], row['unit'])}"
            found.append((before["min"] / now["min"], f"{name}: {times}, median {before['median'] / now['median']:.2f}"))
    yield from (f"{factor:.2f}  {text}" for factor, text in sorted(found))


def head(threads: int) -> tuple[str, ...]:
    """The names of the columns."""
    return HEAD if threads == 1 else (*HEAD[:6], SPEED_UP, *HEAD[6:])


def line(name: str, row: Report, threads: int = 1) -> tuple[str, ...]:
    """The cells of a row."""
    entries, unit = row["peers"], row["unit"]
    own = entries.get("graphc", {"skip": "not run"})
    best, how = best_peer(entries), ratio(entries)
    limit = row["limit"]
    others = [f"{p} {_cell(e, unit)}" for p, e in entries.items() if p not in (*OWN, best) and "min" in e]
    wanted, gained = goal(name, threads), speed_up(entries)
    cells = (
        name,
        _cell(own, unit),
        duration(own["median"], unit) if "median" in own else "",
        f"{best} {_cell(entries[best], unit)}" if best else "",
        f"{how:.2f}" if how else "",
        f"{wanted:g}" if wanted else "",
        duration(limit, unit) if limit else "",
        f"{100 * limit / own['min']:.0f} %" if limit and "min" in own else "",
        ", ".join(others),
    )
    return cells if threads == 1 else (*cells[:6], f"{gained:.2f}" if gained else "", *cells[6:])


def _cell(entry: dict[str, Any], unit: str) -> str:
    if "skip" in entry:
        return f"({entry['skip']})"
    return duration(entry["min"], unit) + (f" WRONG: {entry['wrong']}" if "wrong" in entry else "")


def duration(seconds: float, unit: str = "s") -> str:
    """Three digits and a unit."""
    scale, name = next((u for u in UNITS if seconds < 999.5 * u[0]), UNITS[-1])
    digits = f"{seconds / scale:.3g}" if seconds < 999.5 * scale else f"{seconds / scale:.0f}"
    return f"{digits} {name}{unit[1:]}"


def machine(report: Report) -> str:
    """The processor and what was measured on it."""
    facts = report["machine"]
    parts = [facts["cpu"]]
    if "features" in facts:  # ledgers older than these facts lack them
        parts += [" ".join(facts["features"]), ", ".join(f"{k} {v} KB" for k, v in facts["caches KB"].items())]
        parts += [f"huge pages {facts['huge pages'] or 'unknown'}", facts["system"]]
    parts += ["peak " + ", ".join(f"{v} GFLOP/s {k}" for k, v in facts["peak GFLOP/s"].items())]
    parts += ["bandwidth " + ", ".join(f"{v} GB/s {k}" for k, v in facts["bandwidth GB/s"].items())]
    return "; ".join(parts)


def ratios(report: Report) -> dict[str, float]:
    """The ratio of every row that has one."""
    return {name: r for name, row in report["rows"].items() if (r := ratio(row["peers"])) is not None}


def _mean(found: Collection[float]) -> float:
    return math.exp(sum(map(math.log, found)) / len(found))


def summary(report: Report) -> str:
    """The geometric mean of the ratios, and the rows where a peer is ahead."""
    found = ratios(report)
    if not found:
        return "No row has a right result of graphc and of a peer."
    behind = [f"{name} {r:.2f}" for name, r in found.items() if r < 1]
    return f"Geometric mean of {len(found)} ratios: {_mean(found.values()):.2f}. Below 1: {', '.join(behind) or 'none'}."


def families(report: Report) -> Iterator[tuple[str, ...]]:
    """Of each family: its name, its rows, their geometric mean, the least of them and which that is."""
    found: dict[str, dict[str, float]] = {}
    for name, r in ratios(report).items():
        found.setdefault(name.split("/")[0], {})[name] = r
    for family, rows in found.items():
        least = min(rows, key=rows.__getitem__)
        yield family, str(len(rows)), f"{_mean(rows.values()):.2f}", f"{rows[least]:.2f}", least.removeprefix(f"{family}/")


def markdown(report: Report) -> str:
    """The machine and the versions, what families of rows come to, and the whole table."""
    text = [
        f"{machine(report)}, {report['threads']} thread{'s' if report['threads'] > 1 else ''}, Python {report['machine']['python']}.",
        "",
        ", ".join(f"{k} {v}" for k, v in report["versions"].items()) + ".",
        "",
        summary(report),
        "",
        *_markdown(("family", "rows", "mean", "least", "where"), families(report)),
        "",
        *_markdown(head(report["threads"]), [line(name, row, report["threads"]) for name, row in report["rows"].items()]),
    ]
    return "\n".join(text) + "\n"


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(cells)} |" for cells in rows)


def slower(old: Report, new: Report) -> Iterator[str]:
    """Rows whose graphc time grew by over 10 %, both scaled by the measured peak of their own run."""
    scale = new["machine"]["peak GFLOP/s"]["f32"] / old["machine"]["peak GFLOP/s"]["f32"]
    for name, row in new["rows"].items():
        before, now = old["rows"].get(name, {}).get("peers", {}).get("graphc", {}), row["peers"].get("graphc", {})
        if "min" in before and "min" not in now:
            yield f"{name}: {now.get('skip', 'not run')}"
        elif "min" in before and now["min"] * scale > SLOWER * before["min"]:
            times = f"{duration(before['min'], row['unit'])} -> {duration(now['min'], row['unit'])}"
            yield f"{name}: {times}, {now['min'] * scale / before['min']:.2f} times"
        if "wrong" in now:
            yield f"{name}: {now['wrong']}"
