"""A new op in one row: log_one_minus_exp(x) = log(1 - exp(-x)) for x > 0, accurate at both ends, fused and differentiable to any order.

    python examples/add_your_own_op.py

Near 0 the textbook formula takes the log of a difference of nearly equal numbers; for large x it loses a small number beside 1.
(graphc's own rules know that; the op stands for whatever your field needs and the table lacks.)
"""

from __future__ import annotations

import numpy as np

import graphc as gx
from graphc.ops.rows import elementwise

LOG2 = float(np.log(2.0))


# -- the op: everything that graphc needs to know of it ------------------------------------------------------------------
def reference(x):
    """What the interpreter runs, in NumPy."""
    return np.where(x < LOG2, np.log(-np.expm1(-x)), np.log1p(-np.exp(-x)))


def body(s, x):
    """One element, in the scalar language `s`: what fusion pastes into kernels and LLVM vectorises."""
    return s.select(x < LOG2, s.math("log", -s.math("expm1", -x)), s.math("log1p", -s.math("exp", -x)))


log_one_minus_exp = elementwise(
    "log_one_minus_exp", 1, "log(1 - exp(-x)) for x > 0; -inf at 0.", ref=reference, emit=body, costly=True, domain=(0.1, 4.0),
    vjp=lambda g, out, x: (g * gx.exp(-x - out),),  # 1 / (exp(x) - 1), by the result: no overflow; rules may use any op
)  # fmt: skip
# -- that is all -----------------------------------------------------------------------------------------------------------


def main() -> tuple[np.ndarray, ...]:
    """Fuse the op with its neighbours, differentiate it twice, print; return x and the three results."""
    x = gx.vector("x", 7)
    y = log_one_minus_exp(x)
    d1 = gx.grad(gx.sum(y), x)
    d2 = gx.grad(gx.sum(d1), x)
    values = np.array([1e-12, 1e-3, 0.5, LOG2, 3.0, 40.0, 700.0])
    results = gx.function([x], (y, d1, d2))(values)
    print("       x     log(1 - exp(-x))         derivative           second    textbook formula")
    with np.errstate(divide="ignore"):
        naive = np.log(1 - np.exp(-values))
    for row in zip(values, *results, naive, strict=True):
        print(f"{row[0]:8.3g}" + "".join(f"{v:20.12g}" for v in row[1:]))

    fused = gx.function([x], gx.sum(x * log_one_minus_exp(x)))
    print("\nOne kernel, the op and its neighbours together:\n" + fused.program)
    worst = gx.check_grad(y, x, {x: np.linspace(0.2, 5.0, 7)}, order=2)
    print(f"\nAgainst central differences, orders 1 and 2: relative error {worst:.0e}")
    return values, *results


if __name__ == "__main__":
    main()
