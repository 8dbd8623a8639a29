"""One call of a public function: by the interpreter, natively, by NumPy; its derivatives against differences.

The functions are found in the namespaces, and their arguments drawn by the names of their parameters (`arguments.py`): a function that
is added is drawn without a line here, or the test says what is missing.
"""

from __future__ import annotations

import contextlib
import inspect
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import graphc as gx
from graphc.interp import evaluate
from graphc.ir import Node, toposort
from graphc.ops.registry import OPS
from graphc.ops.rows import PUBLIC
from tests.fuzz.arguments import CALLS, CHOICES, REQUIRED
from tests.fuzz.compare import Case
from tests.fuzz.draw import Draw

SPACES = {name: getattr(gx, name) for name in ("special", "linalg", "nn", "fft")}
NOT_DRAWN = {  # why no call of them is drawn here
    "no function of arrays": "dim matrix scalar vector tensor function get_num_threads set_num_threads get_values set_values jit",
    "training, files": "fit save load",
    "layers over dicts: tests/test_nn_*": "dropout scale_weights multi_head_attention conv_layer conv_transpose_layer dense embedding rbf "
    "batch_norm fold_batch_norm group_norm layer_norm rms_norm spectral_norm whiten bidirectional gru jordan_rnn lstm rnn",
    "nor are these": "like shared substitute to_networkx check_grad at turn_index asarray",
    "of dtypes, and of sizes": "can_cast isdtype issubdtype promote_types result_type broadcast_shapes",
    "derivatives of what is drawn, which each case takes": "grad hessian hvp jacobian jvp value_and_grad vjp",
    "takes functions: tests/fuzz/control.py and graphs.py": "vmap callback checkpoint cond fori_loop map scan switch while_loop",
    "takes a compiled function": "flush_subnormals",
    "no symbolic form: it raises": "unique",
}
UNDRAWN = {name: reason for reason, names in NOT_DRAWN.items() for name in names.split()}
NUMPY_DIFFERS = {  # where graphc's meaning is its own, and documented so
    "softmax", "log_softmax", "logsumexp", "empty", "empty_like",  # not NumPy's, or without values
    "array", "copy", "apply_along_axis", "apply_over_axes", "fromfunction", "piecewise",  # functions of nodes
    "fill_diagonal", "place", "put", "putmask", "put_along_axis",  # they change their argument
    "cond", "lstsq", "lu", "svd", "qr", "eigh", "slogdet",  # vectors up to sign, or other tuples: tests/test_linalg.py
    "argsort", "argpartition", "polydiv",  # ties in the order of their places; without trimming of zeros
    "histogram", "histogram2d", "histogramdd", "gradient", "modf", "frexp", "spacing",
}  # fmt: skip
UP_TO_SIGN = {"linalg.eigh": 1}  # which output has columns of either sign: it is squared
BY_CONVENTION = {"stop_gradient"}  # whose derivative is no limit of differences
STEP = 1e-5


def functions() -> dict[str, Callable[..., Any]]:
    """The public functions by dotted names, rows too."""
    found: dict[str, Callable[..., Any]] = {}
    for space, module in {"": gx, **SPACES}.items():
        for name in module.__all__:
            f = getattr(module, name)
            dotted = f"{space}.{name}" if space else name
            if callable(f) and not inspect.isclass(f) and not inspect.ismodule(f) and (name if space == "nn" else dotted) not in UNDRAWN:
                found[dotted] = f
    return found


def missing(name: str, f: Callable[..., Any]) -> list[str]:
    """The parameters of a function for which nothing is drawn."""
    if name in CALLS or PUBLIC.get(name.rpartition(".")[2]) is f:
        return []
    parameters = inspect.signature(f).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    return [p.name for p in needed if p.name not in REQUIRED]


def _row(d: Draw, name: str) -> Sequence[Any]:
    """Operands of a row, in its domain but now and then."""
    op = OPS[name]
    if op.row is None:
        return [d.first() for _ in range(op.arity or 1)]
    arity = op.arity or 1
    bounds = op.row.domain if isinstance(op.row.domain[0], (tuple, list)) else [op.row.domain] * arity
    if "f" not in op.row.kinds:
        shape = d.shape()
        return [d.integers(0, 5, *shape) if "i" in op.row.kinds else d.flags(*shape) for _ in range(arity)]
    if d.rng.random() < 0.15:
        return [d.first(), *[d.like() for _ in range(arity - 1)]]
    shape = d.shape()
    return [d.variable(d.values.uniform(lo, hi, shape).astype(d.dtype)) for lo, hi in bounds]


def arguments(name: str, f: Callable[..., Any], d: Draw) -> tuple[list[Any], dict[str, Any]]:
    """What a function is called with."""
    row = name.rpartition(".")[2]
    if name in CALLS:
        args, kwargs = CALLS[name](d)
        return list(args), dict(kwargs)
    if PUBLIC.get(row) is f:
        return list(_row(d, row)), {}
    args, kwargs = [], {}
    for p in inspect.signature(f).parameters.values():
        if p.kind is p.VAR_KEYWORD:
            continue
        if p.kind is p.VAR_POSITIONAL:
            args += [d.first() for _ in range(d.rng.randint(1, 2))]
        elif p.default is p.empty:
            args.append(REQUIRED[p.name](d))
        elif p.name in CHOICES and d.rng.random() < 0.35:
            kwargs[p.name] = d.axis() if p.name == "axis" and d.rng.random() < 0.7 else d.rng.choice(CHOICES[p.name])
    return args, kwargs


def replaced(value: Any, nodes: Sequence[Node], arrays: Sequence[np.ndarray]) -> Any:
    """`value` with variables replaced by their arrays, in lists and tuples too."""
    if isinstance(value, Node):
        return next((a for n, a in zip(nodes, arrays) if n is value), value)
    if isinstance(value, (list, tuple)):
        return type(value)([replaced(v, nodes, arrays) for v in value])
    return value


class PublicCase(Case):
    """A call of one function on variables, as a case of the fuzzer."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed, self.f = name, seed, functions()[name]
        self.draw = Draw(seed)
        self.args, self.kwargs = arguments(name, self.f, self.draw)
        self.inputs, self.values = self.draw.nodes, self.draw.arrays
        self.result = [x for x in gx.tree.flatten(self.f(*self.args, **self.kwargs))[0] if isinstance(x, Node)]
        if name in UP_TO_SIGN:
            self.result[UP_TO_SIGN[name]] = self.result[UP_TO_SIGN[name]] ** 2
        self.steps = []

    def __str__(self) -> str:
        shown = lambda v: f"{v.dtype}{v.shape}" if isinstance(v, Node) else repr(v)
        given = [shown(v) for v in self.args] + [f"{k}={shown(v)}" for k, v in self.kwargs.items()]
        return f"{self.name}({', '.join(given)}) seed {self.seed}"

    def cost(self) -> Node | None:
        """A number that depends on every float of the result."""
        floats = [o for o in self.result if o.dtype.kind == "f"]
        if not floats:
            return None
        rng = np.random.default_rng(self.seed)
        parts = [gx.sum(gx.sin(o.astype("float64") * rng.uniform(0.5, 1.5))) for o in floats]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def derived(self) -> tuple[list[Node], list[Node], list[Node]]:
        """(variables, gradient, Hessian times a vector), empty where nothing is to be differentiated, or not so often."""
        cost, wrt = self.cost(), [x for x in self.inputs if x.dtype.kind == "f"]
        if cost is None or not wrt:
            return [], [], []
        try:
            slopes = gx.grad(cost, wrt, disconnected="zero")
        except gx.NotDifferentiableError:
            return [], [], []
        try:
            return wrt, slopes, gx.grad(self.along(slopes, 1), wrt, disconnected="zero")
        except gx.NotDifferentiableError:
            return wrt, slopes, []

    def along(self, slopes: Sequence[Node], which: int) -> Node:
        """The slope in a direction."""
        total = gx.asarray(0.0)
        for g, v in zip(slopes, self.directions(which)):
            total = total + gx.sum(g.astype("float64") * v)
        return total

    def directions(self, which: int) -> list[np.ndarray]:
        rng = np.random.default_rng(self.seed + which)
        return [rng.standard_normal(v.shape) for x, v in zip(self.inputs, self.values) if x.dtype.kind == "f"]

    def outputs(self) -> list[Node]:
        _, slopes, curved = self.derived()
        return [*self.result, *slopes, *curved]

    def check(self) -> None:
        super().check()
        self.by_numpy()
        self.by_differences()

    def by_numpy(self) -> None:
        """NumPy's function of the same name, where it takes these arguments."""
        space, _, name = self.name.rpartition(".")
        theirs = getattr(getattr(np, space, None) if space else np, name, None)
        if theirs is None or name in NUMPY_DIFFERS or space in ("special", "nn"):
            return
        if name.endswith(("quantile", "percentile")) and not all(np.isfinite(v).all() for v in self.values):
            return  # between two infinities NumPy finds nan
        args = replaced(self.args, self.inputs, self.values)
        kwargs = {k: replaced(v, self.inputs, self.values) for k, v in self.kwargs.items()}
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                want = theirs(*args, **kwargs)
        except Exception:  # it has other parameters, or refuses
            return
        env = dict(zip(self.inputs, self.values))
        got = evaluate(self.result, env)
        wanted = list(want) if isinstance(want, (list, tuple)) else [want]
        if len(wanted) != len(got):
            return
        room = self.tolerances(self.result, got)
        for k, (a, b, tolerance) in enumerate(zip(wanted, got, room)):
            a = np.asarray(a)
            if a.dtype.kind not in "fiub" or a.dtype == np.float16:  # of bool and int8 NumPy makes halves
                continue
            assert a.shape == b.shape, f"NumPy, output {k}: shape {a.shape}, here {b.shape}"
            self.compare(f"NumPy, output {k}", a.astype(b.dtype), b, tolerance)

    def by_differences(self) -> None:
        """The slope and its slope against central differences of the order below, where two steps agree with one another."""
        if self.name in BY_CONVENTION:
            return
        if any(v.dtype == np.float32 for v in [*self.values, *self.result]) or not all(
            np.isfinite(v).all() for v in self.values if v.dtype.kind == "f"
        ):
            return
        if any(v.dtype.kind == "f" and np.unique(v).size < v.size for v in self.values):
            return  # equal elements: kinks of whatever sorts or compares, on both sides of which differences agree with one another
        wrt, slopes, curved = self.derived()
        cost = self.cost()
        if not wrt or cost is None or not np.isfinite(evaluate([cost], dict(zip(self.inputs, self.values)))[0]):
            return  # at a pole, on both sides of which there are slopes
        for order, (below, above) in enumerate([(cost, slopes), (self.along(slopes, 1), curved)], start=1):
            if not above:
                return
            found = evaluate([self.along(above, 2)], dict(zip(self.inputs, self.values)))[0]
            coarse, fine = [self.difference(below, wrt, h) for h in (STEP, STEP / 2)]
            scale = 1 + abs(float(found)) + abs(fine)
            if not np.isfinite(fine) or abs(coarse - fine) > 1e-6 * scale:
                return  # a kink, or nothing that differences can tell
            assert abs(float(found) - fine) <= 2e-5 * scale, f"order {order}: {float(found)!r}, by differences {fine!r}"

    def difference(self, node: Node, wrt: Sequence[Node], step: float) -> float:
        ends = []
        for sign in (1, -1):
            moves = dict(zip(wrt, self.directions(2)))
            env = {x: v + sign * step * moves[x] if x in moves else v for x, v in zip(self.inputs, self.values)}
            ends.append(float(evaluate([node], env)[0]))
        return (ends[0] - ends[1]) / (2 * step)


REFUSALS = (gx.GraphcError,)


def failure(name: str, seed: int) -> str | None:
    """The message of a failing call, None where all agree or the call is refused; "refused" where it is."""
    try:
        case = PublicCase(name, seed)
    except REFUSALS:
        return "refused"
    except Exception as error:
        return f"{name} seed {seed}: building raises {type(error).__name__}: {error}"
    if not case.result:
        return None
    try:
        case.check()
    except REFUSALS as error:
        if isinstance(error, (gx.CompileError,)):
            return f"{case}: {type(error).__name__}: {error}"
        return "refused"
    except Exception as error:
        return f"{case}: {type(error).__name__}: {error}"
    return None


def drawn(count: int, seed: int) -> Iterator[tuple[str, int]]:
    """Names of functions, each in turn, with seeds."""
    names = sorted(functions())
    random.Random(seed).shuffle(names)
    for k in range(count):
        yield names[k % len(names)], seed + k


def unreached(ops: Sequence[str]) -> set[str]:
    """Those of these ops that no call has in its graph, or in that of its derivatives."""
    left = set(ops)
    for derived in (False, True):  # derivatives take most of the time, and only for ops that are in none of the calls themselves
        for name in functions():
            for seed in range(6):
                if not left:
                    return left
                with contextlib.suppress(gx.GraphcError):
                    case = PublicCase(name, seed)
                    _, slopes, curved = case.derived() if derived else ([], [], [])
                    left -= {n.op.name for n in toposort([*case.result, *slopes, *curved])}
                    if name not in CALLS:
                        break
    return left
