"""Peers: what each library makes of a row. A module a library, imported in that peer's own process only."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.row import Arrays, Row

# peer -> module, variant, and the package whose absence skips the peer
PEERS: dict[str, tuple[str, str, str]] = {
    "graphc": ("graphc", "", "graphc"),
    "graphc-1": ("graphc", "1", "graphc"),  # on one thread, where the others have more: our own speed-up
    "graphc-before": ("graphc", "", "graphc"),  # another checkout, with its own benchmarks: `--before DIR`
    "numpy": ("numpy", "", "numpy"),
    "scipy": ("scipy", "", "scipy"),
    "jax": ("jax", "", "jax"),
    "torch": ("torch", "", "torch"),
    "torch.compile": ("torch", "compile", "torch"),
    "pytensor": ("pytensor", "", "pytensor"),
    "casadi": ("casadi", "", "casadi"),
    "casadi-c": ("casadi", "c", "casadi"),
    "numba": ("numba", "", "numba"),
}


class Skip(Exception):
    """This peer has no such row; the message says why."""


@dataclass
class Built:
    """A row made ready: `call(*args)` is what is timed, and `arrays` turns what it returns into NumPy arrays to be checked."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    arrays: Callable[[Any], list[np.ndarray]]
    reset: Callable[[], None] | None = None
    """Back to the initial state, before each slice."""
    prepare: Callable[[int], tuple[Any, ...]] | None = None
    """The arguments of the k-th call, made outside the timed part; one call a sample."""
    out: Any = None
    """Passed as `out=`, unless it is None."""
    divisor: float = 1.0
    """What the time is divided by (nodes)."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Anything worth keeping in the JSON file: kernels, arena bytes, the split of the time."""
    late: Callable[[], dict[str, Any]] | None = None
    """Facts known only after the runs."""
    check_calls: int = 1
    """Calls before the results are compared; all of them count for a training step."""


class Peer:
    """Builds rows: the method of the name `row.want` does it, and a missing one skips the row."""

    name = ""

    def build(self, row: Row, data: Arrays) -> Built:
        """Compile the row as far as this library compiles ahead of the first call."""
        cold = "step" if row.wrt > 1 else "value_and_gradient" if row.wrt else "value"  # what is timed from declaration to first result
        method = getattr(self, cold if row.want == "cold" else row.want, None)
        if method is None:
            raise Skip(f"no {row.want} by hand" if self.name in ("numpy", "numba") else f"no {row.want} here")
        return method(row, data)


def moments(out: Any) -> list[np.ndarray]:
    """Of draws what does not depend on whose they are: for permutations of n, too, relative to their size."""
    drawn = np.asarray(out, np.float64)
    most = max(float(np.abs(drawn).max()), 1.0)
    return [np.array([drawn.mean() / most, (drawn**2).mean() / most**2]) if most > 1e4 else np.array([drawn.mean(), (drawn**2).mean()])]


class Ops:
    """What rows are written in. A peer gives the first block; the rest has the plain definition, unless the peer has its own."""

    module: Any = None
    """Where tanh, exp, log, log1p, sin, cos, sqrt, erf and relu are found, if not in this class."""
    functions: tuple[Any, ...] = ()
    """Where special functions are found by SciPy's names, `renamed` where they have others."""
    renamed: Mapping[str, str] = MappingProxyType({})
    sum: Callable[..., Any]  # (x, axis, keepdims)
    mean: Callable[..., Any]
    max: Callable[..., Any]
    pick: Callable[..., Any]  # (x, y) -> x[i, y[i]]
    scan: Callable[..., Any]  # (f, init, xs, length) -> (carry, ys), of those that have loops
    while_loop: Callable[..., Any]  # (condition, body, init)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def special(self, name: str) -> Callable[[Any], Any]:
        """The function of SciPy's name."""
        for module in self.functions:
            if found := getattr(module, self.renamed.get(name, name), None):
                return found  # type: ignore[no-any-return]
        raise Skip(f"no {name}")

    def softmax(self, x: Any) -> Any:
        e = self.exp(x - self.max(x, 1, True))
        return e / self.sum(e, 1, True)

    def logsumexp(self, x: Any) -> Any:
        m = self.max(x, 1, True)
        return self.log(self.sum(self.exp(x - m), 1, False)) + m[:, 0]

    def layer_norm(self, x: Any, gain: Any, bias: Any) -> Any:
        d = x - self.mean(x, 1, True)
        return d / self.sqrt(self.mean(d * d, 1, True) + 1e-5) * gain + bias

    def mean_and_variance(self, x: Any) -> Any:
        m = self.mean(x, 0, False)
        d = x - m
        return m, self.mean(d * d, 0, False)

    def gelu(self, x: Any) -> Any:
        return 0.5 * x * (1 + self.erf(x * 0.7071067811865476))

    def gelu_by_tanh(self, x: Any) -> Any:
        return 0.5 * x * (1 + self.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x))))

    def cross_entropy(self, logits: Any, y: Any) -> Any:
        return self.mean(self.logsumexp(logits) - self.pick(logits, y), 0, False)

    def swap(self, x: Any) -> Any:
        """The middle two of four axes, swapped."""
        return self.module.swapaxes(x, 1, 2)

    def zero(self, x: Any) -> Any:
        """0, of the dtype of x."""
        return self.sum(x[:0])

    def lstm(self, w: Any, u: Any, b: Any, x: Any) -> Any:
        """The states of all turns, which begin with zeros: x is (time, batch, width), the gates are input, forget, new, output."""
        size, zeros = u.shape[0], 0.0 * (x[0] @ w)[:, : u.shape[0]]

        def turn(state: Any, row: Any) -> Any:
            h, c = state
            gates = row @ w + h @ u + b
            i, f, g, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
            c = self.sigmoid(f) * c + self.sigmoid(i) * self.tanh(g)
            h = self.sigmoid(o) * self.tanh(c)
            return (h, c), h

        return self.scan(turn, (zeros, zeros), x)[1]

    def parts(self, x: Any) -> list[Any]:
        """The elements of a vector."""
        return [x[i] for i in range(x.shape[0])]


def load(name: str) -> Peer:
    """Import the peer's library; ImportError where it is absent."""
    module, variant, _ = PEERS[name]
    peer: Peer = importlib.import_module(f"benchmarks.peers.{module}").make(variant)
    peer.name = name
    return peer


SGD_RATE = 1e-3


def adam(p: Any, g: Any, m: Any, v: Any, t: Any, sqrt: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """p, m, v after step t of Adam: p - lr mhat / (sqrt(vhat) + eps), with the corrections taken out of the arrays."""
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * (g * g)
    return p - 1e-3 / (1 - 0.9**t) * m / (sqrt(v) * (1 / sqrt(1 - 0.999**t)) + 1e-8), m, v


def clipped_adam(p: Any, g: Any, m: Any, v: Any, t: Any, sqrt: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    """The same with g no longer than 1: times min(1, 1 / ||g||), for norms that are not 0."""
    scale = 1 / sqrt((g * g).sum())
    return adam(p, g * (scale * (scale < 1) + (scale >= 1)), m, v, t, sqrt)
