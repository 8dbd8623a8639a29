"""Line searches: how far to go along a direction of descent, as one loop with one place that evaluates the cost.

With p(a) = f(x + a d):   sufficient decrease (Armijo)   p(a) <= p(0) + c1 a p'(0)        flat enough (strong Wolfe)   |p'(a)| <= -c2 p'(0)

Near a minimum the decrease drowns in the rounding of f long before the gradient is as small as it can be; there, where p(a) is within a few
roundings of p(0), the slope is asked instead: c2 p'(0) <= p'(a) <= (2 c1 - 1) p'(0), of which the second means the same for a quadratic
(Hager and Zhang 2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphc.control.while_loop import while_loop
from graphc.errors import ArgumentError, ShapeError, fail
from graphc.ir import Node
from graphc.ops.arithmetic import abs as magnitude
from graphc.ops.arithmetic import clip, maximum, minimum, sign, sqrt
from graphc.ops.compare import isfinite, logical_not, where
from graphc.ops.products import dot
from graphc.ops.registry import asarray
from graphc.optim.problem import Cost, Point, chosen, cost_of, point_of, whole
from graphc.tree import Tree

NOISE = 64.0  # roundings of f that a sum over thousands of rows may be off by
GROWTH = (1.1, 10.0)  # how much longer the next step of a bracket that is not closed yet may be
INSIDE = 0.1  # of the bracket: how near its ends an interpolated step may come


@dataclass(frozen=True)
class LineSearch:
    """How a line search works; made by `armijo`, `strong_wolfe`, `exact` and `full_step`."""

    rule: str
    c1: float = 1e-4
    c2: float = 0.9
    max_steps: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.c1 < (self.c2 if self.rule == "strong_wolfe" else 0.5) or self.c2 >= 1 or self.max_steps < 2:
            what = f"{self.rule}: c1={self.c1}, c2={self.c2}, max_steps={self.max_steps}"
            fail(ArgumentError, what, hint="0 < c1 < 1/2 and c1 < c2 < 1, and at least two steps")


def armijo(c1: float = 1e-4, max_steps: int = 40) -> LineSearch:
    """Backtracking from the method's own first length to p(a) <= p(0) + c1 a p'(0), by the minimum of the parabola through what is
    known, within 1/10 and 1/2 of the length before. Nocedal and Wright, Numerical Optimization, algorithm 3.1. Raises ArgumentError.

        gx.optim.minimize(fun, x0, method="newton", line_search=gx.optim.armijo(c1=0.1))
    """
    return LineSearch("armijo", c1, max_steps=max_steps)


def strong_wolfe(c1: float = 1e-4, c2: float = 0.9, max_steps: int = 25) -> LineSearch:
    """Sufficient decrease and |p'(a)| <= -c2 p'(0): a bracket is found and closed by cubic interpolation. Nocedal and Wright, algorithms
    3.5 and 3.6. c2 is 0.9 for quasi-Newton directions; the conjugate directions of `minimize` take 0.1. Raises ArgumentError."""
    return LineSearch("strong_wolfe", c1, c2, max_steps)


def exact(c1: float = 1e-4, max_steps: int = 40) -> LineSearch:
    """The length a = -p'(0) / p''(0) by one Hessian-vector product, which is the minimum along the line where the cost is quadratic; from
    there backtracking as in `armijo` (from the method's first length where p''(0) <= 0). Raises ArgumentError."""
    return LineSearch("exact", c1, max_steps=max_steps)


def full_step() -> LineSearch:
    """No search: the step is the direction. What leads to nan or infinities is not taken and ends the minimisation."""
    return LineSearch("full_step")


SEARCHES: dict[str, Callable[[], LineSearch]] = {"armijo": armijo, "strong_wolfe": strong_wolfe, "exact": exact, "full_step": full_step}


def search_of(what: str, given: str | LineSearch) -> LineSearch:
    """A line search by name, or as it is."""
    if isinstance(given, LineSearch):
        return given
    if given not in SEARCHES:
        fail(ArgumentError, f"{what}: line_search={given!r}", hint=f"it is one of {', '.join(SEARCHES)} or of type LineSearch")
    return SEARCHES[given]()


class Step(NamedTuple):
    """What `line_search` gives: nodes, trees like x."""

    length: Node
    x: Tree
    fun: Node
    grad: Tree
    evaluations: Node
    success: Node


def line_search(fun: Callable[[Tree], Any], x: Tree, direction: Tree, method: str | LineSearch = "strong_wolfe", length: Any = 1.0) -> Step:
    """A step from x along `direction` (a tree like x) that lowers fun, tried first with `length`.

    method: a name of `armijo`, `strong_wolfe`, `exact`, `full_step`, or what these functions make. success: the conditions of the method
    hold; without it the step is the best that was found, and 0 where the direction does not descend.
    Raises ArgumentError, ShapeError, DTypeError, DisconnectedError.

        step = gx.optim.line_search(fun, x, -gx.grad(fun(x), x))
    """
    search = search_of("line_search", method)
    cost = cost_of("line_search", fun, x)
    _, d, _ = point_of("line_search", direction, "direction")
    if d.shape != cost.start.shape:
        fail(ShapeError, f"line_search: a direction of {d.size} elements for an x of {cost.start.size}", d)
    first = cost.at(cost.start)
    found = along(cost, first, d, asarray(length, cost.x.dtype), search)
    return Step(found.length, cost.unravel(found.point.x), found.point.f, cost.unravel(found.point.g), found.evaluations, found.exact)


class Found(NamedTuple):
    """The end of a search: `fine`, the cost is lower; `exact`, the conditions hold as well."""

    length: Node
    point: Point
    evaluations: Node
    products: int
    fine: Node
    exact: Node


def along(cost: Cost, start: Point, d: Node, length: Node, search: LineSearch) -> Found:
    """The step from `start` along d, at first of this length."""
    products = 0
    if search.rule == "full_step":
        there = cost.at(start.x + d)
        fine = whole(there)
        return Found(asarray(1.0, d.dtype), chosen(fine, there, start), asarray(1, "int64"), 0, fine, fine)
    slope = dot(start.g, d)
    if search.rule == "exact":
        curvature = dot(d, cost.product(start.x)(d))
        length, products = where(curvature > 0, -slope / where(curvature > 0, curvature, 1.0), length), 1
    state = _searched(cost, start, d, slope, length, search)
    point = Point(start.x + where(state.a > 0, state.a * d, 0.0), state.f, state.g)
    return Found(state.a, point, state.looks, products, state.a > 0, state.held)


# -- the loop -----------------------------------------------------------------------------------------------------------
class Along(NamedTuple):
    """p at a length."""

    a: Node
    f: Node
    slope: Node


class _State(NamedTuple):
    a: Node  # where to look next; in the end, where the step ends
    f: Node  # the cost and the gradient where one looked last
    g: Node
    low: Along  # the best length so far, one end of the bracket
    high: Along  # the other end
    closed: Node  # whether there is another end
    looks: Node
    last: Node  # one more look, at `low`, for want of better
    done: Node
    held: Node  # the conditions hold


def _searched(cost: Cost, start: Point, d: Node, slope: Node, length: Node, search: LineSearch) -> _State:
    zero = asarray(0.0, d.dtype)
    no, none = asarray(False), asarray(0, "int64")
    origin = Along(zero, start.f, slope)
    uphill = logical_not((slope <= 0) & isfinite(slope))
    begin = _State(where(uphill, zero, length), start.f, start.g, origin, origin, no, none, no, uphill, no)
    noise = NOISE * cost.eps * magnitude(start.f)

    def turn(s: _State) -> _State:
        there = cost.at(start.x + s.a * d)
        here = Along(s.a, there.f, dot(there.g, d))
        finite = isfinite(here.f) & isfinite(here.slope)
        drowned = (magnitude(here.f - start.f) <= noise) & (here.slope <= (2 * search.c1 - 1) * slope) & (here.slope >= search.c2 * slope)
        lower = finite & ((here.f < start.f) & (here.f <= start.f + search.c1 * s.a * slope) | drowned)
        follow = _wolfe if search.rule == "strong_wolfe" else _backtracked
        low, high, closed, ended, a = follow(s, here, lower, noise, origin, search)
        stuck = (s.looks + 2 >= search.max_steps) | (closed & (magnitude(high.a - low.a) <= 4 * cost.eps * maximum(high.a, low.a)))
        a = where(ended | s.last, s.a, where(stuck, low.a, a))
        return _State(a, there.f, there.g, low, high, closed, s.looks + 1, stuck, ended | s.last, ended)

    return while_loop(lambda s: logical_not(s.done), turn, begin)  # type: ignore[no-any-return]


_Next = tuple[Along, Along, Node, Node, Node]  # low, high, closed, whether `here` will do, where to look next


def _backtracked(s: _State, here: Along, lower: Node, noise: Node, origin: Along, search: LineSearch) -> _Next:
    """Shorter and shorter, until it is lower."""
    excess = here.f - origin.f - here.a * origin.slope
    vertex = -origin.slope * here.a**2 / (2 * where(excess > 0, excess, 1.0))
    a = where(isfinite(here.f) & (excess > 0), clip(vertex, 0.1 * here.a, 0.5 * here.a), 0.1 * here.a)
    return origin, origin, s.closed, lower, a


def _wolfe(s: _State, here: Along, lower: Node, noise: Node, origin: Along, search: LineSearch) -> _Next:
    """One look of the algorithms 3.5 (while the bracket is open) and 3.6 (when it is closed)."""
    beyond = logical_not(lower) | (here.f > s.low.f + noise)
    ended = logical_not(beyond) & (magnitude(here.slope) <= -search.c2 * origin.slope)
    towards = where(s.closed, sign(s.high.a - s.low.a), 1.0)
    turned = here.slope * towards >= 0
    high = chosen(beyond, here, chosen(turned, s.low, s.high))
    low = chosen(beyond, s.low, here)
    closed = s.closed | beyond | turned
    grown = clip(_secant(s.low, here), GROWTH[0] * here.a, GROWTH[1] * here.a)
    longer = where(isfinite(grown) & (here.slope > s.low.slope), grown, GROWTH[1] * here.a)
    return low, high, closed, ended, where(closed, _between(low, high, noise), longer)


def _secant(p: Along, q: Along) -> Node:
    """Where the slope would be 0 if it were linear."""
    return p.a - p.slope * (q.a - p.a) / (q.slope - p.slope)


def _between(low: Along, high: Along, noise: Node) -> Node:
    """The minimum of the cubic through both ends (equation 3.59 there); of the parabola by their slopes where the values are alike."""
    width = high.a - low.a
    d1 = low.slope + high.slope - 3 * (low.f - high.f) / (low.a - high.a)
    d2 = sign(width) * sqrt(maximum(d1**2 - low.slope * high.slope, 0.0))
    cubic = high.a - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    guess = where(magnitude(low.f - high.f) <= 4 * noise, _secant(low, high), cubic)
    a, b = low.a + INSIDE * width, high.a - INSIDE * width
    return where(isfinite(guess), clip(guess, minimum(a, b), maximum(a, b)), low.a + 0.5 * width)
