"""What the programs of the gallery share besides their data: the command line, pictures, descent, and minibatches.

A program is a file with `main(short, plot)`. It prints what it finds, asserts what the textbook claims, and returns its figures:

    python examples/gallery/gates.py                   # the whole run
    python examples/gallery/gates.py --short           # what the tests run
    python examples/gallery/warp.py --plot warp.png    # with a picture; needs matplotlib: pip install "graphc[examples]"
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import graphc as gx


def run(main: Callable[..., dict[str, float]]) -> None:
    """Call `main` as the command line says: --short, and --plot FILE for a program that draws."""
    parser = argparse.ArgumentParser(description=inspect.getmodule(main).__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a run of at most two seconds, as the tests make it")
    if "plot" in inspect.signature(main).parameters:
        parser.add_argument("--plot", metavar="FILE", help="write a picture")
    main(**vars(parser.parse_args()))


@contextmanager
def picture(file: str, rows: int = 1, columns: int = 1, size: float = 4.0) -> Iterator[Any]:
    """matplotlib's axes, one or an array of them; the picture is written at the end."""
    try:
        from matplotlib.figure import Figure  # an extra: only a picture that was asked for needs it
    except ImportError:
        raise SystemExit('pictures need matplotlib: pip install "graphc[examples]"') from None
    figure = Figure(figsize=(size * columns, size * rows), layout="constrained")
    yield figure.subplots(rows, columns)
    figure.savefig(file)
    print(f"wrote {file}")


def minimise(cost: Callable[[Any], gx.Node], initial: Any, steps: int, rate: float) -> Any:
    """The parameters, a tree of arrays, after so many steps of Adam down `cost(parameters)`: one native call, gradients and all."""
    opt = gx.optim.adam(rate)

    def step(k: gx.Node, state: Any) -> Any:
        p, slots = state
        return opt.update(gx.grad(cost(p), p), slots, p)

    p = gx.like(initial)
    return gx.function([p], gx.fori_loop(0, steps, step, (p, opt.init(p)))[0])(initial)


def minibatches(rng: np.random.Generator, n: int, size: int) -> list[np.ndarray]:
    """The indices 0..n-1 in a drawn order, in parts of `size`; the last part may be smaller."""
    return np.split(rng.permutation(n), range(size, n, size))


def epochs(step: Callable[..., Any], arrays: tuple[np.ndarray, ...], count: int, size: int = 64, seed: int = 1) -> list[float]:
    """Call `step` with minibatches of the arrays, in a new order every epoch; the mean of what it returned, per epoch."""
    rng = np.random.default_rng(seed)
    return [float(np.mean([step(*(a[part] for a in arrays)) for part in minibatches(rng, len(arrays[0]), size)])) for _ in range(count)]


def dense(rng: np.random.Generator, n: int, m: int, dtype: str = "float32", gain: float = 1.0) -> dict[str, np.ndarray]:
    """A layer of m units over n inputs: normal weights of variance gain^2 2 / (n + m), Glorot's rule, and biases 0."""
    return {"W": (rng.normal(size=(n, m)) * gain * np.sqrt(2 / (n + m))).astype(dtype), "b": np.zeros(m, dtype)}


def classifier(network: Callable[..., gx.Node], initial: Any, opt: gx.optim.Optimizer) -> tuple[Any, gx.Function]:
    """State of `network(params, x) -> scores` on pictures x (n, 64), and its training step (images, labels) -> loss."""
    p = gx.shared(initial)
    x, y = gx.tensor("x", ("n", 64), "float32"), gx.tensor("y", ("n",), "int64")
    loss = gx.nn.cross_entropy(network(p, x), y)
    return p, gx.function([x, y], loss, updates=opt.updates(loss, p))


def accuracy(network: Callable[..., gx.Node], p: Any, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of pictures whose label has the highest score."""
    x = gx.tensor("x", ("n", 64), "float32")
    return float(np.mean(gx.function([x], gx.argmax(network(p, x), axis=1))(images) == labels))
