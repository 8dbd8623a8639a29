"""Functions of one operand with a static order: `jn(3, x)`. The order is a parameter of the op, not a row's operand.

Their code is the function `name_n` of `graphc.codegen.mathlib`; the derivative is mostly a matter of the neighbouring orders.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc import scalars
from graphc.dtypes import is_float, to_float
from graphc.errors import ArgumentError, DTypeError, NotDifferentiableError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import ArrayLike, asarray, register
from graphc.ops.spread import astype
from graphc.types import TensorType

Ordered = Callable[[int, ArrayLike], Node]


def ordered(name: str, doc: str, *, ref: Callable[..., Any], vjp: Callable[[Node, Node, Node, int], Node], costly: bool = True) -> Ordered:
    """Declare an op with an order: ref(n) the function of arrays that NumPy's meaning is, vjp(g, out, x, n) the cotangent."""

    def type_rule(x: TensorType, n: int) -> TensorType:
        if not is_float(x.dtype):
            fail(DTypeError, f"{name}: {x.dtype} is not float")
        return x

    meaning = functools.cache(ref)  # its functions keep numbers
    op = register(
        Op(name=name, arity=1, params=("n",), doc=doc, type_rule=type_rule, ref=lambda x, n: meaning(n)(x), elementwise=True, costly=costly,
           vjp=lambda g, out, x, n: (vjp(g, out, x, n),),
           loop=lambda node: LoopForm(lambda read, at, r: scalars.math(f"{name}_{node.params[0]}", read(0, at))))
    )  # fmt: skip

    def of(n: int, x: ArrayLike) -> Node:
        return make(op, (of_float(x),), (n,))

    return of


def of_float(x: ArrayLike) -> Node:
    """x as a node of the float dtype that functions of it have."""
    node = asarray(x)
    return astype(node, to_float(node.dtype))


def whole(n: object, what: str, low: int, high: int) -> int:
    """An order: a Python or NumPy integer from low to high, else ArgumentError."""
    if isinstance(n, float) and n.is_integer():
        n = int(n)
    try:
        order = operator.index(n)  # type: ignore[arg-type]
    except TypeError:
        fail(ArgumentError, f"{what}: the order must be a whole number known when the graph is built, got {n!r:.60}")
    if isinstance(n, (bool, np.bool_)) or not low <= order <= high:
        fail(ArgumentError, f"{what}: the order must lie in {low}..{high}, got {n}")
    return order


def no_further(name: str, x: Node, n: int) -> None:
    """NotDifferentiableError: there is no code for the order n of this function."""
    fail(NotDifferentiableError, f"{name}: derivatives exist up to order {n - 1} of the function that it serves", x)
