"""`check_grad`: derivatives against central differences in float64, and the two modes against each other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphc.derivatives.forward import jvp
from graphc.derivatives.grad import vjp
from graphc.derivatives.user_trees import Leaves, floats_of
from graphc.dtypes import float32, float64
from graphc.errors import ArgumentError, NumericError, fail
from graphc.frozen import Frozen
from graphc.interp import evaluate
from graphc.ir import Node, make, toposort
from graphc.ops.registry import INPUT, SHARED, constant, variable
from graphc.region import Region
from graphc.tree import Tree

Values = dict[Node, np.ndarray]
ALL_ENTRIES = 24  # a leaf of at most so many elements is checked one by one, a larger one along random directions
DIRECTIONS = 3
REPORTED = 400  # entries looked at to name the worst of a leaf that fails


class Measured(NamedTuple):
    """Two values of one number, and how far they may be apart because differences round."""

    symbolic: float
    numeric: float
    noise: float
    where: str

    def error(self, rtol: float) -> float:
        """|symbolic - numeric| relative to the larger, or to where the noise of the difference would be `rtol` of it."""
        if self.symbolic == self.numeric:
            return 0.0
        scale = max(abs(self.symbolic), abs(self.numeric), self.noise / rtol)
        error = abs(self.symbolic - self.numeric) / scale
        return error if np.isfinite(error) else np.inf


def check_grad(
    outputs: Tree, wrt: Tree, at: Mapping[Node, Any], *, order: int = 1, eps: float | None = None, rtol: float = 1e-5, seed: int = 0
) -> float:
    """Compare the derivatives of `outputs` with central differences at the values `at` = {variable: array}; the worst relative error.

    Everything is computed in float64, whatever the dtypes of the graph; interior nodes of wrt are taken as variables. The outputs are
    contracted with a random u; then u^T (y(x + eps v) - y(x - eps v)) / (2 eps) must be v^T vjp(u), for every entry of small leaves
    and random directions v of large ones, and u^T jvp(v) must be the same. order=2 or more checks, likewise, the derivatives of the
    derivatives. eps: the step, 6e-6 times the size of x by default. Raises NumericError naming the worst entry of the worst leaf,
    with both values.
    """
    if not isinstance(order, int) or order < 1:
        fail(ArgumentError, f"check_grad: order={order!r}", hint="1 checks the gradient, 2 the gradient of the gradient as well")
    if not isinstance(at, Mapping):
        fail(ArgumentError, f"check_grad: the point is a dict {{variable: array}}, got {type(at).__name__}")
    out, sources = floats_of("check_grad", "outputs", outputs), floats_of("check_grad", "wrt", wrt)
    nodes, leaves, values = _in_float64(out.nodes, sources.nodes, dict(at))
    rng = np.random.default_rng(seed)
    worst = 0.0
    for level in range(1, order + 1):
        seeds = [constant(_random(rng, value.shape)) for value in evaluate(nodes, values)]
        gradient = vjp(nodes, leaves, seeds, disconnected="zero" if level > 1 else "error")
        worst = max(worst, _check_level(nodes, leaves, values, seeds, gradient, sources, level, eps, rtol, rng))
        nodes = gradient
    return worst


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Away from 0, so that no entry hides."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))


def _check_level(
    nodes: list[Node],
    leaves: list[Node],
    values: Values,
    seeds: list[Node],
    gradient: list[Node],
    sources: Leaves,
    level: int,
    eps: float | None,
    rtol: float,
    rng: np.random.Generator,
) -> float:
    """The worst error at one order; raises where it is over `rtol`."""
    u = [s.params[0].array for s in seeds]
    exact = evaluate(gradient, values)
    pushed = [variable(INPUT, "v", float64, leaf.shape) for leaf in leaves]
    tangents = jvp(nodes, leaves, pushed)
    name = "gradient" if level == 1 else f"derivative of order {level}"

    def along(k: int, v: np.ndarray) -> Measured:
        """The derivative along v, which moves leaf k."""
        x = values[leaves[k]]
        step = (eps if eps is not None else 6e-6) * (1.0 if eps is not None else max(1.0, float(np.max(np.abs(x[v != 0]), initial=0.0))))
        ends = [evaluate(nodes, {**values, leaves[k]: x + side * step * v}) for side in (1, -1)]
        change = sum(float(np.sum(w * (a - b))) for w, a, b in zip(u, *ends))
        size = sum(float(np.sum(np.abs(w * a))) for w, a in zip(u, ends[0]))
        return Measured(float(np.sum(exact[k] * v)), change / (2 * step), 8 * 2.2e-16 * size / step, "")

    worst = 0.0
    for k, path in enumerate(sources.paths):
        x = values[leaves[k]]
        small = x.size <= ALL_ENTRIES
        found = [along(k, v) for v in (_units(x.shape) if small else [_random(rng, x.shape) for _ in range(DIRECTIONS)])]
        errors = [m.error(rtol) for m in found]
        if max(errors, default=0.0) > rtol:
            _report(name, path, x.shape, rtol, rng, functools.partial(along, k))
        worst = max([worst, *errors])
        v = _random(rng, x.shape)
        zero = {p: np.zeros(values[leaf].shape) for p, leaf in zip(pushed, leaves)}
        forward = sum(float(np.sum(w * t)) for w, t in zip(u, evaluate(tangents, {**values, **zero, pushed[k]: v})))
        reverse = float(np.sum(exact[k] * v))
        both = Measured(reverse, forward, 1e-12 * float(np.sum(np.abs(exact[k]))) + 1e-300, path)
        if both.error(rtol) > rtol:
            text = f"check_grad: the two modes differ on the {name} along a random direction of {path}"
            fail(NumericError, f"{text}: u^T J v is {forward:.10g} by jvp and {reverse:.10g} by vjp")
        worst = max(worst, both.error(rtol))
    return worst


def _units(shape: tuple[int, ...]) -> list[np.ndarray]:
    """One array per entry, 1 there and 0 elsewhere."""
    size = int(np.prod(shape, dtype=np.int64))
    return list(np.eye(size).reshape((size, *shape)))


def _report(
    name: str, path: str, shape: tuple[int, ...], rtol: float, rng: np.random.Generator, along: Callable[[np.ndarray], Measured]
) -> None:
    """Raise for the entry of a leaf that is worst, of all or of a random choice."""
    size = int(np.prod(shape, dtype=np.int64))
    chosen = np.arange(size) if size <= REPORTED else rng.choice(size, REPORTED, replace=False)
    entries: list[tuple[float, int, Measured]] = []
    for i in chosen:
        v = np.zeros(size)
        v[i] = 1.0
        m = along(v.reshape(shape))
        entries.append((m.error(rtol), int(i), m))
    error, i, m = max(entries, key=lambda e: e[0])
    at = ", ".join(str(int(j)) for j in np.unravel_index(i, shape)) if shape else ""
    entry = f"{path}[{at}]" if shape else path
    text = f"check_grad: the {name} is wrong at {entry}: symbolic {m.symbolic:.10g}, central difference {m.numeric:.10g}"
    fail(NumericError, f"{text}, relative error {error:.2g} > rtol {rtol:.2g}")


# -- the graph in float64 -------------------------------------------------------------------------------------------
def _in_float64(outputs: Sequence[Node], wrt: Sequence[Node], at: dict[Node, Any]) -> tuple[list[Node], list[Node], Values]:
    """(outputs, wrt, values) with float32 replaced by float64, and interior nodes of wrt and what is given made variables."""
    missing = [node for node in toposort([*outputs, *wrt], stop=at) if node.op is SHARED and node not in at]
    missing += [node for node in wrt if node not in at]
    given: dict[Node, Any] = {**at, **dict(zip(missing, evaluate(missing, at)))}
    new: dict[Node, Node] = {}
    values: Values = {}
    for node, value in given.items():
        dtype = float64 if node.dtype == float32 else node.dtype
        new[node] = variable(INPUT, node.name or node.op.name, dtype, node.shape)
        values[new[node]] = np.array(value, dtype)
    _widen(new, [*outputs, *wrt], list(given))
    return [new[node] for node in outputs], [new[node] for node in wrt], values


def _widen(new: dict[Node, Node], roots: Sequence[Node], given: Sequence[Node]) -> None:
    for node in toposort(roots, stop=given):
        if node not in new:
            new[node] = make(node.op, tuple(new[i] for i in node.inputs), tuple(_wide(p) for p in node.params))


def _wide(param: Any) -> Any:
    if isinstance(param, np.dtype):
        return float64 if param == float32 else param
    if isinstance(param, Region):
        body: dict[Node, Node] = {}
        _widen(body, [*param.inputs, *param.outputs], ())
        return Region([body[i].tensor for i in param.inputs], [body[o] for o in param.outputs])
    if isinstance(param, tuple):
        return tuple([_wide(p) for p in param])
    if isinstance(param, Frozen) and param.array.dtype == float32:
        return Frozen(param.array.astype(float64))
    return param
