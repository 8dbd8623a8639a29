"""Products: transposes become part of the spec of a contraction, signs come out of it; inverses are solved with, not made."""

from __future__ import annotations

from graphc.ir import Node, make
from graphc.ops.assuming import is_assumed, is_positive
from graphc.ops.compare import stop_gradient
from graphc.ops.contract import Spec, axes_of, contract, fold_transpose, roles
from graphc.ops.create import ones
from graphc.ops.diagonals import diagonal
from graphc.ops.linalg.common import transposed
from graphc.ops.linalg.determinants import DIAGONAL_PRODUCT, LOG_DET
from graphc.ops.linalg.lu import INVERSE, LU, lu_solve
from graphc.ops.outputs import GET
from graphc.ops.registry import CONSTANT, OPS
from graphc.ops.shape import permute
from graphc.ops.spread import broadcast, reduce
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


# -- inverses and determinants ----------------------------------------------------------------------------------------------------
def inverse_in_product(node: Node) -> Node | None:
    """inv(a) @ b -> solve(a, b), b @ inv(a) -> solve(a', b')', of matrices or vectors b over one batch."""
    (left, right), (spec,) = node.inputs, params(node)
    for k, (x, other) in enumerate(((left, right), (right, left))):
        if not _is_inverse(x):
            continue
        labels, others, out = spec[k], spec[1 - k], spec[2]
        batch, (i, j) = labels[:-2], labels[-2:]
        own, made = others[len(batch) :], out[len(batch) :]
        summed, kept = (j, i) if j in own else (i, j)
        columns = [c for c in own if c != summed]
        if others[: len(batch)] != batch or out[: len(batch)] != batch or summed not in own or kept in own:
            continue
        if len(columns) > 1 or {*made} != {kept, *columns} or len(made) != 1 + len(columns):
            continue
        a, packed, perm = x.inputs[0].inputs
        trans, on_error = params(x.inputs[0])
        b = other if columns else other[..., None]
        found = lu_solve(a, packed, perm, transposed(b) if columns and own[0] != summed else b, trans != (summed == i), on_error)
        return (found if made[0] == kept else transposed(found)) if columns else found[..., 0]
    return None


def _is_inverse(node: Node) -> bool:
    return node.op is GET and node.inputs[0].op is INVERSE and params(node)[0] == 0


def log_of_determinant(node: Node) -> Node | None:
    """log(sign * product of pivots) -> log |det| + log(sign of the determinant), which neither overflows nor underflows."""
    for sign, pivots in (node.inputs[0].inputs, node.inputs[0].inputs[::-1]):
        if pivots.op is DIAGONAL_PRODUCT and sign.op is GET and sign.inputs[0].op is LU and sign.inputs[0] is pivots.inputs[1].inputs[0]:
            each = OPS["sign"](diagonal(pivots.inputs[1], axis1=-2, axis2=-1))
            whole = sign * reduce(each, (each.ndim - 1,), "prod")
            return make(LOG_DET, pivots.inputs) + OPS["log"](stop_gradient(whole))
    return None


# -- what is assumed ------------------------------------------------------------------------------------------------------------------
def of_positive(node: Node) -> Node | None:
    """abs(x) -> x, sign(x) -> 1, for x assumed to be positive."""
    (x,) = node.inputs
    if node.op is OPS["abs"]:
        return x if is_positive(x) else None
    return ones(x.shape, x.dtype) if is_assumed(x, "positive") else None  # a product of positive values may underflow


def leaf_of(x: Node) -> Node:
    """What is repeated."""
    return x.inputs[0] if x.op is OPS["broadcast"] else x


def log_of_positive(node: Node) -> Node | None:
    """log(x**c) -> c log(x), log(x y) -> log(x) + log(y), log(x / y) -> log(x) - log(y), for what is assumed to be positive."""
    inside = node.inputs[0]
    first, second = inside.inputs if len(inside.inputs) == 2 else (inside.inputs[0], None)
    log = OPS["log"]
    if not is_positive(first):
        return None
    if inside.op is OPS["square"]:
        return 2 * log(first)
    if inside.op is OPS["sqrt"]:
        return 0.5 * log(first)
    if second is None:
        return None
    if inside.op is OPS["power"]:
        return second * log(first)
    if not is_positive(second) or any(leaf_of(x).op is CONSTANT for x in (first, second)):  # of 2 x near 1 nothing would be left
        return None
    return log(first) + log(second) if inside.op is OPS["multiply"] else log(first) - log(second) if inside.op is OPS["divide"] else None


LINALG: tuple[AnyRule, ...] = (
    Local("inverse in product", "contract", inverse_in_product, inputs=("get",), floats="stable"),
    Local("log of determinant", "log", log_of_determinant, inputs=("multiply",), floats="stable"),
    Local("transpose in product", "contract", transpose_in_product, inputs=("transpose",)),
    Local("transpose of product", "transpose", transpose_in_product, inputs=("contract",)),
    Local("sign out of product", "contract", sign_out_of_product, inputs=("negative",)),
)

ASSUMED: tuple[AnyRule, ...] = (
    Local("abs of positive", "abs", of_positive, inputs=("assume", "multiply", "divide", "add", "power")),
    Local("sign of positive", "sign", of_positive, inputs=("assume",)),
    Local("log of positive", "log", log_of_positive, inputs=("power", "square", "sqrt", "multiply", "divide"), floats="stable"),
)

LATE: tuple[AnyRule, ...] = (Local("product without a sum", "contract", product_without_sum),)
