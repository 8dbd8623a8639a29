"""Products: transposes become part of the spec of a contraction, signs come out of it."""

from __future__ import annotations

from graphc.ir import Node
from graphc.ops.contract import Spec, axes_of, contract, fold_transpose, roles
from graphc.ops.registry import OPS
from graphc.ops.shape import permute
from graphc.ops.spread import broadcast
from graphc.passes.rewriting.match import params
from graphc.passes.rewriting.rule import AnyRule, Local

NEGATIVE = OPS["negative"]


def transpose_in_product(node: Node) -> Node | None:
    """contract(transpose(a), b) -> contract(a, b) and transpose(contract(a, b)) -> contract(a, b), of another spec."""
    return fold_transpose(node)


def sign_out_of_product(node: Node) -> Node | None:
    """contract(-a, b) -> -contract(a, b), and so for b; contract(-a, -b) -> contract(a, b)."""
    a, b = node.inputs
    left, right = a.op is NEGATIVE, b.op is NEGATIVE
    made = contract(a.inputs[0] if left else a, b.inputs[0] if right else b, params(node)[0])
    return made if left and right else -made


def product_without_sum(node: Node) -> Node | None:
    """contract(a, b) that sums over nothing -> broadcast(a) * broadcast(b), which fuses with what is around it."""
    (a, b), (spec,) = node.inputs, params(node)
    if roles(spec).k:
        return None
    return _placed(a, spec, 0, node) * _placed(b, spec, 1, node)


def _placed(x: Node, spec: Spec, k: int, node: Node) -> Node:
    labels = tuple([x for x in spec[2] if x in spec[k]])
    return broadcast(permute(x, axes_of(spec[k], labels)), node.shape, axes_of(spec[2], labels))


LINALG: tuple[AnyRule, ...] = (
    Local("transpose in product", "contract", transpose_in_product, inputs=("transpose",)),
    Local("transpose of product", "transpose", transpose_in_product, inputs=("contract",)),
    Local("sign out of product", "contract", sign_out_of_product, inputs=("negative",)),
)

LATE: tuple[AnyRule, ...] = (Local("product without a sum", "contract", product_without_sum),)
