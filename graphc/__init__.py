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
Namespaces    linalg, special, fft, random, stats, nn, optim, training, infer
Differentiate grad, value_and_grad, jvp, vjp, hvp, jacobian, hessian, stop_gradient, check_grad; vmap
Repeat        scan, map, fori_loop, while_loop, turn_index; cond, switch
Train         fit; save, load
Your own      custom_vjp, custom_jvp, checkpoint, callback
Compile       function, jit, flush_subnormals; node.eval({x: array}) evaluates without compiling
Inspect       print(node); f.graph, f.explain(), f.program, f.loops, f.llvm, f.asm, f.cost(n=64), f.memory(n=64) of a compiled f
Arrange       tree.map, tree.ravel, substitute, get_values, set_values, set_num_threads, cache, calibration

help(gx.grad), help(gx.function), help(gx.exp) and so on say what each does and raises. Every error is a gx.GraphcError.
"""
# ruff: noqa: F403, I001 - several names a line; the functions of arrays are what their modules say is public

from typing import TYPE_CHECKING

from graphc import fft, linalg, special, tree
from graphc.control.callback import callback
from graphc.control.checkpoint import checkpoint
from graphc.control.counted import fori_loop, map
from graphc.control.custom import custom_jvp, custom_vjp
from graphc.control.scan import scan
from graphc.control.switch import cond, switch
from graphc.control.tracing import turn_index
from graphc.control.while_loop import while_loop
from graphc.derivatives.along import apply_along_axis
from graphc.derivatives.batch import vmap
from graphc.derivatives.check_grad import check_grad
from graphc.user.declare import matrix, scalar, vector
from graphc.derivatives.matrices import hessian, hvp, jacobian
from graphc.dims import Dim, dim
from graphc.errors import (
    ArgumentError, CompileError, ConvergenceError, DisconnectedError, DTypeError, FileError, GraphcError, IndexOutOfRange, LinAlgError,
    NotDifferentiableError, NumericError, ShapeError, StateInUseError,
)  # fmt: skip
from graphc.derivatives.forward import jvp
from graphc.derivatives.grad import grad, value_and_grad, vjp
from graphc.ir import Node
from graphc.ops import MODULES as _MODULES
from graphc.ops.aliases import *
from graphc.ops.arithmetic import *
from graphc.ops.assuming import *
from graphc.ops.arrangement import *
from graphc.ops.at import *
from graphc.ops.choices import *
from graphc.ops.compare import *
from graphc.ops.compound import *
from graphc.ops.create import *
from graphc.ops.diagonals import *
from graphc.ops.differences import *
from graphc.ops.elementwise import *
from graphc.ops.fitting import *
from graphc.ops.grids import *
from graphc.ops.ignoring_nan import *
from graphc.ops.indexing import *
from graphc.ops.joining import *
from graphc.ops.kinds import *
from graphc.ops.ldexp import *
from graphc.ops.linalg.norms import *
from graphc.ops.linalg.structured import *
from graphc.ops.padding import *
from graphc.ops.polynomials import *
from graphc.ops.products import *
from graphc.ops.quantiles import *
from graphc.ops.reductions import *
from graphc.ops.registry import *
from graphc.ops.running import *
from graphc.ops.searching import *
from graphc.ops.segments import *
from graphc.ops.dynamic import *
from graphc.ops.einsum import *
from graphc.ops.lengths import *
from graphc.ops.positions import *
from graphc.ops.replaced import *
from graphc.ops.selecting import *
from graphc.ops.several import *
from graphc.ops.shape import *
from graphc.ops.sinc import *
from graphc.ops.slicing import *
from graphc.ops.sliding import *
from graphc.ops.sorting import *
from graphc.ops.spread import *
from graphc.ops.statistics import *
from graphc.ops.ufuncs import *
from graphc.ops.vectors import *

from graphc.user.state import Shared, get_values, like, set_values, shared
from graphc.user.function import Function, function
from graphc.show import show as _show  # noqa: F401 - binds print(node)
from graphc.pickling import FORMAT as _FORMAT  # noqa: F401 - tells pickle about nodes and sizes
from graphc.graphs import to_networkx
from graphc.substitute import substitute
from graphc.threads import get_num_threads, set_num_threads
from graphc.user.jit import flush_subnormals, jit

if TYPE_CHECKING:
    from graphc import cache, calibration, infer, nn, optim, random, stats, training
    from graphc.training.fit import fit
    from graphc.training.saving import load, save
else:  # a module with a __getattr__ would have every name for a type checker

    def __getattr__(name: str) -> object:
        """What is loaded when it is first asked for: namespaces, and the functions that come from one. An import binds its name here."""
        match name:
            case "cache":
                import graphc.cache
            case "calibration":
                import graphc.calibration
            case "infer":
                import graphc.infer
            case "nn":
                import graphc.nn
            case "optim":
                import graphc.optim
            case "random":
                import graphc.random
            case "stats":
                import graphc.stats
            case "training":
                import graphc.training  # noqa: F401
            case "fit" | "load" | "save":
                from graphc.training.fit import fit
                from graphc.training.saving import load, save

                globals().update(fit=fit, load=load, save=save)
            case _:
                raise AttributeError(f"module 'graphc' has no attribute {name!r}")
        return globals()[name]


__version__ = "0.1.0"  # here and nowhere else: pyproject.toml reads it

# fmt: off
__all__ = [
    # variables, sizes, state, trees
    "Dim", "Node", "cache", "calibration", "dim", "fft", "infer", "linalg", "matrix", "nn", "optim", "random", "scalar", "special", "stats",
    "tree", "vector", "Function", "Shared", "flush_subnormals", "function", "get_num_threads", "get_values", "jit", "like",
    "set_num_threads", "set_values", "shared", "substitute", "to_networkx",
    # derivatives and maps
    "apply_along_axis", "check_grad", "grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp", "vmap",
    # loops and branches
    "callback", "checkpoint", "cond", "custom_jvp", "custom_vjp", "fori_loop", "map", "scan", "switch", "turn_index", "while_loop",
    # training
    "fit", "load", "save", "training",
    # errors
    "ArgumentError", "CompileError", "ConvergenceError", "DTypeError", "DisconnectedError", "FileError", "GraphcError", "IndexOutOfRange",
    "LinAlgError", "NotDifferentiableError", "NumericError", "ShapeError", "StateInUseError",
    # NumPy's and other functions of arrays
    *[name for module in _MODULES for name in module.__all__],
]


def __dir__() -> list[str]:
    """The public names: the modules they come from are no part of what users see."""
    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
