"""What the tests of this folder share: running a graph on both back ends, counting what was compiled, differences, hand-written nets."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx
from graphc import tree
from graphc.ir import Graph, Node, toposort
from graphc.passes.pipeline import Log, optimise

DATA = Path(__file__).parents[2] / "examples" / "data" / "digits.npz"
PER_LOG2 = "71547652B82FE"  # the digits of 1 / log(2), which each exponential of the emitted code multiplies with or a multiple


# -- running ---------------------------------------------------------------------------------------
def run(outputs: Any, env: Mapping[Node, Any], mode: str | None = None) -> Any:
    """The values of a tree of outputs, compiled and called once."""
    return gx.function(list(env), outputs, mode=mode)(*env.values())


def both(outputs: Any, env: Mapping[Node, Any], rtol: float = 1e-12) -> Any:
    """As `run`, after a check that the interpreter agrees."""
    native, slow = run(outputs, env), run(outputs, env, "interpret")
    for a, b in zip(tree.leaves(native), tree.leaves(slow), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * (1e-300 + float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))))
    return native


def close(got: Any, expected: Any, rtol: float = 1e-12, atol: float = 0.0) -> None:
    """Trees of arrays that agree."""
    a, b = tree.leaves(got), tree.leaves(expected)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert np.shape(x) == np.shape(y), (np.shape(x), np.shape(y))
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def difference(f: Callable[[np.ndarray], Any], x: Any, step: float = 1e-6) -> np.ndarray:
    """Central differences of a function of one array, shape f(x).shape + x.shape."""
    x = np.asarray(x, float)
    columns = []
    for k in range(x.size):
        e = np.zeros(x.size)
        e[k] = step
        e = e.reshape(x.shape)
        columns.append((np.asarray(f(x + e)) - np.asarray(f(x - e))) / (2 * step))
    return np.stack(columns, -1).reshape(*np.shape(columns[0]), *x.shape)


# -- counting --------------------------------------------------------------------------------------
def nodes(*outputs: Any) -> int:
    """How many nodes the outputs need."""
    return len(toposort(tree.leaves(list(outputs))))


def arcs(*outputs: Any) -> int:
    """How many arcs there are among these nodes."""
    return sum(len(n.inputs) for n in toposort(tree.leaves(list(outputs))))


def optimised(inputs: Sequence[Node], outputs: Any, mode: str = "default") -> Graph:
    """The graph as the compiler's passes leave it, without code generation."""
    return optimise(Graph(tuple(inputs), tuple(tree.leaves(outputs))), mode, Log())


def ops(graph: Graph | Node | Sequence[Node]) -> Counter[str]:
    """How often each op occurs; reductions and the like with how they combine: `reduce sum`."""
    roots = graph.outputs if isinstance(graph, Graph) else [graph] if isinstance(graph, Node) else graph
    return Counter(n.op.name + (f" {n.attrs['combine']}" if "combine" in n.attrs else "") for n in toposort(roots))


def ops_of(f: gx.Function) -> Counter[str]:
    """The ops of a compiled function's graph, as its text shows them."""
    return Counter(re.findall(r"^%\d+ = (\w+)\(", f.graph, re.MULTILINE))


def exponentials(f: gx.Function) -> float:
    """How many exponentials the code holds, counted in those of a function that is one f64 exponential of a vector of n."""
    x = gx.tensor("x", ("n",))
    return f.llvm.count(PER_LOG2) / gx.function([x], gx.exp(x)).llvm.count(PER_LOG2)


def bytes_of(arrays: Any) -> int:
    return sum(np.asarray(a).nbytes for a in tree.leaves(arrays))


# -- nets ------------------------------------------------------------------------------------------
Layers = list[tuple[Any, Any]]


def weights(sizes: Sequence[int], seed: int = 0, dtype: str = "float64") -> Layers:
    """(W, b) per layer, W of shape (inputs, outputs), scaled so that signals keep their size."""
    rng = np.random.default_rng(seed)
    return [
        ((rng.standard_normal((n, m)) / np.sqrt(n)).astype(dtype), (rng.standard_normal(m) / 4).astype(dtype))
        for n, m in itertools.pairwise(sizes)
    ]


def net(layers: Layers, x: Any, f: Callable[[Any], Any] = gx.tanh) -> Any:
    """f(x W + b) layer by layer, the last one without f."""
    for W, b in layers[:-1]:
        x = f(x @ W + b)
    W, b = layers[-1]
    return x @ W + b


def cross_entropy(logits: Node, labels: Node) -> Node:
    """Written as a user would: -mean log softmax[label]."""
    return -gx.mean(gx.take_along_axis(gx.log(gx.softmax(logits)), labels[:, None], axis=1))
