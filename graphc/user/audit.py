"""`Function.audit`: the same graph in higher precision beside what floats make of it, node by node, with the user's lines."""

from __future__ import annotations

import decimal
import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from graphc.extended.evaluate import Extended, context, narrow, widen
from graphc.interp import evaluate, sizes_of
from graphc.ir import Graph, Node, toposort
from graphc.ops.outputs import GET
from graphc.records import dataclass

SHOWN = 12  # rows of each table in the text


@dataclass(frozen=True)
class AuditRow:
    """The worst element of one node: `value` as floats have it, `true` in higher precision, and how far apart they are.

    ulps: in units of the last place of the true value, inf for a wrong nan or infinity; of integers and masks the difference.
    inherited: the worst error of an operand, so that a node whose own is far larger is where the digits go.
    """

    op: str
    line: str
    type: str
    where: tuple[int, ...]
    value: Any
    true: Decimal | int | bool
    ulps: float
    inherited: float

    @property
    def lost(self) -> float:
        """Decimal digits lost in this node: the logarithm of its error, over that of its worst operand, both 1 ulp at the least."""
        below = max(self.inherited, 1.0)
        return 0.0 if math.isinf(below) else math.log10(max(self.ulps, 1.0)) - math.log10(below) if math.isfinite(self.ulps) else math.inf

    def __str__(self) -> str:
        at = f"[{', '.join(map(str, self.where))}]" if self.where else ""
        true = f"{self.true:.17g}" if isinstance(self.true, Decimal) else f"{self.true}"
        return f"{self.ulps:10.3g} {self.inherited:10.3g}  {self.op + at:28} {self.value!s:24} {true:24} {self.line}"


@dataclass(frozen=True)
class Audit:
    """What `Function.audit` found; `print` it, or read the rows, the worst first (the results in their order).

    results: of each output what the function gives, against the truth of the graph that the user wrote; inherited: that graph unchanged.
    written: the nodes of the graph as the user wrote it, each computed by NumPy in its own dtype.
    compiled: those of the graph that the passes made of it, which is what runs.
    rounded: the ops that were evaluated in float64 only, because no composition of known functions says what they are.
    """

    digits: int
    results: tuple[AuditRow, ...]
    written: tuple[AuditRow, ...]
    compiled: tuple[AuditRow, ...]
    rounded: tuple[str, ...]

    @property
    def worst(self) -> float:
        """The largest error of a result, in ulps."""
        return max([row.ulps for row in self.results], default=0.0)

    def __str__(self) -> str:
        head = f"{'ulps':>10} {'inherited':>10}  {'node':28} {'value':24} {'true value':24} line"
        lines = [f"in {self.digits} digits" + (f", but {', '.join(self.rounded)} in float64" if self.rounded else "")]
        for title, rows in (("results", self.results), ("as written", self.written), ("as compiled", self.compiled)):
            lines += ["", f"{title}:", head, *map(str, rows[:SHOWN])]
            lines += [f"  .. and {len(rows) - SHOWN} nodes with no larger error"] if len(rows) > SHOWN else []
        return "\n".join(lines)


def audit(written: Graph, compiled: Graph, count: int, results: Sequence[np.ndarray] | None, env: Mapping[Any, Any], digits: int) -> Audit:
    """The report on both graphs for the values `env`, see `Function.audit`; results: of the first `count` outputs, None: interpret them."""
    values = {key: value for key, value in env.items() if isinstance(key, Node)}
    with decimal.localcontext(context(digits)):
        first, second = _Compared(written, values, env), _Compared(compiled, values, env)
        rows, truth = [], first.true
        for k, (old, new) in enumerate(zip(written.outputs[:count], compiled.outputs)):
            got = second.floats[new] if results is None else results[k]
            rows.append(_row(old, got, truth[old], first.errors[old]))
        return Audit(digits, tuple(rows), first.rows(), second.rows(), tuple(sorted(first.extended.rounded | second.extended.rounded)))


class _Compared:
    """One graph in floats and in decimals."""

    def __init__(self, graph: Graph, values: Mapping[Node, np.ndarray], env: Mapping[Any, Any]) -> None:
        self.order = [n for n in toposort(graph.outputs) if not isinstance(n.type, tuple)]
        self.floats = dict(zip(self.order, evaluate(self.order, env)))
        self.extended = Extended(sizes_of(env, self.order))
        leaves = {n: widen(self.floats[n]) for n in self.order if n.op.traits.variable}
        self.true = self.extended.values(graph.outputs, leaves)
        self.errors: dict[Node, float] = {}
        self.found: list[AuditRow] = []
        for n in self.order:
            below = max([self.errors.get(i, 0.0) for i in _operands(n)], default=0.0)
            row = _row(n, self.floats[n], self.true[n], below)
            self.errors[n] = row.ulps
            if not n.op.traits.leaf:
                self.found.append(row)

    def rows(self) -> tuple[AuditRow, ...]:
        return tuple(sorted(self.found, key=lambda row: -row.ulps))


def _operands(node: Node) -> Sequence[Node]:
    """What a node reads; the inputs of a loop or a branch, for what is taken out of it."""
    return [j for i in node.inputs for j in (i.inputs if isinstance(i.type, tuple) else (i,))]


def _row(node: Node, got: np.ndarray, true: np.ndarray, inherited: float) -> AuditRow:
    """The worst element of a node."""
    errors = _ulps(got, true) if node.dtype.kind == "f" else np.abs(got.astype(float) - true.astype(float))
    at = np.unravel_index(int(np.argmax(errors)), errors.shape) if errors.size else ()
    where = tuple(int(k) for k in at)
    computed = node.inputs[0] if node.op is GET else node
    line = f"{os.path.basename(node.site[0])}:{node.site[1]}" if node.site and node.site[0] else "?"
    value, exact = (got[where].item(), true[where]) if errors.size else (math.nan, Decimal("NaN"))
    exact = exact if isinstance(exact, Decimal) else exact.item() if hasattr(exact, "item") else exact
    return AuditRow(computed.op.name, line, str(node.type), where, value, exact, float(errors[where]) if errors.size else 0.0, inherited)


def _ulps(got: np.ndarray, true: np.ndarray) -> np.ndarray:
    """|got - true| in units of the last place of the true value, 0 where both are nan or, rounded, the same infinity."""
    info = np.finfo(got.dtype)
    nearest = narrow(true, got.dtype)
    with np.errstate(all="ignore"):
        unit = np.spacing(np.maximum(np.abs(nearest), info.tiny))
    same = (got == nearest) & np.isinf(nearest) | np.isnan(got) & np.isnan(nearest)
    wrong = ~same & ~(np.isfinite(got) & np.isfinite(nearest))
    errors = np.zeros(got.shape)
    for at in np.ndindex(got.shape):
        if wrong[at]:
            errors[at] = math.inf
        elif not same[at]:
            errors[at] = float(abs(Decimal(float(got[at])) - true[at]) / Decimal(float(unit[at])))
    return errors
