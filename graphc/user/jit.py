"""`jit`: compile a NumPy-style Python function by tracing it."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, TypeVar, cast, overload

import numpy as np

from graphc import tree
from graphc.dims import Dim
from graphc.dtypes import as_dtype, float64, is_masked, promote, refuse_complex
from graphc.errors import ArgumentError, compose, fail
from graphc.forking import renewed_in_child
from graphc.ir import Node
from graphc.ops.registry import tensor
from graphc.user.function import Function, function

F = TypeVar("F", bound=Callable[..., Any])


@overload
def jit(f: F, *, static_argnames: str | Sequence[str] = (), flush_subnormals: bool = False) -> F: ...
@overload
def jit(f: None = None, *, static_argnames: str | Sequence[str] = (), flush_subnormals: bool = False) -> Callable[[F], F]: ...
def jit(f: Any = None, *, static_argnames: str | Sequence[str] = (), flush_subnormals: bool = False) -> Any:
    """Compile f(*trees of arrays) -> tree of arrays by tracing; also a decorator, with or without arguments, of functions and methods.

    One trace per tree structure, dtypes, ranks, and which sizes are 1; all other sizes stay symbolic, so a new size
    compiles nothing. Python floats are traced as 0-d values of the widest float dtype among the arrays; ints, bools,
    strings, None, classes and `static_argnames` are part of the trace. Calling it with nodes builds f's graph.
    flush_subnormals: native code takes them for zero, see `gx.flush_subnormals`.

    Of a method, `self` is a tree where its class is one (a dataclass, a NamedTuple): its arrays are arguments like others.
    Any other instance has traces of its own, gone with it. What the method reads from it is part of the trace, and setting an attribute
    traces again; an array changed in place is not noticed: make it a `gx.shared` or an argument.
    """
    if f is None:
        return lambda g: jit(g, static_argnames=static_argnames, flush_subnormals=flush_subnormals)
    if isinstance(f, (staticmethod, classmethod)):
        return type(f)(jit(f.__func__, static_argnames=static_argnames, flush_subnormals=flush_subnormals))
    if not callable(f):
        fail(ArgumentError, f"jit: {f!r:.60} is no function", hint="gx.function compiles expressions, gx.jit functions")
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    return functools.wraps(f)(_Jit(f, names, flush_subnormals))


def flush_subnormals(f: F) -> F:
    """The same function, compiled so that numbers below the normal range (1.2e-38 in float32, 2.2e-308 in float64) are taken for zero.

        f = gx.flush_subnormals(gx.function([x], y))       # as gx.function([x], y, flush_subnormals=True)
        step = gx.flush_subnormals(step)                   # of gx.jit, too; state is shared with the function that was given

    Some processors take a hundred times as long for an operation with such a number: values that decay, filters, chains of tanh whose
    gradients vanish. Inside a call, on all its threads, a subnormal argument of an operation then counts as zero, and a result that would
    be subnormal is a zero of its sign. What is only moved (selected, gathered, stored as it came) may stay. So results differ below the
    normal range, derivatives there are those at zero, and x == y where x - y is too small; quotients and logarithms of such numbers
    become infinite or nan. What meets no such number has the same bits. The caller's own arithmetic, NumPy's and that of callbacks are
    not touched, also where a call fails. A graph that the function is inlined in, and mode="interpret", do not know of it. To have
    subnormal numbers again call the function that was given. Raises ArgumentError for what is not of `gx.function` or `gx.jit`.
    """
    if isinstance(f, Function):
        return cast(F, f.flushed())
    if isinstance(f, _Jit):
        return cast(F, f.flushed())
    if isinstance(f, MethodType) and isinstance(f.__func__, _Jit):
        return cast(F, MethodType(f.__func__.flushed(), f.__self__))
    fail(ArgumentError, f"flush_subnormals: {f!r:.60} is not compiled", hint="gx.jit(f, flush_subnormals=True) compiles a Python function")


Traces = dict[Any, Function]


class _Jit:
    def __init__(self, f: Callable[..., Any], static: tuple[str, ...], flush_subnormals: bool) -> None:
        if not isinstance(flush_subnormals, bool):
            fail(ArgumentError, f"jit: flush_subnormals is True or False, got {flush_subnormals!r}")
        self.f, self.static, self.flush_subnormals = f, static, flush_subnormals
        try:
            self.signature = inspect.signature(f)
        except ValueError as error:
            fail(ArgumentError, f"jit: {error}", hint="wrap it in a function")
        unknown = [n for n in static if n not in self.signature.parameters]
        if unknown:
            fail(ArgumentError, f"jit: {_name(f)} has no argument {', '.join(unknown)}")
        self.traces: Traces = {}
        self.instances: dict[int, _Instance] = {}
        self.owner: str | None = None  # the parameter that is `self`
        self.lock = threading.RLock()
        renewed_in_child(self)

    def flushed(self) -> _Jit:
        """The same with traces of its own that take subnormal numbers for zero."""
        if self.flush_subnormals:
            return self
        made = _Jit(self.f, self.static, True)
        made.owner = self.owner
        functools.update_wrapper(made, self.f)
        return made

    def __deepcopy__(self, memo: object) -> _Jit:
        return self  # as Python's own functions

    def __reduce__(self) -> str:
        return str(self.__qualname__)  # type: ignore[attr-defined]  # by reference, as Python's own functions

    def __set_name__(self, cls: type, name: str) -> None:
        self.owner = next(iter(self.signature.parameters), None)

    def __get__(self, instance: Any, cls: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        instance = given.pop(self.owner, None) if self.owner is not None and _is_instance(given.get(self.owner)) else None
        fixed = {n: given.pop(n) for n in self.static if n in given}
        leaves, structure = tree.flatten(given)
        if any(isinstance(v, (Node, Dim)) for v in leaves):
            return self.f(*args, **kwargs)
        dynamic = [not isinstance(v, (bool, int, str, type)) for v in leaves]
        arrays = [_as_array(v, _name(self.f)) for v, d in zip(leaves, dynamic, strict=True) if d]
        kinds = iter([_kind(a) for a in arrays])
        key = (
            structure,
            _exact(tuple(fixed.items())),
            tuple([next(kinds) if d else (type(v), v) for v, d in zip(leaves, dynamic, strict=True)]),
        )
        with self.lock:
            traces = self.traces if instance is None else self._traces_of(instance)
            try:
                found = traces.get(key)
            except TypeError:
                names = ", ".join(n for n, v in fixed.items() if not _hashable(v))
                hint = "pass tuples instead of lists"
                raise ArgumentError(compose(f"jit: {_name(self.f)}: the static argument {names} cannot be hashed", hint=hint)) from None
            if found is None:
                variables = _variables(arrays, [p for p, d in zip(tree.paths(given), dynamic, strict=True) if d])
                rest = iter(variables)
                traced = tree.unflatten(structure, [next(rest) if d else v for v, d in zip(leaves, dynamic, strict=True)])
                bound.arguments.update(traced)
                inputs = {str(k): v for k, v in enumerate(variables)}  # passed by position, so that a parameter may be called `out`
                made = self.f(*bound.args, **bound.kwargs)
                found = traces[key] = function(inputs, made, name=_name(self.f), flush_subnormals=self.flush_subnormals)
        return found(*arrays)

    def _traces_of(self, instance: Any) -> Traces:
        """The traces of a `self`, empty where an attribute has been set since they were made."""
        known = self.instances.get(id(instance))
        if known is None or known.reference() is not instance:
            try:
                reference = weakref.ref(instance, functools.partial(_forget, weakref.ref(self), id(instance)))
            except TypeError:
                what = f"jit: {_name(self.f)}: an instance of {type(instance).__name__} cannot be referred to weakly"
                raise ArgumentError(compose(what, hint="make the class a dataclass, or add '__weakref__' to its __slots__")) from None
            known = self.instances[id(instance)] = _Instance(reference)
        known.refresh(instance)
        return known.traces


def _is_instance(value: Any) -> bool:
    """Whether a first argument is a `self` and no data: a function in a class may also be called as `C.f(x)`."""
    data = isinstance(value, (Node, Dim, bool, int, float, str, type)) or hasattr(value, "__array__")
    return not data and not tree.is_container(value)


def _forget(jitted: weakref.ref[_Jit], key: int, reference: weakref.ref[Any]) -> None:
    """An instance is gone, and with it its traces; its address may have a new owner already. Called by the collector: takes no lock."""
    found = jitted()
    if found is not None and (known := found.instances.get(key)) is not None and known.reference is reference:
        found.instances.pop(key, None)


class _Instance:
    """The traces of one `self`, and its attributes when they were made."""

    def __init__(self, reference: weakref.ref[Any]) -> None:
        self.reference = reference
        self.traces: Traces = {}
        self.structure: tree.TreeDef | None = None
        self.seen: list[Callable[[], Any]] = []

    def refresh(self, instance: Any) -> None:
        """Forget the traces unless every attribute is the object, or the plain value, that it was."""
        values, structure = tree.flatten(getattr(instance, "__dict__", {}))
        same = structure == self.structure and all(_same(then(), now) for then, now in zip(self.seen, values, strict=True))
        if not same:
            self.traces, self.structure, self.seen = {}, structure, [_held(v) for v in values]


def _held(value: Any) -> Callable[[], Any]:
    """A function that gives the value, without keeping an object alive that may lead back to its instance."""
    if isinstance(value, _PLAIN):
        return lambda: value
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


_PLAIN = (bool, int, float, complex, str, bytes, np.generic)


def _same(then: Any, now: Any) -> bool:
    return then is now or (isinstance(now, _PLAIN) and _exact(then) == _exact(now))


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)


def _variables(arrays: list[Any], paths: list[str]) -> list[Node]:
    """A variable per array, called by its path: `params['W']` for the leaf ['params']['W'] of all arguments."""
    floats = [a.dtype for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    weak = promote(*[as_dtype(d) for d in floats]) if floats else float64
    names = ["".join(path[2:].split("']", 1)) for path in paths]
    return [
        tensor(name, (), weak) if type(a) is float else tensor(name, tuple([1 if s == 1 else None for s in a.shape]), a.dtype)
        for a, name in zip(arrays, names, strict=True)
    ]


def _as_array(value: Any, what: str) -> Any:
    """An array, or a Python float as it is: it takes the dtype of what it meets."""
    if type(value) is float:
        return value
    if is_masked(value):
        fail(
            ArgumentError,
            f"jit: {what}: a masked array has values that are none",
            hint="pass value.filled(...) and the mask as two arguments",
        )
    array = np.asarray(value)
    refuse_complex(array.dtype, f"jit: {what}")
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
