"""`x[mask]` where the mask is a boolean node: how many elements are selected only its values tell, so it is no array of the graph.

    gx.mean((x[mask] - y[mask]) ** 2)  ->  sum(where(mask, (x - y)**2, 0)) / sum(mask)

`Masked` is what was written, put off: element-wise operations are done everywhere, and reductions leave out what is not selected.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

import numpy as np

from graphc import dims
from graphc.dtypes import bool_, is_float
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.operators import FUNCTIONS, Operators
from graphc.types import normal_axes

P = ParamSpec("P")
R = TypeVar("R")


class Masked(Operators):
    """The elements of `values` where `mask` is True, in one axis that stands where the axes of the mask are: `place` and those after it."""

    __slots__ = ("mask", "place", "values")

    def __init__(self, values: Node, mask: Node, place: int) -> None:
        self.values, self.mask, self.place = values, mask, place

    @property
    def ndim(self) -> int:
        """The number of axes, of which the one at `place` counts the selected elements."""
        return self.values.ndim - self.mask.ndim + 1

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the elements."""
        return self.values.dtype

    @property
    def shape(self) -> NoReturn:
        """A masked selection has none."""
        self._no("the shape", "gx.count_nonzero(mask) is the number of elements")

    def describe(self) -> str:
        """What is selected, for errors."""
        return f"{self.values.describe()} where {self.mask.describe()}"

    def __repr__(self) -> str:
        return f"Masked({self.describe()})"

    __str__ = __repr__

    def _no(self, what: str, hint: str = "") -> NoReturn:
        known = "gx.where(mask, x, 0) keeps the shape, gx.compress(mask, x, axis, size=n) makes room for n elements"
        why = "how many elements are selected only the values of the mask tell; element-wise functions and reductions take it"
        fail(ArgumentError, f"{what} of x[mask]: {why}", self, hint=hint or known)

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self._no("an array")

    def __getitem__(self, key: Any) -> NoReturn:
        self._no("a part")

    def __len__(self) -> int:
        self._no("the length", "gx.count_nonzero(mask) is the number of elements")

    def __iter__(self) -> NoReturn:
        self._no("iteration")

    def astype(self, dtype: Any) -> Masked:  # type: ignore[override]
        """The elements converted to `dtype`."""
        return Masked(self.values.astype(dtype), self.mask, self.place)

    def shown(self) -> Node:
        """The mask beside `values`."""
        after = self.values.ndim - self.place - self.mask.ndim
        spread = FUNCTIONS["reshape"](self.mask, (*self.mask.shape, *[1] * after))
        return FUNCTIONS["broadcast_to"](spread, self.values.shape)  # type: ignore[no-any-return]


# -- element by element -------------------------------------------------------------------------------------------------
def lifted(function: Callable[..., Any], args: Sequence[Any]) -> Masked:
    """`function` of arguments of which some are masked selections: all with one mask, and the others broadcast against them."""
    first = next(a for a in args if isinstance(a, Masked))
    for a in args:
        if isinstance(a, Masked) and (a.mask is not first.mask or a.place != first.place or a.ndim != first.ndim):
            fail(ArgumentError, "two masked selections do not meet: their masks, or their axes, differ", first, a,
                 hint="use one mask, or gx.where(mask, x, 0)")  # fmt: skip
    return Masked(function(*[a.values if isinstance(a, Masked) else beside(a, first) for a in args]), first.mask, first.place)


def beside(value: Any, m: Masked) -> Any:
    """An array that broadcasts against the selection as it broadcasts against `m.values`. Raises ArgumentError."""
    if isinstance(value, (bool, int, float, dims.Dim)) and not isinstance(value, np.generic):
        return value
    node = FUNCTIONS["asarray"](value)
    after = m.ndim - m.place - 1
    if node.ndim <= after:
        return node
    at = node.ndim - after - 1
    if node.shape[at] != 1:
        fail(ArgumentError, "an array meets x[mask], of which only the values of the mask tell the number of elements", node, m,
             hint="select from it with the same mask, or use gx.where(mask, x, 0)")  # fmt: skip
    return FUNCTIONS["reshape"](node, (*node.shape[:at], *[1] * m.mask.ndim, *node.shape[at + 1 :]))


# -- reductions ---------------------------------------------------------------------------------------------------------
def reduces(function: Callable[P, R]) -> Callable[P, R]:
    """A reduction of arrays that takes a masked selection, too."""

    @functools.wraps(function)
    def reduction(*args: P.args, **kwargs: P.kwargs) -> R:
        if args and isinstance(args[0], Masked):
            return _reduced(function, *args, **kwargs)  # type: ignore[arg-type, no-any-return]
        return function(*args, **kwargs)

    return reduction


def _reduced(function: Callable[..., Any], m: Masked, axis: Any = None, *rest: Any, keepdims: bool = False, **more: Any) -> Any:
    axes = normal_axes(axis, m.ndim, function.__name__, m.values)
    if more.pop("where", True) is not True:
        m._no(f"{function.__name__} with where=")
    real = [a if a < m.place else a + m.mask.ndim - 1 for a in axes if a != m.place]
    if m.place not in axes:
        result = function(m.values, tuple(real), *rest, **more)
        made: Node | Masked = Masked(result, m.mask, m.place - sum([a < m.place for a in axes]))
    else:
        whole = tuple(sorted([*real, *range(m.place, m.place + m.mask.ndim)]))
        made = _of_selected(function.__name__, function, m, whole, rest, more)
    if not keepdims:
        return made
    if isinstance(made, Masked):
        made._no(f"{function.__name__} with keepdims=True")
    return FUNCTIONS["expand_dims"](made, axes)


def _of_selected(name: str, function: Callable[..., Any], m: Masked, axes: tuple[int, ...], rest: Sequence[Any], more: Any) -> Any:
    """The reduction of what is selected over all of the mask's axes, and perhaps others."""
    where, shown = FUNCTIONS["where"], m.shown()
    if name in ("sum", "any", "count_nonzero"):
        return function(where(shown, m.values, m.dtype.type(0)), axes, *rest, **more)
    if name in ("prod", "all"):
        return function(where(shown, m.values, m.dtype.type(1)), axes, *rest, **more)
    if name in ("max", "min", "logsumexp"):
        values = m.values if name != "logsumexp" or is_float(m.dtype) else m.values.astype("float64")
        return function(where(shown, values, _last(values.dtype, name == "min")), axes, *rest, **more)
    count = FUNCTIONS["sum"](shown, axes)
    if name == "mean":
        return _mean(m, shown, axes, count, *rest, **more)
    if name in ("var", "std"):
        return _spread_out(name, m, shown, axes, count, *rest, **more)
    return m._no(name)


def _mean(m: Masked, shown: Node, axes: tuple[int, ...], count: Node, dtype: Any = None) -> Node:
    values = m.values if dtype is None and is_float(m.dtype) else m.values.astype("float64" if dtype is None else dtype)
    total = FUNCTIONS["sum"](FUNCTIONS["where"](shown, values, 0.0), axes)
    return total / count.astype(values.dtype)  # type: ignore[no-any-return]


def _spread_out(name: str, m: Masked, shown: Node, axes: tuple[int, ...], count: Node, dtype: Any = None, ddof: float = 0) -> Node:
    values = m.values if dtype is None and is_float(m.dtype) else m.values.astype("float64" if dtype is None else dtype)
    centre = FUNCTIONS["expand_dims"](_mean(Masked(values, m.mask, m.place), shown, axes, count), axes)
    part = FUNCTIONS["where"](shown, values - centre, 0.0)
    over = FUNCTIONS["maximum"](count.astype(values.dtype) - ddof, 0)
    if name == "std":  # by the norm, whose derivatives where all are equal are 0
        return FUNCTIONS["norm"](part, None, axes) / FUNCTIONS["sqrt"](over)  # type: ignore[no-any-return]
    return FUNCTIONS["sum"](part * part, axes) / over  # type: ignore[no-any-return]


def _last(dtype: np.dtype, high: bool) -> Any:
    """What no element of the dtype is beyond."""
    if dtype == bool_:
        return np.bool_(high)
    if is_float(dtype):
        return dtype.type(np.inf if high else -np.inf)
    return dtype.type(np.iinfo(dtype).max if high else np.iinfo(dtype).min)
