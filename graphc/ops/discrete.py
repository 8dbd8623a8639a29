"""`discrete_draw`: a value that was drawn at random from separated values, with the parameters of its distribution.

The value moves in jumps, so it has no derivative by the parameters though it depends on them. The op says so to `grad`: a
derivative that would have to pass raises, where comparisons and casts alone would give zeros. Compiled, it is its first operand.
"""

from __future__ import annotations

import numpy as np

from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.ops.registry import structural
from graphc.ops.shape import lift
from graphc.traits import Traits

# the parameters have other shapes than the value, as logits of n classes have: the op only names them
DISCRETE_DRAW: Op = structural(
    "discrete_draw", None, "Operand 0, drawn from separated values as the others say.", type_rule=lambda value, *parameters: value,
    ref=lambda value, *parameters: np.asarray(value), loop=lambda node: LoopForm(lambda read, at, r: read(0, at)),
    batch=lambda inputs, mapped: make(DISCRETE_DRAW, (inputs[0] if mapped[0] else lift([inputs[0], *inputs[1:]], mapped)[0], *inputs[1:])),
    traits=Traits(jumps=True),
)  # fmt: skip


def discrete_draw(value: Node, *parameters: Node) -> Node:
    """`value`, of which nobody takes a derivative by these parameters."""
    return make(DISCRETE_DRAW, (value, *parameters))
