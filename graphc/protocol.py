"""What NumPy's and SciPy's functions do with nodes: `np.f(node)` is our f, found in a table; what is not there is refused by its full name.

np.tanh(x), np.sum(x, axis=0), np.add.reduce(x), scipy.special.erfcx(x)   build nodes
np.union1d(x, y)                                                           ArgumentError, with what to use instead
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, fail
from graphc.refused import REFUSED, hint_for

NUMPY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # a NumPy ufunc or function -> ours, for np.tanh(node) and np.sum(node)
SPECIAL_FUNCTIONS: dict[str, Callable[..., Any]] = {}  # the name of a ufunc of scipy.special -> ours, filled by graphc.special

# the methods of ufuncs that are functions of graphc, over axis 0 unless it is named; in NUMPY_FUNCTIONS under these keys
METHODS: dict[tuple[np.ufunc, str], str] = {
    (np.add, "reduce"): "sum", (np.multiply, "reduce"): "prod", (np.maximum, "reduce"): "max", (np.minimum, "reduce"): "min",
    (np.logical_and, "reduce"): "all", (np.logical_or, "reduce"): "any", (np.logaddexp, "reduce"): "logsumexp",
    (np.add, "accumulate"): "cumsum", (np.multiply, "accumulate"): "cumprod", (np.maximum, "accumulate"): "cummax",
    (np.minimum, "accumulate"): "cummin", (np.logaddexp, "accumulate"): "logcumsumexp",
}  # fmt: skip
_INSTEAD = {
    "at": "x.at[index].add(value), .multiply, .min and .max gather updates",
    "reduceat": "gx.segment_sum and its kin reduce by segments, given by their numbers",
    "reduce": "gx.sum, gx.prod, gx.max, gx.min, gx.any and gx.all reduce; gx.scan repeats any function",
    "accumulate": "gx.cumsum, gx.cumprod, gx.cummax and gx.cummin accumulate; gx.scan repeats any function",
}
_OUT = "the result is a new node: leave `out` away; x.at[index].set(value) is the array x with a part replaced"
_WHERE = "gx.where(mask, result, other) chooses; x.astype(dtype) converts"


def dotted_name(theirs: Any) -> str:
    """The name under which a user knows a function of NumPy: "np.linalg.eig"."""
    module = getattr(theirs, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{theirs.__name__}"


def function_called(theirs: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`theirs(*args, **kwargs)` with a node among the arguments."""
    ours, name = NUMPY_FUNCTIONS.get(theirs), dotted_name(theirs)
    if ours is None or name in REFUSED:
        fail(ArgumentError, f"{name} has no symbolic form", *_first([*args, *kwargs.values()]), hint=hint_for(name))
    return _given(theirs, name, ours, args, kwargs, "the keywords of NumPy that concern memory have no meaning for nodes")


def ufunc_called(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """`ufunc(*inputs, **kwargs)`, or one of its methods, with a node among the operands."""
    ours, name = NUMPY_FUNCTIONS.get(ufunc), f"np.{ufunc.__name__}"
    if ours is None and getattr(np, ufunc.__name__, None) is not ufunc:  # SciPy's: its name is all that tells
        ours, name = SPECIAL_FUNCTIONS.get(ufunc.__name__), f"scipy.special.{ufunc.__name__}"
    if method != "__call__":
        return _method_called(ufunc, method, f"{name}.{method}", ours, inputs, kwargs)
    if ours is None:
        fail(ArgumentError, f"{name} has no symbolic form", *_first(inputs), hint=hint_for(name))
    return _given(ufunc, name, ours, inputs, kwargs, _WHERE)


def _method_called(ufunc: np.ufunc, method: str, name: str, ours: Any, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    known = NUMPY_FUNCTIONS.get((ufunc, method))
    if known is not None:
        x, *rest = inputs
        axis = rest[0] if rest else kwargs.get("axis", 0)
        return _given(ufunc, name, known, (x,), {**kwargs, "axis": axis}, _WHERE)
    if method == "outer" and ours is not None and len(inputs) == 2:
        x, y = inputs
        apart = (slice(None),) * np.ndim(x) + (None,) * np.ndim(y)
        return _given(ufunc, name, ours, (x[apart] if np.ndim(x) else x, y), kwargs, _WHERE)
    fail(ArgumentError, f"{name} has no symbolic form", *_first(inputs), hint=_INSTEAD.get(method) or hint_for(name))


def _first(arguments: Sequence[Any]) -> list[Any]:
    """The first node among the arguments, or in a list among them, for the error to show."""
    listed = [v for a in arguments for v in (a if isinstance(a, (list, tuple)) else (a,))]
    return [v for v in listed if callable(getattr(v, "describe", None))][:1]


def _given(theirs: Any, name: str, ours: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], hint: str) -> Any:
    """ours(*args, **kwargs), for keywords that it has. One that has NumPy's default says nothing, if ours does not know it."""
    out = kwargs.get("out")
    if any(o is not None for o in (out if isinstance(out, tuple) else (out,))):
        fail(ArgumentError, f"{name}: out= cannot be used with symbolic values", *_first(args), hint=_OUT)
    named = {k: v for k, v in kwargs.items() if k != "out"}
    if named:
        parameters = inspect.signature(ours).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            known = [p.name for p in parameters.values() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
            named = {k: v for k, v in named.items() if k in known or not _is_default(theirs, k, v)}
            if unknown := [k for k in named if k not in known]:
                fail(ArgumentError, f"{name}: {', '.join(unknown)} cannot be used with symbolic values", *_first(args), hint=hint)
    return ours(*args, **named)


def _is_default(theirs: Any, keyword: str, value: Any) -> bool:
    """Whether a keyword of NumPy's function has the value that it has anyway."""
    try:
        parameter = inspect.signature(theirs).parameters.get(keyword)
    except ValueError:  # of a ufunc that tells no signature
        return False
    return parameter is not None and value is parameter.default
