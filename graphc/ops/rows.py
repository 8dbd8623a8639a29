"""`elementwise`: an op of the table in one row, as its public function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, overload
from weakref import WeakValueDictionary

import numpy as np

from graphc import scalars
from graphc.dims import Dim, Size
from graphc.dtypes import bool_, int8, int64, is_integer, promote, to_float, uint64
from graphc.errors import ArgumentError, DTypeError, ShapeError, fail
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm, Read
from graphc.ops.masked import Masked, lifted
from graphc.ops.registry import ArrayLike, asarray, register
from graphc.ops.spread import astype, stretched
from graphc.scalars import Scalar
from graphc.traits import Row, Traits
from graphc.types import TensorType, broadcast_shapes, same_size, tensor_type

PUBLIC: dict[str, Callable[..., Any]] = {}  # the public function of each row
DTYPE_RULES: dict[str, Callable[[np.dtype], tuple[np.dtype, np.dtype]]] = {
    # rule: promoted dtype of the arguments -> (dtype they are computed in, dtype of the result)
    "same": lambda d: (d, d),
    "number": lambda d: (d, d) if d != bool_ else (int8, int8),
    "float": lambda d: (to_float(d), to_float(d)),
    "compare": lambda d: (d, bool_),
    "logical": lambda d: (bool_, bool_),
}


class Unary(Protocol):
    """The public function of a row of one operand."""

    __name__: str

    def __call__(self, x: ArrayLike, /) -> Node: ...


class Binary(Protocol):
    """The public function of a row of two operands."""

    __name__: str

    def __call__(self, x: ArrayLike, y: ArrayLike, /) -> Node: ...


class Ternary(Protocol):
    """The public function of a row of three operands."""

    __name__: str

    def __call__(self, x: ArrayLike, y: ArrayLike, z: ArrayLike, /) -> Node: ...


@overload
def elementwise(name: str, arity: Literal[1], doc: str, **row: Any) -> Unary: ...
@overload
def elementwise(name: str, arity: Literal[2], doc: str, **row: Any) -> Binary: ...
@overload
def elementwise(name: str, arity: Literal[3], doc: str, **row: Any) -> Ternary: ...
@overload
def elementwise(name: str, arity: int, doc: str, **row: Any) -> Callable[..., Node]: ...
def elementwise(  # type: ignore[misc]  # the keywords of a row are said once, here
    name: str,
    arity: int,
    doc: str,
    *,
    ref: Callable[..., Any],
    vjp: Callable[..., Sequence[Node | None]] | None,
    emit: Callable[..., Scalar],
    domain: tuple[float, float] | Sequence[tuple[float, float]] = (-4.0, 4.0),
    dtype: str = "float",
    kinds: str = "fiub",
    commutative: bool = False,
    costly: bool = False,
    mixed: bool = False,
    keeps_zeros: bool = False,
    masks: Callable[..., Sequence[Node | None]] | None = None,
    instruction: bool = False,
    together: str | None = None,
) -> Callable[..., Node]:
    """Declare an elementwise op in one row; returns its public function, which casts, broadcasts and builds the node.

    ref(*arrays) is the NumPy meaning; vjp(g, out, *inputs) the cotangents, in public ops (None: not differentiable);
    emit(s, *scalars) one element, `s` being the scalar language; domain the (lo, hi) in which tests sample each
    input; dtype a name of `DTYPE_RULES`; kinds the NumPy kinds the promoted dtype may have; for the others see `Traits`.
    """

    def type_rule(*inputs: TensorType) -> TensorType:
        first = inputs[0]
        shape = first.shape
        for other in inputs[1:]:
            if other is first:
                continue
            if other.dtype != first.dtype and not mixed:
                fail(DTypeError, f"{name}: dtypes {first.dtype} and {other.dtype} differ")
            if other.shape is not shape and not (len(other.shape) == len(shape) and all(map(same_size, shape, other.shape))):
                fail(ShapeError, f"{name}: shapes {first} and {other} differ")
        made = DTYPE_RULES[dtype](first.dtype)[1]
        return first if made is first.dtype else tensor_type(made, shape)

    def body(read: Read, at: tuple[Size, ...], _: tuple[Size, ...]) -> Scalar:
        return emit(scalars, *[read(k, at) for k in range(arity)])

    form = LoopForm(body)
    op = register(
        Op(name=name, arity=arity, params=(), doc=doc, type_rule=type_rule, ref=ref, vjp=vjp, loop=lambda node: form, elementwise=True,
           commutative=commutative, costly=costly, row=Row(emit, domain, dtype, kinds, mixed),
           traits=Traits(keeps_zeros=keeps_zeros, masks=masks, instruction=instruction, together=together))
    )  # fmt: skip

    PUBLIC[name] = _public(op, arity, doc, emit)
    return PUBLIC[name]


def _public(op: Op, arity: int, doc: str, emit: Callable[..., Scalar]) -> Callable[..., Node]:
    """The function that users call, with the names of the operands that the row has."""
    name = op.name

    def public(*args: ArrayLike) -> Node:
        if len(args) != arity:
            fail(ArgumentError, f"{name} takes {arity} argument{'s' * (arity != 1)}, got {len(args)}")
        return apply(op, args)

    public.__name__ = public.__qualname__ = name
    operands = _operands(emit, arity)
    public.__signature__ = inspect.Signature(operands, return_annotation=Node)  # type: ignore[attr-defined]
    called = f"{name}({', '.join(p.name for p in operands)})"
    public.__doc__ = f"{called}: {doc}\n\nElementwise, NumPy's broadcasting and promotion. Raises ShapeError, DTypeError."
    return public


def _operands(emit: Callable[..., Scalar], arity: int) -> list[inspect.Parameter]:
    """The operands of a row by the names that its `emit` has for them, after the scalar language."""
    code = emit.__code__
    names = code.co_varnames[1 : min(code.co_argcount, arity + 1)]
    return [_operand(n) for n in (names if len(names) == arity else ["x", "y", "z", *[f"x{k}" for k in range(3, arity)]][:arity])]


@functools.cache
def _operand(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY, annotation=ArrayLike)


def apply(op: Op, args: Sequence[ArrayLike]) -> Node:
    """An elementwise op on anything array-like: promote, cast, broadcast, build."""
    first, last = args[0], args[-1]
    row = op.row
    assert row is not None
    if (
        isinstance(first, Node)
        and (last is first or (isinstance(last, Node) and last.type is first.type))
        and (len(args) < 3 or all([isinstance(a, Node) and a.type is first.type for a in args]))
    ):
        dtype = first.dtype
        compute, _ = DTYPE_RULES[row.dtype](dtype)
        if compute is dtype or compute == dtype:
            if compute.kind not in row.kinds:
                _wrong_kind(op, args)
            return make(op, tuple(args))  # type: ignore[arg-type]
    if len(args) == 2 and (made := _with_number(op, args[0], args[1])) is not None:
        return made
    if any([isinstance(a, Masked) for a in args]):
        return lifted(functools.partial(_applied, op), args)  # type: ignore[return-value]
    common = promote(*[weak_dtype(a, op.name) for a in args])
    if row.dtype == "compare" and is_integer(common) and common != uint64 and any([isinstance(a, Dim) for a in args]):
        common = int64  # a size need not fit in what it is compared with
    compute, _ = DTYPE_RULES[row.dtype](common)
    if compute.kind not in row.kinds:
        _wrong_kind(op, args)
    nodes = [asarray(a, compute if _is_weak(a) else None) for a in args]
    return make(op, tuple(fit(nodes, compute, op.name)))


def _applied(op: Op, *args: ArrayLike) -> Node:
    return apply(op, args)


def _with_number(op: Op, a: ArrayLike, b: ArrayLike) -> Node | None:
    """x op number, where neither the number nor the op changes the dtype of x: the common case, at half the price; None for any other."""
    like, number = (a, b) if isinstance(a, Node) else (b, a)
    if not isinstance(like, Node) or (type(number) is not float and type(number) is not int):
        return None
    assert op.row is not None
    compute, _ = DTYPE_RULES[op.row.dtype](promote(like.dtype, number))
    if compute != like.dtype or compute.kind not in op.row.kinds:
        return None
    key = (number or str(number), type(number), like.type)  # the text keeps -0.0 and 0.0 apart
    splat = _SPLATS.get(key)
    if splat is None:
        splat = _SPLATS[key] = stretched(asarray(number, compute), like.shape, op.name)
    return make(op, (like, splat) if like is a else (splat, like))


_SPLATS: WeakValueDictionary[tuple[object, ...], Node] = WeakValueDictionary()


def fit(nodes: Sequence[Node], dtype: np.dtype | None, what: str) -> list[Node]:
    """The nodes cast to `dtype` and broadcast against each other."""
    shape = broadcast_shapes([n.shape for n in nodes], what, nodes)
    return [stretched(n if dtype is None else astype(n, dtype), shape, what) for n in nodes]


def _wrong_kind(op: Op, args: Sequence[ArrayLike]) -> None:
    fail(DTypeError, f"{op.name}: not defined for these dtypes", *[asarray(a) for a in args], hint="cast with .astype")


def _is_weak(value: object) -> bool:
    return isinstance(value, (int, float, Dim)) and not isinstance(value, (bool, np.generic))


def weak_dtype(value: ArrayLike, what: str = "asarray") -> np.dtype | int | float:
    """What promotion sees: a dtype, or a Python number standing for its weak kind."""
    if isinstance(value, Node):
        return value.dtype
    if isinstance(value, Dim):
        return 0
    if isinstance(value, bool):
        return bool_
    if isinstance(value, (int, float)) and not isinstance(value, np.generic):
        return value
    return asarray(value).dtype
