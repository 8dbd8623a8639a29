"""graphc: a compiler of symbolic tensor expressions, with derivatives of any order.

    import numpy as np, graphc as gx

    x = gx.tensor("x", ("n", 2))                   # n: a size that only a call will know
    y = gx.vector("y", "n")
    w = gx.shared(np.zeros(2), "w")                # state: an array, or a tree of arrays
    loss = gx.mean((x @ w - y) ** 2)               # an expression; print(loss) shows it
    step = gx.function([x, y], loss, updates={w: w - 0.1 * gx.grad(loss, w)})
    step(np.ones((5, 2)), np.ones(5))              # one native call

Declare       tensor, scalar, vector, matrix, like, shared, dim
Write         NumPy's names and operators: exp, sum, where, x @ y, x[1:, ::2], x.at[i].add(v), ...; np.exp(x) works as well
Differentiate grad, value_and_grad, jvp, vjp, hvp, jacobian, hessian, stop_gradient, check_grad; vmap
Repeat        scan, map, fori_loop, while_loop, turn_index; cond, switch
Your own      custom_vjp, custom_jvp, checkpoint, callback
Compile       function, jit; node.eval({x: array}) evaluates without compiling
Inspect       print(node); f.graph, f.explain(), f.program, f.loops, f.llvm, f.asm, f.cost(n=64), f.memory(n=64) of a compiled f
Arrange       tree.map, tree.ravel, substitute, get_values, set_values, set_num_threads, cache

help(gx.grad), help(gx.function), help(gx.exp) and so on say what each does and raises. Every error is a gx.GraphcError.
"""
# ruff: noqa: I001 - several names a line

from graphc import cache, tree
from graphc.control.callback import callback
from graphc.control.checkpoint import checkpoint
from graphc.control.counted import fori_loop, map
from graphc.control.custom import custom_jvp, custom_vjp
from graphc.control.scan import scan
from graphc.control.switch import cond, switch
from graphc.control.tracing import turn_index
from graphc.control.while_loop import while_loop
from graphc.derivatives.batch import vmap
from graphc.derivatives.check_grad import check_grad
from graphc.user.declare import matrix, scalar, vector
from graphc.derivatives.matrices import hessian, hvp, jacobian
from graphc.dims import Dim, dim
from graphc.errors import (
    ArgumentError, CompileError, ConvergenceError, DisconnectedError, DTypeError, GraphcError, IndexOutOfRange, LinAlgError,
    NotDifferentiableError, NumericError, ShapeError, StateInUseError,
)  # fmt: skip
from graphc.derivatives.forward import jvp
from graphc.derivatives.grad import grad, value_and_grad, vjp
from graphc.ir import Node
from graphc.ops.arithmetic import (
    abs, add, ceil, clip, divide, floor, floor_divide, maximum, minimum, mod, multiply, negative, reciprocal, relu, round, rsqrt, sign,
    sqrt, square, subtract, trunc,
)  # fmt: skip
from graphc.ops.at import at
from graphc.ops.compare import (
    bitwise_and, bitwise_or, bitwise_xor, equal, greater, greater_equal, invert, isfinite, isinf, isnan, left_shift, less, less_equal,
    logical_and, logical_not, logical_or, logical_xor, not_equal, right_shift, stop_gradient, where,
)  # fmt: skip
from graphc.ops.create import (
    arange, eye, full, full_like, identity, linspace, meshgrid, one_hot, ones, ones_like, tri, tril, triu, zeros, zeros_like,
)  # fmt: skip
from graphc.ops.diagonals import diag, diagonal, trace
from graphc.ops.elementwise import (
    arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cos, cosh, erf, erfc, exp, exp2, expm1, log, log1p, log2, log10,
    log_sigmoid, logaddexp, power, sigmoid, sin, sinh, softplus, tan, tanh, xlogy,
)  # fmt: skip
from graphc.ops.indexing import take, take_along_axis
from graphc.ops.joining import array_split, column_stack, concatenate, hstack, repeat, roll, split, stack, tile, vstack
from graphc.ops.products import dot, einsum, inner, matmul, outer, tensordot, vdot
from graphc.ops.reductions import (
    all, amax, amin, any, argmax, argmin, count_nonzero, cumprod, cumsum, log_softmax, logsumexp, max, mean, min, norm, prod, softmax,
    std, sum, var,
)  # fmt: skip
from graphc.ops.registry import asarray, tensor
from graphc.ops.several import divmod, frexp, max_with_index, min_with_index, modf
from graphc.ops.shape import broadcast_arrays, expand_dims, flatten, moveaxis, ravel, reshape, squeeze, swapaxes, transpose
from graphc.ops.slicing import flip, pad
from graphc.ops.spread import astype, broadcast_to

from graphc.user.state import Shared, get_values, like, set_values, shared
from graphc.user.function import Function, function
from graphc.show import show as _show  # noqa: F401 - binds print(node)
from graphc.pickling import FORMAT as _FORMAT  # noqa: F401 - tells pickle about nodes and sizes
from graphc.graphs import to_networkx
from graphc.substitute import substitute
from graphc.threads import get_num_threads, set_num_threads
from graphc.user.jit import jit

__version__ = "0.1.0"  # here and nowhere else: pyproject.toml reads it

# fmt: off
__all__ = [
    # variables, sizes, state, trees
    "Dim", "Node", "asarray", "cache", "dim", "matrix", "scalar", "tensor", "tree", "vector",
    "Function", "Shared", "function", "get_num_threads", "get_values", "jit", "like", "set_num_threads", "set_values", "shared",
    "substitute", "to_networkx",
    # derivatives and maps
    "check_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "stop_gradient", "value_and_grad", "vjp", "vmap",
    # loops and branches
    "callback", "checkpoint", "cond", "custom_jvp", "custom_vjp", "fori_loop", "map", "scan", "switch", "turn_index", "while_loop",
    # elementwise
    "abs", "add", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "astype", "bitwise_and", "bitwise_or",
    "bitwise_xor", "ceil", "clip", "cos", "cosh", "divide", "divmod", "equal", "erf", "erfc", "exp", "exp2", "expm1", "floor",
    "floor_divide", "frexp", "greater", "greater_equal", "invert", "isfinite", "isinf", "isnan", "left_shift", "less", "less_equal",
    "log", "log10", "log1p", "log2", "log_sigmoid", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum",
    "minimum", "mod", "modf", "multiply", "negative", "not_equal", "power", "reciprocal", "relu", "right_shift", "round", "rsqrt",
    "sigmoid", "sign", "sin", "sinh", "softplus", "sqrt", "square", "subtract", "tan", "tanh", "trunc", "where", "xlogy",
    # reductions and products
    "all", "amax", "amin", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "log_softmax", "logsumexp", "max",
    "max_with_index", "mean", "min", "min_with_index", "norm", "prod", "softmax", "std", "sum", "var",
    "dot", "einsum", "inner", "matmul", "outer", "tensordot", "vdot",
    # shapes
    "array_split", "broadcast_arrays", "broadcast_to", "column_stack", "concatenate", "expand_dims", "flatten", "flip", "hstack",
    "moveaxis", "pad", "ravel", "repeat", "reshape", "roll", "split", "squeeze", "stack", "swapaxes", "tile", "transpose", "vstack",
    # indexing
    "at", "diag", "diagonal", "take", "take_along_axis", "trace", "tril", "triu",
    # new arrays
    "arange", "eye", "full", "full_like", "identity", "linspace", "meshgrid", "one_hot", "ones", "ones_like", "tri", "zeros", "zeros_like",
    # errors
    "ArgumentError", "CompileError", "ConvergenceError", "DTypeError", "DisconnectedError", "GraphcError", "IndexOutOfRange", "LinAlgError",
    "NotDifferentiableError", "NumericError", "ShapeError", "StateInUseError",
]


def __dir__() -> list[str]:
    """The public names: the modules they come from are no part of what users see."""
    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
