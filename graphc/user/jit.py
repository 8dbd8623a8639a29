"""`jit`: compile a NumPy-style Python function by tracing it."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc import tree
from graphc.dims import Dim
from graphc.dtypes import as_dtype, float64, promote
from graphc.errors import ArgumentError, compose, fail
from graphc.forking import renewed_in_child
from graphc.ir import Node
from graphc.ops.registry import tensor
from graphc.user.function import Function, function


def jit(f: Callable[..., Any] | None = None, *, static_argnames: str | Sequence[str] = ()) -> Any:
    """Compile f(*trees of arrays) -> tree of arrays by tracing; also a decorator, with or without arguments.

    One trace per tree structure, dtypes, ranks, and which sizes are 1; all other sizes stay symbolic, so a new size
    compiles nothing. Python floats are traced as 0-d values of the widest float dtype among the arrays; ints, bools,
    strings, None and `static_argnames` are part of the trace. Calling it with nodes builds f's graph.
    """
    if f is None:
        return lambda g: jit(g, static_argnames=static_argnames)
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    return functools.wraps(f)(_Jit(f, names))


class _Jit:
    def __init__(self, f: Callable[..., Any], static: tuple[str, ...]) -> None:
        self.f, self.static = f, static
        self.signature = inspect.signature(f)
        unknown = [n for n in static if n not in self.signature.parameters]
        if unknown:
            fail(ArgumentError, f"jit: {f.__name__} has no argument {', '.join(unknown)}")
        self.traces: dict[Any, Function] = {}
        self.lock = threading.RLock()
        renewed_in_child(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        fixed = {n: v for n, v in bound.arguments.items() if n in self.static}
        leaves, structure = tree.flatten({n: v for n, v in bound.arguments.items() if n not in self.static})
        if any(isinstance(v, (Node, Dim)) for v in leaves):
            return self.f(*args, **kwargs)
        dynamic = [not isinstance(v, (bool, int, str)) for v in leaves]
        arrays = [_as_array(v, self.f.__name__) for v, d in zip(leaves, dynamic, strict=True) if d]
        kinds = iter([_kind(a) for a in arrays])
        key = (
            structure,
            _exact(tuple(fixed.items())),
            tuple([next(kinds) if d else (type(v), v) for v, d in zip(leaves, dynamic, strict=True)]),
        )
        with self.lock:
            try:
                found = self.traces.get(key)
            except TypeError:
                names = ", ".join(n for n, v in fixed.items() if not _hashable(v))
                hint = "pass tuples instead of lists"
                raise ArgumentError(compose(f"jit: {self.f.__name__}: the static argument {names} cannot be hashed", hint=hint)) from None
            if found is None:
                found = self.traces[key] = self._trace(leaves, dynamic, arrays, structure, fixed)
        return found(*arrays)

    def _trace(self, leaves: list[Any], dynamic: list[bool], arrays: list[Any], structure: tree.TreeDef, fixed: dict[str, Any]) -> Function:
        floats = [a.dtype for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
        weak = promote(*[as_dtype(d) for d in floats]) if floats else float64
        variables = []
        for k, a in enumerate(arrays):
            if type(a) is float:
                variables.append(tensor(f"x{k}", (), weak))
            else:
                variables.append(tensor(f"x{k}", tuple([1 if s == 1 else None for s in a.shape]), a.dtype))
        rest = iter(variables)
        arguments = tree.unflatten(structure, [next(rest) if d else v for v, d in zip(leaves, dynamic, strict=True)])
        bound = self.signature.bind_partial()
        bound.arguments.update(
            {n: arguments[n] if n in arguments else fixed[n] for n in self.signature.parameters if n in arguments or n in fixed}
        )
        outputs = self.f(*bound.args, **bound.kwargs)
        return function(variables, outputs, name=self.f.__name__)


def _as_array(value: Any, what: str) -> Any:
    """An array, or a Python float as it is: it takes the dtype of what it meets."""
    if type(value) is float:
        return value
    if isinstance(value, np.ma.MaskedArray):
        fail(
            ArgumentError,
            f"jit: {what}: a masked array has values that are none",
            hint="pass value.filled(...) and the mask as two arguments",
        )
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        hint = "name it in static_argnames if it is part of the program"
        fail(ArgumentError, f"jit: {what}: {type(value).__name__} is not an array of numbers", hint=hint)
    return array


def _kind(value: Any) -> Any:
    """What of an argument belongs to the trace."""
    return float if type(value) is float else (value.dtype.str, tuple([s == 1 for s in value.shape]))


def _exact(value: Any) -> Any:
    """A static value so that 1, 1.0 and True stay apart, 0.0 and -0.0 too."""
    return tuple([_exact(v) for v in value]) if type(value) is tuple else (type(value), value.hex() if type(value) is float else value)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
