"""What the programs of the gallery share besides their data: the command line, pictures, and the order of minibatches.

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


def minibatches(rng: np.random.Generator, n: int, size: int) -> list[np.ndarray]:
    """The indices 0..n-1 in a drawn order, in parts of `size`; the last part may be smaller."""
    return np.split(rng.permutation(n), range(size, n, size))
