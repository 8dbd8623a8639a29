"""The registry of ops; variables, constants, and `asarray`, which makes a node of anything array-like."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import dims, scalars
from graphc.dims import Dim, Size, Undecided
from graphc.dtypes import as_dtype, int64, is_integer, is_masked, refuse_complex
from graphc.errors import ArgumentError, DTypeError, fail
from graphc.frozen import Frozen
from graphc.ir import Node, Op, make
from graphc.loopform import LoopForm
from graphc.region import BOUND
from graphc.traits import Traits
from graphc.types import TensorType, as_shape, same_size, tensor_type

ArrayLike = Node | Dim | np.ndarray | np.generic | int | float | bool | Sequence[Any]

OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Enter an op into the registry; a second op of the same name is an error."""
    if op.name in OPS:
        fail(ArgumentError, f"an op named {op.name!r} exists already")
    OPS[op.name] = op
    return op


def structural(name: str, arity: int | None, doc: str, *, params: tuple[str, ...] = (), type_rule: Callable[..., Any], **rest: Any) -> Op:
    """Declare and register a structural op, see `graphc.ir.Op` for the fields."""
    return register(Op(name=name, arity=arity, params=params, doc=doc, type_rule=type_rule, **rest))


register(BOUND)


# -- variables and constants --------------------------------------------------------------------------------
_variables = itertools.count()
INPUT = structural("input", 0, "A variable: a value given at each call.", params=("name", "serial", "dtype", "shape"),
                   traits=Traits(leaf="input"),
                   type_rule=lambda name, serial, dtype, shape: tensor_type(dtype, shape))  # fmt: skip
SHARED = structural("shared", 0, "State: a value kept between calls.", params=("name", "serial", "dtype", "shape"),
                    traits=Traits(leaf="shared"),
                    type_rule=lambda name, serial, dtype, shape: tensor_type(dtype, shape))  # fmt: skip
CONSTANT = structural("constant", 0, "A fixed array.", params=("value",), ref=lambda value: value.array, traits=Traits(leaf="constant"),
                      type_rule=lambda value: tensor_type(as_dtype(value.array.dtype), value.array.shape))  # fmt: skip


def _size_type(dim: Size, dtype: np.dtype) -> TensorType:
    """A size wraps in no dtype: that it fits is assumed of what cannot be known before the call, and checked then."""
    if dtype != int64:
        info = np.iinfo(dtype)
        ends = [dims.maximum(dim, int(info.min))] + [dims.minimum(dim, int(info.max))] * (info.max < dims.MAX_INT64)
        if not all([same_size(end, dim) for end in ends]):
            fail(DTypeError, f"the size {dim} is out of range for {dtype}", hint="cast the array to a wider dtype")
    return tensor_type(dtype, ())


DIM = structural("size", 0, "The value of a symbolic size, in an integer dtype that holds it.", params=("dim", "dtype"),
                 type_rule=_size_type,
                 loop=lambda node: LoopForm(lambda read, at, r: scalars.index(node.params[0]).cast(node.dtype), view=True))  # fmt: skip


def new_serial() -> int:
    """A number that no variable has had."""
    return next(_variables)


def variable(op: Op, name: str, dtype: object, shape: object, cls: type[Node] = Node) -> Node:
    """A new variable; two calls never give the same one."""
    if not isinstance(name, str) or not name:
        fail(ArgumentError, f"the name of a variable must be a non-empty string, got {name!r}")
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    named = [dims.fresh_of(name, k) if s is None else s for k, s in enumerate(sizes)]
    return make(op, (), (name, new_serial(), as_dtype(dtype), as_shape(named)), cls)


def tensor(name: str, shape: object = (), dtype: object = "float64") -> Node:
    """A new input variable. Sizes are ints, names of symbolic sizes, `Dim`s, or None for a fresh size."""
    return variable(INPUT, name, dtype, shape)


def constant(value: Any, dtype: object = None) -> Node:
    """A constant array; the value is copied."""
    array = np.asarray(value)
    if is_masked(value):
        fail(ArgumentError, "a masked array has no symbolic form", hint="fill it with .filled(value) and keep the mask as a second array")
    refuse_complex(array.dtype, "asarray")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        kind = "an array of objects" if array.dtype == object else f"dtype {array.dtype}"
        hint = "gx.stack builds an array from a list of nodes" if array.dtype == object else "convert it to a supported dtype"
        fail(DTypeError, f"{kind} cannot be a constant", hint=hint)
    return make(CONSTANT, (), (Frozen(array.astype(as_dtype(dtype if dtype is not None else array.dtype), copy=False)),))


_SMALL: dict[tuple[type, object, np.dtype], Node] = {}


def asarray(value: ArrayLike, dtype: object = None) -> Node:
    """A node from anything array-like: nodes pass through, numbers and arrays become constants, a `Dim` its value.

    With a `dtype` the result has it, cast as by `astype` where it has another: `asarray(x, "float32")`. A number or a size that an
    integer dtype does not hold is an error, where it is known, else at the call.
    """
    if isinstance(value, Node):
        if type(value.type) is not TensorType:
            return value.tensor  # type: ignore[return-value]  # of several arrays: raises
        return value if dtype is None or value.dtype == as_dtype(dtype) else value.astype(dtype)
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(value, Dim):
        whole = wanted is not None and is_integer(wanted)
        node = make(DIM, (), (value, wanted if whole else int64))
        return node if wanted is None or whole else node.astype(wanted)
    if isinstance(value, Undecided):
        return asarray(value.of(asarray), wanted)
    if isinstance(value, (list, tuple)):
        if any(isinstance(v, (Node, Dim)) for v in flat(value)):
            fail(ArgumentError, "a list that holds nodes is not an array", hint="use gx.stack")
    elif isinstance(value, (int, float)) and wanted is not None and not isinstance(value, bool):
        return number(value, wanted)
    elif isinstance(value, complex) and not isinstance(value, np.generic):
        refuse_complex(complex, f"asarray of {value!r:.60}")
    elif not isinstance(value, (np.ndarray, np.generic, int, float, bool)) and not hasattr(value, "__array__"):
        fail(ArgumentError, f"cannot make a symbolic array of {type(value).__name__} {value!r:.60}")
    return constant(value, wanted)


def flat(value: Any) -> list[Any]:
    """The items of nested lists, to any (bounded) depth."""
    items, level = [value], 0
    while any(isinstance(v, (list, tuple)) for v in items) and level < 64:
        items = [x for v in items for x in (v if isinstance(v, (list, tuple)) else (v,))]
        level += 1
    return items


def number(value: int | float, dtype: np.dtype) -> Node:
    """A 0-d constant of a weak Python number in `dtype`, `DTypeError` where it does not fit."""
    key = (type(value), value if value else str(value), dtype)  # the text keeps -0.0 and 0.0 apart
    node = _SMALL.get(key)
    if node is None:
        if dtype.kind in "iu" and isinstance(value, float):
            fail(DTypeError, f"{value} is not a {dtype}")
        try:
            array = np.array(value, dtype)
        except OverflowError:
            fail(DTypeError, f"{value} is out of range for {dtype}", hint="cast the array to a wider dtype")
        node = make(CONSTANT, (), (Frozen(array),))
        if len(_SMALL) < 4096:
            _SMALL[key] = node
    return node


__all__ = ["asarray", "tensor"]
