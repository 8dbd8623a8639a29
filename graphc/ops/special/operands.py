"""Functions of several operands that refuse some derivatives: ops of elements, but no rows, of which each has all derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphc import scalars
from graphc.dtypes import is_float, promote, to_float
from graphc.errors import DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm, Read
from graphc.ops.masked import Masked, lifted
from graphc.ops.registry import ArrayLike, asarray, register
from graphc.ops.rows import fit, weak_dtype
from graphc.ops.special.reference import each
from graphc.scalars import Scalar
from graphc.traits import Traits
from graphc.types import TensorType, same_size

Several = Callable[..., Node]


def several(
    name: str, arity: int, doc: str, *, ref: Callable[..., float], vjp: Callable[..., Sequence[Node | None]], refuses: Sequence[str] = ()
) -> Several:
    """Declare an op of the function `name` of `graphc.codegen.mathlib`; ref: what it means, of numbers.

    refuses: of the first operands one after the other, what is said where a derivative by it is asked for; "" where there is one.
    """

    def type_rule(*inputs: TensorType) -> TensorType:
        first = inputs[0]
        for t in inputs:
            if t.dtype != first.dtype or not is_float(t.dtype):
                fail(DTypeError, f"{name}: the dtypes are {', '.join(str(t.dtype) for t in inputs)}, not one float dtype")
            if len(t.shape) != len(first.shape) or not all(map(same_size, t.shape, first.shape)):
                fail(ShapeError, f"{name}: shapes {first} and {t} differ")
        return first

    def body(read: Read, at: tuple[Any, ...], _: tuple[Any, ...]) -> Scalar:
        return scalars.math(name, *[read(k, at) for k in range(arity)])

    form = LoopForm(body)
    op = register(
        Op(name=name, arity=arity, params=(), doc=doc, type_rule=type_rule, ref=each(ref), vjp=vjp, loop=lambda node: form,
           elementwise=True, costly=True, traits=Traits(refuses=tuple((k, what) for k, what in enumerate(refuses) if what)))
    )  # fmt: skip

    def of(*operands: ArrayLike) -> Node:
        if any([isinstance(x, Masked) for x in operands]):
            return lifted(of, operands)  # type: ignore[return-value]
        return make(op, tuple(floats(name, *operands)))

    return of


def floats(what: str, *values: ArrayLike) -> list[Node]:
    """The operands as floats of one type and shape; Python numbers take the type of the others."""
    dtype = to_float(promote(*[weak_dtype(v, what) for v in values]))
    nodes = [asarray(v, dtype if isinstance(v, (int, float)) and not isinstance(v, bool) else None) for v in values]
    return fit(nodes, dtype, what)
