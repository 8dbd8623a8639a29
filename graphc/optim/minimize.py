"""`minimize`: a whole minimisation as one loop of the graph, by the method of the table `METHODS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from graphc.errors import ArgumentError, DTypeError, fail
from graphc.ir import Node
from graphc.optim.conjugate import fletcher_reeves, polak_ribiere, steepest_descent
from graphc.optim.coordinate import coordinate_descent
from graphc.optim.directions import descend
from graphc.optim.levenberg_marquardt import levenberg_marquardt
from graphc.optim.line_search import LineSearch, search_of
from graphc.optim.newton import gauss_newton, newton, newton_cg, saddle_free_newton
from graphc.optim.problem import Cost, Result, cost_of, squares_of
from graphc.optim.quasi_newton import bfgs, l_bfgs
from graphc.optim.trust_region import trust_region
from graphc.tree import Tree

# a factory of a `Descent` takes options alone; a method with a loop of its own takes (cost, tol, max_iterations) before them
METHODS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        steepest_descent, coordinate_descent, fletcher_reeves, polak_ribiere, l_bfgs, bfgs, newton, saddle_free_newton, newton_cg,
        trust_region,
    )
}  # fmt: skip
SQUARES: dict[str, Callable[..., Any]] = {f.__name__: f for f in (levenberg_marquardt, gauss_newton)}
LOOPS = (trust_region, levenberg_marquardt)


def minimize(
    fun: Callable[[Tree], Any],
    x0: Tree,
    method: str = "bfgs",
    *,
    tol: Any = None,
    max_iterations: Any = 1000,
    line_search: str | LineSearch | None = None,
    **options: Any,
) -> Result:
    """The x with the least fun(x) near x0: a `Result` of nodes, made by one loop of the graph, so that a compiled function that asks for it
    minimises in one native call; under `vmap` from many x0 at once.

    fun: a function of a tree like x0 to one number, called once; what else it reads is captured. x0: a tree of float arrays or nodes.

    method                               a turn                                                     options
    "steepest_descent"                   -g, armijo                                                 -
    "coordinate_descent"                 Newton's step along one coordinate, armijo                 rule="cyclic" ("greedy")
    "fletcher_reeves", "polak_ribiere"   nonlinear conjugate gradients, strong_wolfe (c2 = 0.1)     reset=None (turns)
    "l_bfgs"                             the last steps' curvature, O(n) memory, strong_wolfe       history=10
    "bfgs"                               an inverse Hessian learnt from steps, strong_wolfe         -
    "newton"                             the Hessian, made positive by what it needs, armijo        damping=0.0
    "saddle_free_newton"                 the Hessian's absolute eigenvalues, armijo                 floor=1e-8
    "newton_cg"                          conjugate gradients on Hessian-vector products, armijo     inner=None (n)
    "trust_region"                       the same within a ball (Steihaug)                          radius=1.0, max_radius=inf, inner=None

    tol: the norm of the gradient at which it ends; the root of the dtype's rounding if left out (1.5e-8 in float64, 3.5e-4 in float32).
    tol and max_iterations may be nodes.
    line_search: "armijo", "strong_wolfe", "exact", "full_step", or what these functions of gx.optim make; trust_region has none. "newton"
    with "full_step" is the method of the textbooks, with no care for saddle points.
    It always ends, and `status` says why (`gx.optim.Status`): converged; max_iterations made; no step lowers the cost; not finite. x is the
    last finite point, unless x0 itself is not finite. A draw in fun is one draw for the whole minimisation. Derivatives of the result are
    those of the loop, in forward mode; `implicit` gives a minimum those of both modes.
    Raises ArgumentError, ShapeError, DTypeError, DisconnectedError, NotDifferentiableError.

        found = gx.optim.minimize(lambda w: gx.mean(gx.log1p(gx.exp(-t * (x @ w)))) + 0.01 * (w @ w), np.zeros(10), method="newton")
        f = gx.function([x, t], found)
        f(rows, signs).x, gx.optim.Status(int(f(rows, signs).status))
    """
    check("minimize", METHODS, method, options, tol, max_iterations)
    return run("minimize", cost_of("minimize", fun, x0), METHODS[method], options, line_search, tol, max_iterations)


def least_squares(
    residuals: Callable[[Tree], Any],
    x0: Tree,
    method: str = "levenberg_marquardt",
    *,
    tol: Any = None,
    max_iterations: Any = 1000,
    line_search: str | LineSearch | None = None,
    **options: Any,
) -> Result:
    """The x with the least |r(x)|^2 / 2 near x0: a `Result` of nodes, whose `fun` is that half sum; one loop of the graph.

    residuals: a function of a tree like x0 to an array, or a tree of arrays, of any sizes. x0: a tree of float arrays or nodes.

    method                   a turn                                                              options
    "levenberg_marquardt"    (J'J + a D) s = -J'r, D = diag(J'J), its largest so far             damping=1e-3
    "gauss_newton"           J'J s = -J'r and a line search (`armijo` unless given)              damping=0.0

    tol: the norm of the gradient J'r at which it ends; the root of the dtype's rounding if left out (1.5e-8 in float64, 3.5e-4 in float32).
    Levenberg 1944, Marquardt 1963; the damping a as in Nielsen 1999, the scale D as in More 1978. `products` counts Jacobians.
    Raises ArgumentError, ShapeError, DTypeError, DisconnectedError, NotDifferentiableError; see `minimize` for what ends it.

        fit = gx.optim.least_squares(lambda p: p["a"] * gx.exp(-p["k"] * t) - y, {"a": 1.0, "k": 0.1})
        a = gx.function([t, y], fit)(times, values).x["a"]
    """
    check("least_squares", SQUARES, method, options, tol, max_iterations)
    return run("least_squares", squares_of("least_squares", residuals, x0), SQUARES[method], options, line_search, tol, max_iterations)


def check(what: str, table: dict[str, Callable[..., Any]], method: str, options: dict[str, Any], tol: Any, max_iterations: Any) -> None:
    """ArgumentError unless the method is in the table and knows the options."""
    if method not in table:
        fail(ArgumentError, f"{what}: method={method!r}", hint=f"it is one of {', '.join(table)}")
    known = [p.name for p in inspect.signature(table[method]).parameters.values() if p.default is not p.empty]
    for name in options:
        if name not in known:
            hint = f"its options are {', '.join(known)}" if known else "it has no options"
            fail(ArgumentError, f"{what}: {method} has no option {name!r}", hint=hint)
    if isinstance(tol, (int, float)) and not tol >= 0:
        fail(ArgumentError, f"{what}: tol={tol}", hint="a norm of the gradient, 0 or more")
    if isinstance(max_iterations, Node):
        if max_iterations.ndim or max_iterations.dtype.kind not in "iu":
            fail(DTypeError, f"{what}: max_iterations is {max_iterations.tensor}, not one integer", max_iterations)
    elif max_iterations < 0:
        fail(ArgumentError, f"{what}: max_iterations={max_iterations}", hint="0 or more")


def run(
    what: str,
    cost: Cost,
    method: Callable[..., Any],
    options: dict[str, Any],
    line_search: str | LineSearch | None,
    tol: Any,
    max_iterations: Any,
) -> Result:
    """The method on the cost."""
    if method in LOOPS:
        if line_search is not None:
            fail(ArgumentError, f"{what}: {method.__name__} has no line search")
        return method(cost, tol, max_iterations, **options)  # type: ignore[no-any-return]
    made = method(**options)
    search = search_of(what, made.search if line_search is None else line_search)
    return descend(cost, made, search, tol, max_iterations)
