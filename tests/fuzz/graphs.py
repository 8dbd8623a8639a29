"""Random graphs as lists of steps, so that a failing one can be shrunk.

A step names a builder and holds three random numbers; builders pick operands out of a pool of nodes by those numbers,
so any sublist of the steps is a graph again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import graphc as gx
from graphc import dims
from graphc.ir import Node
from graphc.ops.cumulate import recur
from graphc.ops.draws import discrete_draw, first_derivative
from graphc.ops.philox import random_words
from graphc.ops.registry import OPS, number
from graphc.ops.rows import PUBLIC
from graphc.ops.sorting import ordered
from graphc.ops.windows import Sliding, fold, window

MAX_SIZE = 600  # elements; larger values are not extended


@dataclass(frozen=True)
class Step:
    builder: str
    picks: tuple[int, int, int]


class Pool:
    """Nodes made so far; picks choose among those of a kind."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = list(nodes)

    def pick(self, n: int, kinds: str = "f", ndim: int | None = None, like: Node | None = None) -> Node | None:
        found = [
            x for x in self.nodes if x.dtype.kind in kinds and (ndim is None or x.ndim >= ndim) and (like is None or x.type is like.type)
        ]
        return found[-1 - (n * n) % len(found) % len(found)] if found else None


def known_sizes(x: Node) -> list[int | None]:
    """The sizes that are numbers, None for the others: whether those are equal to some number is not known before the call."""
    return [s if isinstance(s, int) else None for s in x.shape]


Builder = Callable[[Pool, int, int, int], Node | None]
BUILDERS: dict[str, Builder] = {}
COVERS: dict[str, tuple[str, ...]] = {}  # builder -> the ops of the registry it is there for


def builder(*ops: str) -> Callable[[Builder], Builder]:
    def enter(f: Builder) -> Builder:
        name = f.__name__.strip("_")
        BUILDERS[name] = f
        COVERS[name] = ops
        return f

    return enter


def _bounds(name: str, k: int) -> tuple[float, float]:
    domain = OPS[name].row.domain
    return domain[k] if isinstance(domain[0], (tuple, list)) else domain


def _into(x: Node, lo: float, hi: float) -> Node:
    """x squeezed smoothly into (lo, hi), so that rows see values of their domain."""
    return (gx.sin(x) * ((hi - lo) / 2) + (hi + lo) / 2).astype(x.dtype)


def _row(name: str, arity: int, kinds: str) -> Builder:
    def build(pool: Pool, a: int, b: int, c: int) -> Node | None:
        want = "f" if "f" in kinds and (a % 4 or "i" not in kinds) else "iu" if "i" in kinds else "b"
        first = pool.pick(a, want)
        if first is None:
            return None
        operands = [first]
        for k, n in enumerate((b, c)[: arity - 1]):
            other = pool.pick(n, want, like=first)
            operands.append(other if other is not None and (n + k) % 3 else first)
        if want == "f" and c % 8:  # now and then outside the domain: nan and infinities must agree too
            operands = [_into(x, *_bounds(name, k)) for k, x in enumerate(operands)]
        if name == "copysign" and want == "f":  # its result shows the sign of nan, which no operation promises
            operands[1] = gx.where(gx.isnan(operands[1]), 1.0, operands[1])
        return PUBLIC[name](*operands)

    return build


for _name, _op in OPS.items():
    if _name in PUBLIC and _op.row is not None:
        BUILDERS[_name] = _row(_name, _op.arity or 1, _op.row.kinds)
        COVERS[_name] = (_name,)


@builder("select")
def where(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a)
    y = pool.pick(b, like=x)
    return gx.where(x > (y if c % 2 else 0.1), gx.sqrt(x) if c % 3 else y, y * 2)


@builder("cast")
def cast(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fiub")
    return x.astype(("float64", "float32", "int64", "int32", "uint8", "bool", "int16")[b % 7])


@builder("stop_gradient")
def stopped(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a)
    return gx.stop_gradient(x) * x


@builder("reduce", "broadcast")
def reduced(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    axis = None if b % 4 == 0 else b % x.ndim
    f = (gx.sum, gx.mean, gx.max, gx.min, gx.prod, gx.logsumexp, gx.var)[c % 7]
    x = _into(x, 0.5, 1.5) if f is gx.prod else x
    return x * f(x, axis=axis, keepdims=True) if b % 3 else f(x, axis=axis)


@builder()
def normalised(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    return None if x is None else (gx.softmax, gx.log_softmax)[b % 2](x, axis=c % x.ndim)


@builder("reduce")
def tested(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    return None if x is None else (gx.any, gx.all)[b % 2](x > 0.3, axis=c % x.ndim)


@builder("arg_reduce")
def position(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fi", ndim=1)
    if x is None or 0 in known_sizes(x):
        return None
    return (gx.argmax, gx.argmin)[b % 2](x, axis=None if c % 3 == 0 else c % x.ndim)


@builder("extreme", "get")
def extreme(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fi", ndim=1)
    if x is None or any(s == 0 for s in x.shape):
        return None
    value, index = (gx.max_with_index, gx.min_with_index)[b % 2](x, axis=None if c % 3 == 0 else c % x.ndim, keepdims=True)
    return value if c % 5 == 0 else index if c % 5 == 1 else x * (value - index.astype(x.dtype))


@builder("sort", "get")
def in_order(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fiub", ndim=1)
    if x is None:
        return None
    axis, down = c % x.ndim, bool(b % 2)
    some = x.shape[axis] if b % 3 else dims.minimum(x.shape[axis], 1 + a % 3)
    value, place = ordered(x, axis, some, down)
    return value if c % 3 else place if c % 2 else gx.sort(value + place.astype(x.dtype), axis) if x.dtype.kind != "b" else value


@builder("search")
def looked_up(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x, row = pool.pick(a, "fiu"), pool.pick(b, "fiu", ndim=1)
    if x is None or row is None:
        return None
    return gx.searchsorted(gx.sort(row.ravel()), x, ("left", "right")[c % 2])


@builder("ldexp", "sinc")
def _scaled(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a)
    return None if x is None else gx.sinc(x) if c % 2 else gx.ldexp(x, c % 7 - 3)


@builder("divmod", "modf", "frexp")
def pair(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fiu" if b % 3 == 0 else "f")
    if x is None:
        return None
    first, second = gx.divmod(x, pool.pick(b, x.dtype.kind, like=x)) if b % 3 == 0 else (gx.modf, gx.frexp)[b % 2](x)
    return first if c % 3 == 0 else second if c % 3 == 1 else first * second


@builder("cumulate")
def running(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    return None if x is None else (gx.cumsum(x, axis=c % x.ndim) if b % 2 else gx.cumprod(_into(x, -1.2, 1.2), axis=c % x.ndim))


@builder("recur")
def recurrence(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    y = pool.pick(b, like=x)
    return recur(_into(x, -1, 1), y, c % x.ndim, bool(b % 2), bool(a % 2))


@builder("contract")
def product(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    if c % 3 == 0 and x.ndim >= 2:
        return x.mT @ x if c % 2 else x @ x.mT
    last = x.shape[-1]
    if isinstance(last, int) and b % 2:
        return x @ np.linspace(-1, 1, last * (c % 4 + 1), dtype=x.dtype).reshape(last, c % 4 + 1)
    return gx.tensordot(x, x, axes=([x.ndim - 1], [x.ndim - 1])) if x.ndim <= 2 else None


@builder("transpose")
def transposed(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fib", ndim=2)
    return None if x is None else gx.swapaxes(x, b % x.ndim, c % x.ndim)


@builder("reshape")
def reshaped(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fi", ndim=1)
    if x is None:
        return None
    return gx.ravel(x) * (1 if c % 2 else 3) if b % 2 else x.reshape(*x.shape, 1) if b % 3 else gx.expand_dims(x, c % (x.ndim + 1))


@builder("reshape")
def reordered(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fi", ndim=2)
    if x is None or not all(isinstance(s, int) for s in x.shape):
        return None
    y = x.reshape(*x.shape[:-2], x.shape[-1], x.shape[-2])
    return gx.swapaxes(y, -1, -2) + (x if b % 2 else 0) if c % 3 else y


@builder("slice", "reverse")
def sliced(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fi", ndim=1)
    if x is None:
        return None
    key = [slice(None)] * x.ndim
    key[b % x.ndim] = (slice(1, None), slice(None, None, -1), slice(None, -1), slice(None, None, 2), slice(None, 1), slice(-1, 0, -1))[
        c % 6
    ]
    return x[tuple(key)]


@builder("pad")
def padded(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    return None if x is None else gx.pad(x, ((b % 3, c % 2),) + ((0, 0),) * (x.ndim - 1), constant_values=0.5)


@builder("concat")
def joined(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    y = pool.pick(b, like=x)
    return gx.concatenate([x, y * 2, x], axis=c % x.ndim) if c % 4 else gx.stack([x, y], axis=b % (x.ndim + 1))


@builder("gather")
def taken(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    axis = b % x.ndim
    if not isinstance(x.shape[axis], int) or x.shape[axis] < 2:
        return None
    if c % 3 == 0:
        return gx.take_along_axis(x, gx.argmax(x, axis=axis, keepdims=True), axis=axis)
    indices = np.array([[0, -1], [1, 0]])[: 1 + c % 2]
    return gx.take(x, indices, axis=axis)


def _positions(pool: Pool, x: Node, axis: int, a: int, b: int) -> Node | np.ndarray | None:
    """Indices into an axis: computed ones of any rank, or known ones of sizes that the array has itself; repeated, and negative."""
    size = x.shape[axis]
    if not isinstance(size, int) or size == 0:
        return None
    if a % 2:
        computed = pool.pick(b, "iu")
        return None if computed is None or computed.ndim > 3 else gx.mod(computed.astype("int64"), size) - (size if b % 2 else 0)
    sizes = [s for s in x.shape if isinstance(s, int)]
    shape = tuple(sizes[(b + k) % len(sizes)] for k in range(RANKS[b % len(RANKS)]))
    return (np.arange(math.prod(shape)) * (a + 1) % (2 * size) - size).reshape(shape)


@builder("gather")
def chosen(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    axis = c % x.ndim
    at = _positions(pool, x, axis, b, c)
    return None if at is None or x.ndim + at.ndim > 5 else gx.take(x, at, axis=axis)


@builder("gather", "scatter")
def beside(pool: Pool, a: int, b: int, c: int) -> Node | None:
    """Updates at indices of any rank, of what is read at others: gathers and scatters of one array beside each other."""
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    axis = c % x.ndim
    to, source = _positions(pool, x, axis, b, c), _positions(pool, x, axis, c, b)
    if to is None or source is None or x.ndim + max(to.ndim, source.ndim) > 5:
        return None
    at = x.at[(*[slice(None)] * axis, to)]
    part = gx.take(x, source, axis=axis) if to.shape == source.shape else gx.take(x, to, axis=axis)
    return at.add(part * 0.5) if (a + b) % 3 else at.set(gx.sin(part))


@builder("gather")
def along(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None or not all(isinstance(s, int) and s > 0 for s in x.shape):
        return None
    axis = b % x.ndim
    shape = tuple((c % 4 + 1) if k == axis else s for k, s in enumerate(x.shape))
    return gx.take_along_axis(x, (np.arange(math.prod(shape)) * 5 % (2 * x.shape[axis]) - x.shape[axis]).reshape(shape), axis=axis)


@builder("scatter")
def updated(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None or not isinstance(x.shape[0], int) or x.shape[0] < 2:
        return None
    where = (np.array([0, 1, 0]), slice(0, None, 2), 1)[b % 3]
    part = x[0] if x.ndim > 1 else gx.sum(x)
    return x.at[where].add(part * 2) if c % 2 else x.at[where].set(part)


@builder("update")
def bounded(pool: Pool, a: int, b: int, c: int) -> Node | None:
    """Places multiplied, or bounded, by what lies at others; of ints and bools too, and out of range."""
    x = pool.pick(a, "fiub" if c % 4 == 0 else "f", ndim=1)
    if x is None:
        return None
    axis = c % x.ndim
    to = _positions(pool, x, axis, b, c)
    if to is None or x.ndim + to.ndim > 5:
        return None
    at, part = x.at[(*[slice(None)] * axis, to)], gx.take(x, to, axis=axis)
    name = ("multiply", "min", "max")[(a + b) % 3] if x.dtype.kind != "f" or isinstance(to, Node) else ("min", "multiply")[b % 2]
    part = gx.sin(part) if x.dtype.kind == "f" else part
    return getattr(at, name)(part) if name != "multiply" or isinstance(to, np.ndarray) or x.dtype.kind != "f" else at.max(part)


@builder("diagonal")
def diagonals(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=2)
    return (
        None
        if x is None
        else gx.diagonal(x, offset=(0, 1, -1)[b % 3])
        if isinstance(x.shape[0], int) and isinstance(x.shape[1], int)
        else gx.tril(x, b % 2)
    )


@builder("iota", "size")
def counted(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    steps = gx.arange(x.shape[-1])
    return x * steps.astype(x.dtype) + x.shape[0] if b % 2 else x + gx.eye(3, dtype=x.dtype)[c % 3, b % 3]


@builder("convolve")
def convolved(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, "fi", ndim=2)
    if x is None or x.ndim != 2 or not isinstance(x.shape[1], int) or x.shape[1] == 0:
        return None
    taps = (np.arange(2 * (c % 3 + 1)) - 1).astype(x.dtype).reshape(2, 1, c % 3 + 1)
    return gx.nn.conv1d(x[:, None], taps, stride=b % 2 + 1, padding=("same", "full")[a % 2], flip=b % 3 == 0)[:, c % 2]


@builder("window", "fold")
def windowed(pool: Pool, a: int, b: int, c: int) -> Node | None:
    x = pool.pick(a, ndim=1)
    if x is None:
        return None
    seen = [Sliding(b % x.ndim, 3, c % 3 + 1, b % 2 + 1, a % 2 + 1, c % 4)]
    windows = window(x, number(0.5, x.dtype), seen)
    return fold(windows * windows, seen, (x.shape[b % x.ndim],)) if c % 2 else gx.max(windows, axis=-1)


@builder("random_word32", "random_word64", "discrete_draw", "first_derivative")
def random_bits(pool: Pool, a: int, b: int, c: int) -> Node | None:
    key, index = pool.pick(a, "iu"), pool.pick(b, "iu")
    if key is None or index is None:
        return None
    drawn = random_words(key.astype("uint64").ravel()[:1], c, index.astype("uint64"), 32 if c % 2 else 64)
    return first_derivative(discrete_draw((drawn % (a % 9 + 1)).astype("int64"), index).astype("float64"))


NOT_BUILT = {"input", "shared", "constant", "bound", "derived"}  # leaves, and what is no computation
NOT_BUILT |= {name for name, op in OPS.items() if op.params == ("n",) and op.elementwise}  # of static order: test_special_orders
NOT_BUILT |= {
    "scan",
    "while",
    "switch",
    "checkpoint",
    "custom_vjp",
    "custom_jvp",
    "callback",
}  # programs with bodies: tests/fuzz/control.py
NOT_BUILT |= {name for name, op in OPS.items() if op.traits.kernel == "host"}  # of drawn matrices few have answers: tests/test_linalg.py
NOT_BUILT |= {"log_abs_det", "product_of_pivots", "cofactors"}  # of the factors of a matrix: there, too
NOT_BUILT |= {"log_less_digamma"}  # of mixed second derivatives only, the others of which are refused: tests/test_incomplete.py
NOT_BUILT |= {"assume"}  # a promise that drawn values do not keep


POOL = (1, 2, 2, 3, 3, 4, 4, 5, 0)  # sizes: few, so that those of different arrays coincide
RANKS = (0, 1, 1, 2, 2, 3)  # of index arrays


def make_inputs(rng: random.Random) -> list[Node]:
    """Variables of several ranks and dtypes, their sizes three numbers of a tiny pool and a symbol."""
    wide = rng.choice(("float64", "float64", "float32"))
    a, b, c = (rng.choice(POOL[: 8 + (rng.random() < 0.3)]) for _ in range(3))
    rows = rng.choice(("n", "n", a, b))
    return [
        gx.tensor("x", (rows, a), wide),
        gx.tensor("y", (rows, a), wide),
        gx.tensor("u", (a,), wide),
        gx.tensor("s", (), wide),
        gx.tensor("t", (b, c, a), wide),
        gx.tensor("i", (rows,), "int64"),
        gx.tensor("j", tuple(rng.choice((a, b, c)) for _ in range(rng.choice(RANKS))), "int64"),
        gx.tensor("k", (a,), rng.choice(("int32", "uint8", "int64"))),
        gx.tensor("b", (rows, a), "bool"),
    ]


def make_steps(rng: random.Random, count: int) -> list[Step]:
    names = sorted(BUILDERS)
    return [Step(rng.choice(names), (rng.randrange(1000), rng.randrange(1000), rng.randrange(1000))) for _ in range(count)]


def build(inputs: Sequence[Node], steps: Sequence[Step]) -> list[Node]:
    """The nodes the steps make; a step that does not apply is skipped."""
    pool = Pool(inputs)
    made: list[Node] = []
    for step in steps:
        try:
            node = BUILDERS[step.builder](pool, *step.picks)
        except gx.GraphcError:
            continue  # e.g. a symbolic size where a known one is needed
        if node is None or (isinstance(node.size, int) and node.size > MAX_SIZE) or node.ndim > 4:
            continue
        pool.nodes.append(node)
        made.append(node)
    return made


def make_values(inputs: Sequence[Node], seed: int, rows: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    values = []
    for x in inputs:
        shape = tuple(s if isinstance(s, int) else rows for s in x.shape)
        if x.dtype.kind == "f":
            values.append(rng.standard_normal(shape).astype(x.dtype))
        else:
            values.append(rng.integers(0, 2 if x.dtype.kind == "b" else 5, shape).astype(x.dtype))
    return values
