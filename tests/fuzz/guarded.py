"""Arrays whose last byte, or first, lies beside a page that nobody may touch: who reads or writes beyond them ends the process.

    python -m tests.fuzz.guarded --seeds 20        random graphs and products of many shapes on such arguments; dies, or prints "fine"

Canaries find what is written beyond an array; this finds what is read.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import mmap
import sys

import numpy as np

import graphc as gx
from graphc.interp import evaluate
from tests.fuzz.compare import Case

SIZES = (
    (1, 1, 1),
    (3, 257, 2),
    (7, 9, 40),
    (16, 16, 16),
    (65, 300, 33),
    (129, 64, 100),
    (257, 1100, 1003),
)  # m, k, n; the last pays for strips
_LIBC = ctypes.CDLL(None, use_errno=True)


def beside_a_guard(array: np.ndarray, last: bool = True) -> np.ndarray:
    """A copy of the array that ends (`last`) where a forbidden page begins, or begins where one ends."""
    page = mmap.PAGESIZE
    whole = -(-array.nbytes // page) * page
    place = mmap.mmap(-1, whole + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(place))
    made = np.ndarray(array.shape, array.dtype, buffer=place, offset=page + (whole - array.nbytes if last else 0))
    made[...] = array
    for guard in (start, start + page + whole):
        if _LIBC.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    return made


def products() -> None:
    """Sizes known when compiled and when called, both layouts of both operands, a few rows and many."""
    rng = np.random.default_rng(0)
    for dtype, a_t, b_t in itertools.product(("float32", "float64"), (False, True), (False, True)):
        a, b = gx.tensor("a", ("k", "m") if a_t else ("m", "k"), dtype), gx.tensor("b", ("n", "k") if b_t else ("k", "n"), dtype)
        f = gx.function([a, b], gx.tanh((a.T if a_t else a) @ (b.T if b_t else b)))
        for m, k, n in SIZES:
            x = rng.normal(size=(k, m) if a_t else (m, k)).astype(dtype)
            y = rng.normal(size=(n, k) if b_t else (k, n)).astype(dtype)
            want = np.tanh((x.T if a_t else x) @ (y.T if b_t else y))
            for last in (False, True):
                got = f(beside_a_guard(x, last), beside_a_guard(y, last))
                np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 if dtype == "float32" else 1e-9)


def graphs(seeds: int) -> None:
    """The fuzzer's graphs, whose values `tests.fuzz.test_fuzz` compares."""
    for seed in range(7000, 7000 + seeds):
        case = Case(seed)
        try:
            outputs = case.outputs()
            evaluate(outputs, dict(zip(case.inputs, case.values, strict=True)))
        except (gx.NotDifferentiableError, gx.ShapeError):
            continue
        f = gx.function(case.inputs, outputs)
        for last in (False, True):
            f(*[beside_a_guard(v, last) for v in case.values])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guarded", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--beyond", action="store_true", help="read one byte too many, to see that it is found out")
    options = parser.parse_args()
    if options.beyond:
        array = beside_a_guard(np.zeros(3))
        ctypes.string_at(array.ctypes.data, array.nbytes + 1)
    products()
    graphs(options.seeds)
    print("fine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
