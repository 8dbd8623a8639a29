"""`metropolis`, `langevin`, `hmc`, `nuts`: chains of draws from a density that is known up to a factor.

samples = gx.infer.nuts(log_density, {"mu": 0.0, "log_tau": 0.0}, key, chains=4)
draw = gx.function([key], samples)               # the warm-up and all draws of all chains: one native call
print(gx.infer.summary(draw(gx.random.key(1))))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from graphc import tree
from graphc.control.counted import map as map_rows
from graphc.control.scan import scan
from graphc.derivatives.batch import vmap
from graphc.dtypes import is_float
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.infer.kernels import Density, Hamiltonian, Kernel, RandomWalk
from graphc.infer.metric import no_moments, unit
from graphc.infer.nuts import NoUTurn
from graphc.infer.warmup import Fit, begin, warm_up, windows
from graphc.ir import Node
from graphc.ops.elementwise import exp
from graphc.ops.registry import asarray
from graphc.ops.spread import broadcast_to
from graphc.random import fold_in, split, uniform
from graphc.random.keys import as_key
from graphc.tree import Tree


class Samples(NamedTuple):
    """What a sampler returns. With `chains` all have an axis of chains before the others.

    positions: a tree like the initial position, each leaf with an axis of draws before its own axes. log_density, acceptance, diverged: by
    draw: the logarithm of the density there, the mean acceptance on the way, whether the trajectory left the region where energy is
    kept. step_size: what the warm-up found. covariance: of the metric, (n,) or (n, n), in the order of `gx.tree.ravel`. evaluations: how
    often the density (with its gradient where the method takes one) was computed for the draws, without the warm-up.
    """

    positions: Any
    log_density: Any
    acceptance: Any
    diverged: Any
    step_size: Any
    covariance: Any
    evaluations: Any


def metropolis(
    log_density: Callable[[Tree], Node], initial: Tree, key: Any, num_samples: int = 1000, num_warmup: int = 1000, *,
    chains: int | None = None, jitter: float = 1.0, target: float = 0.3, dense: bool = False, parallel: str = "map",
) -> Samples:  # fmt: skip
    """Draws by Metropolis' random walk: a normal step, kept with probability min(1, ratio of the densities); takes no gradient.

    Arguments and errors: see `nuts`. N. Metropolis et al. (1953); the scale of the steps is fitted to the acceptance `target`.
    """
    return _sample(
        "metropolis", RandomWalk(_rate(target)), log_density, initial, key, num_samples, num_warmup, chains, jitter, dense, parallel
    )


def langevin(
    log_density: Callable[[Tree], Node], initial: Tree, key: Any, num_samples: int = 1000, num_warmup: int = 1000, *,
    chains: int | None = None, jitter: float = 1.0, target: float = 0.6, dense: bool = False, parallel: str = "map",
) -> Samples:  # fmt: skip
    """Draws by Metropolis-adjusted Langevin dynamics: a step along the gradient, noise, and acceptance; Hamiltonian dynamics of one step.

    Arguments and errors: see `nuts`. G. O. Roberts and R. L. Tweedie (1996).
    """
    kernel = Hamiltonian(1, _rate(target))
    return _sample("langevin", kernel, log_density, initial, key, num_samples, num_warmup, chains, jitter, dense, parallel)


def hmc(
    log_density: Callable[[Tree], Node], initial: Tree, key: Any, num_samples: int = 1000, num_warmup: int = 1000, *,
    num_steps: int = 16, chains: int | None = None, jitter: float = 1.0, target: float = 0.8, dense: bool = False, parallel: str = "map",
) -> Samples:  # fmt: skip
    """Draws by Hamiltonian dynamics of `num_steps` leapfrog steps, accepted by the change of energy.

    Other arguments and errors: see `nuts`. S. Duane et al. (1987); R. M. Neal (2011).
    """
    kernel = Hamiltonian(_count("hmc", "num_steps", num_steps, 1), _rate(target))
    return _sample("hmc", kernel, log_density, initial, key, num_samples, num_warmup, chains, jitter, dense, parallel)


def nuts(
    log_density: Callable[[Tree], Node], initial: Tree, key: Any, num_samples: int = 1000, num_warmup: int = 1000, *,
    max_depth: int = 10, chains: int | None = None, jitter: float = 1.0, target: float = 0.8, dense: bool = False, parallel: str = "map",
) -> Samples:  # fmt: skip
    """Draws by Hamiltonian dynamics whose trajectories, of up to 2**max_depth points, end where they turn back.

    log_density: a function of a tree like `initial` that gives a 0-d float node, the logarithm of a density up to a constant; -inf and
    nan are places where the density is 0. Its parameters are unconstrained: see `gx.stats.bijectors` for others. initial: a tree of float
    arrays or nodes. key: of `gx.random`, an array or a node. num_warmup draws fit the step size to the mean acceptance `target` and a
    metric to the covariance (its diagonal unless `dense`), and are not returned.

    chains: None, one chain that starts at `initial`; a number, so many, which start at initial + jitter * uniform(-1, 1). parallel: "map",
    one chain after the other; "vmap", all at once in the lanes of vectors, each as long as the longest. To use several threads, call one
    compiled function from several with different keys: it runs without Python's lock.

    Returns `Samples`, a tree of nodes. The result depends on the key alone. M. D. Hoffman and A. Gelman (2014), with multinomial weights
    (M. Betancourt, 2017). Raises ArgumentError, ShapeError, DTypeError, DisconnectedError.

        samples = gx.infer.nuts(lambda q: -0.5 * gx.sum(q * q), np.zeros(10), gx.random.key(0))
    """
    kernel = NoUTurn(_count("nuts", "max_depth", max_depth, 1), _rate(target))
    return _sample("nuts", kernel, log_density, initial, key, num_samples, num_warmup, chains, jitter, dense, parallel)


def _count(what: str, name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        fail(ArgumentError, f"{what}: {name}={value!r:.60}", hint=f"a whole number, {least} or more")
    return value


def _rate(target: Any) -> float:
    if not isinstance(target, (int, float)) or not 0 < target < 1:
        fail(ArgumentError, f"target={target!r:.60}: the mean acceptance to aim at", hint="a number between 0 and 1")
    return float(target)


def _sample(
    what: str, kernel: Kernel, log_density: Callable[[Tree], Node], initial: Tree, key: Any, num_samples: int, num_warmup: int,
    chains: int | None, jitter: float, dense: bool, parallel: str,
) -> Samples:  # fmt: skip
    if not callable(log_density):
        fail(ArgumentError, f"{what}: log_density is {log_density!r:.60}", hint="a function of a tree of nodes")
    _count(what, "num_samples", num_samples, 1)
    _count(what, "num_warmup", num_warmup, 0)
    if parallel not in ("map", "vmap"):
        fail(ArgumentError, f"{what}: parallel={parallel!r:.60}", hint='"map" or "vmap"')
    nodes = tree.map(asarray, initial)
    for leaf, path in zip(tree.leaves(nodes), tree.paths(nodes)):
        if not is_float(leaf.dtype):
            fail(DTypeError, f"{what}: initial{path} is {leaf.dtype}, and only floats are sampled", leaf, hint="sum discrete values out")
    start, unravel = tree.ravel(nodes)
    density = _density(what, log_density, unravel)
    key = as_key(what, key)

    def chain(key: Node, position: Node) -> Samples:
        return _chain(kernel, density, unravel, position, key, num_samples, num_warmup, dense)

    if chains is None:
        return chain(key, start)
    count = _count(what, "chains", chains, 1)
    shift = jitter * uniform(fold_in(key, 1), (count, start.shape[0]), start.dtype, -1.0, 1.0)
    operands = split(fold_in(key, 0), count), broadcast_to(start, (count, start.shape[0])) + shift
    samples: Samples = map_rows(lambda row: chain(*row), operands) if parallel == "map" else vmap(chain)(*operands)
    return samples


def _density(what: str, log_density: Callable[[Tree], Node], unravel: Callable[[Node], Tree]) -> Density:
    def density(q: Node) -> Node:
        value = asarray(log_density(unravel(q)))
        if value.ndim:
            fail(ShapeError, f"{what}: log_density gives {value.tensor}, not one number", value, hint="sum it over its axes")
        if value.dtype != q.dtype:
            fail(DTypeError, f"{what}: log_density gives {value.dtype} for {q.dtype} parameters", value, hint="use one float dtype")
        return value

    return density


def _chain(
    kernel: Kernel, density: Density, unravel: Callable[[Node], Tree], position: Node, key: Node, draws: int, warmup: int, dense: bool
) -> Samples:
    n, dtype = position.shape[0], position.dtype
    metric, point, none = unit(n, dtype, dense), kernel.start(density, position), asarray(0)
    size = begin(kernel.first_step(density, metric, point, fold_in(key, 0)))
    at = Fit(point, size, metric, no_moments(n, dtype, dense), none, none)
    keys = split(fold_in(key, 1), warmup + draws)
    step = exp(at.size.step)
    if warmup:
        seen, ends = windows(warmup)
        at, _ = scan(lambda at, x: (warm_up(kernel, density, at, x[0], x[1], x[2], dense), None), at, (keys[:warmup], seen, ends))
        step = exp(at.size.mean)

    def draw(point: Any, key: Node) -> tuple[Any, Any]:
        turn = kernel.turn(density, at.metric, point, step, key)
        seen = turn.point.position, turn.point.log_density, turn.acceptance, turn.diverged, turn.evaluations
        return turn.point, seen

    _, (positions, values, acceptance, diverged, evaluations) = scan(draw, at.point, keys[warmup:])
    return Samples(vmap(unravel)(positions), values, acceptance, diverged, step, at.metric.covariance, evaluations.sum())


__all__ = ["Samples", "hmc", "langevin", "metropolis", "nuts"]
