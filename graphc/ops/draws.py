"""What `grad` must know of random draws: two ops that are their first operand and say what has no derivative.

    discrete_draw(value, *parameters)     drawn from separated values: it moves in jumps, and has no derivative by the parameters
    first_derivative(x)                   a derivative that has none itself

Without them comparisons and casts would give zeros, and the second derivative of an implicit one a part of it. A compiled function
has neither of them left.
"""

from __future__ import annotations

import numpy as np

from graphc.dtypes import is_float
from graphc.errors import DTypeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import structural
from graphc.ops.shape import lift
from graphc.traits import Traits
from graphc.types import TensorType


def _type(value: TensorType, *parameters: TensorType) -> TensorType:
    if is_float(value.dtype):
        fail(DTypeError, f"discrete_draw: the value is {value}, a float", hint="draw an integer, and look the float up by it")
    return value


# the parameters have other shapes than the value, as logits of n classes have: the op only names them
DISCRETE_DRAW: Op = structural(
    "discrete_draw", None, "Operand 0, drawn from separated values as the others say.", type_rule=_type,
    ref=lambda value, *parameters: np.asarray(value), loop=lambda node: LoopForm(lambda read, at, r: read(0, at)),
    batch=lambda inputs, mapped: make(DISCRETE_DRAW, (inputs[0] if mapped[0] else lift(inputs, mapped)[0], *inputs[1:])),
    traits=Traits(jumps=True, marks=True),
)  # fmt: skip

_SECOND = "the derivative of this random draw by the parameters of its distribution is implicit, and exists up to order 1"
FIRST_DERIVATIVE: Op = structural(
    "first_derivative", 1, "x, of which no derivative is known.", type_rule=lambda x: x, ref=lambda x: x, elementwise=True,
    vjp=lambda g, out, x: (g,), loop=lambda node: LoopForm(lambda read, at, r: read(0, at)),
    traits=Traits(refuses=((0, _SECOND),), marks=True),
)  # fmt: skip


def discrete_draw(value: Node, *parameters: Node) -> Node:
    """`value`, of which nobody takes a derivative by these parameters."""
    return make(DISCRETE_DRAW, (value, *parameters))


def first_derivative(x: Node) -> Node:
    """x, of which nobody takes a derivative."""
    return make(FIRST_DERIVATIVE, (x,))
