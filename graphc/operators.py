"""The operators and methods of a node, as on an ndarray. The functions behind them are bound by `graphc.ops`.

This is a mix-in below the graph, so that `Node` has them statically; `FUNCTIONS` is filled once, when
`graphc.ops` is imported, with the public function of each name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from graphc.dtypes import COMPLEX
from graphc.errors import ArgumentError, fail
from graphc.protocol import NUMPY_FUNCTIONS, SPECIAL_FUNCTIONS, function_called, ufunc_called

if TYPE_CHECKING:
    from graphc.ir import Node
    from graphc.ops.at import At
    from graphc.ops.registry import ArrayLike

Axis = int | Sequence[int] | None

FUNCTIONS: dict[str, Callable[..., Any]] = {}

__all__ = ["FUNCTIONS", "NUMPY_FUNCTIONS", "SPECIAL_FUNCTIONS", "Axis", "Operators"]


def _call(name: str, *args: Any, **kwargs: Any) -> Any:
    return FUNCTIONS[name](*args, **kwargs)


def _binary(name: str) -> tuple[Callable[..., Node], Callable[..., Node]]:
    def forward(self: Any, other: Any) -> Node:
        return FUNCTIONS[name](self, other)  # type: ignore[no-any-return]

    def reflected(self: Any, other: Any) -> Node:
        return FUNCTIONS[name](other, self)  # type: ignore[no-any-return]

    return forward, reflected


class Operators:
    """ndarray's operators and methods, building nodes."""

    __slots__ = ()
    __array_priority__ = 1000.0

    __add__, __radd__ = _binary("add")
    __sub__, __rsub__ = _binary("subtract")
    __mul__, __rmul__ = _binary("multiply")
    __truediv__, __rtruediv__ = _binary("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide")
    __mod__, __rmod__ = _binary("mod")
    __divmod__, __rdivmod__ = _binary("divmod")  # a pair
    __pow__, __rpow__ = _binary("power")
    __matmul__, __rmatmul__ = _binary("matmul")
    __and__, __rand__ = _binary("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor")
    __lshift__, __rlshift__ = _binary("left_shift")
    __rshift__, __rrshift__ = _binary("right_shift")
    __lt__ = _binary("less")[0]
    __le__ = _binary("less_equal")[0]
    __gt__ = _binary("greater")[0]
    __ge__ = _binary("greater_equal")[0]
    __eq__ = _binary("equal")[0]  # type: ignore[assignment]
    __ne__ = _binary("not_equal")[0]  # type: ignore[assignment]
    __hash__ = object.__hash__

    def __neg__(self) -> Node:
        return _call("negative", self)  # type: ignore[no-any-return]

    def __pos__(self) -> Node:
        return self  # type: ignore[return-value]

    def __abs__(self) -> Node:
        return _call("abs", self)  # type: ignore[no-any-return]

    def __invert__(self) -> Node:
        return _call("invert", self)  # type: ignore[no-any-return]

    def __getitem__(self, key: Any) -> Node:
        return _call("getitem", self, key)  # type: ignore[no-any-return]

    # -- what a symbolic value cannot do, with the replacement named -----------------------------------------
    def _no(self, what: str, hint: str) -> NoReturn:
        fail(ArgumentError, f"{what} of a symbolic value", self, hint=hint)

    def __bool__(self) -> bool:
        choice = "gx.where(condition, a, b) for a choice, gx.cond to run one of two functions, `is` to compare nodes"
        hint = f"use {choice}; values exist only when a compiled function is called"
        self._no("the truth value", hint)

    def __float__(self) -> float:
        self._no("float()", "use node.astype('float64') in the graph, or node.eval({...}) for a number")

    def __int__(self) -> int:
        self._no("int()", "use node.astype('int64') in the graph, or node.eval({...}) for a number")

    def __index__(self) -> int:
        self._no("use as an index", "gx.take(array, node) or symbolic_array[node] select by a symbolic index")

    def __complex__(self) -> complex:
        self._no("complex()", COMPLEX)

    def __contains__(self, item: object) -> bool:
        self._no("`in`", "use gx.any(node == item) in the graph")

    if not TYPE_CHECKING:  # a type checker shall find the assignment

        def __setitem__(self, key: object, value: object) -> None:
            self._no("item assignment", "nodes are immutable: use y = x.at[index].set(value) or x.at[index].add(value)")

    def __len__(self) -> int:
        shape = self.shape  # type: ignore[attr-defined]
        if shape and isinstance(shape[0], int):
            return shape[0]
        self._no("len()", "use node.shape[0], which may be symbolic")

    def __iter__(self) -> Iterator[Node]:
        shape = self.shape  # type: ignore[attr-defined]
        if not shape or not isinstance(shape[0], int):
            self._no("iteration", "the size is symbolic or the value is 0-d: use slices, gx.vmap or reductions over the axis")
        return iter([_call("getitem", self, k) for k in range(shape[0])])

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        self._no("np.asarray", "a node has no values; compile it with gx.function or use node.eval({...})")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return ufunc_called(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function_called(func, args, kwargs)

    # -- text: `repr` is one line, see Node -------------------------------------------------------------------
    def __str__(self) -> str:
        return self.graph

    @property
    def graph(self) -> str:
        """The expression as mathematics, in a bounded number of lines: what `print(node)` shows."""
        return _call("show", self)  # type: ignore[no-any-return]

    # -- methods -------------------------------------------------------------------------------------------
    @property
    def T(self) -> Node:
        """All axes reversed."""
        return _call("transpose", self)  # type: ignore[no-any-return]

    @property
    def mT(self) -> Node:
        """The last two axes swapped."""
        return _call("swapaxes", self, -1, -2)  # type: ignore[no-any-return]

    @property
    def at(self) -> At:
        """`x.at[index].set(value)`, add, subtract, multiply, divide, power, min, max: the array with that part updated; get."""
        return _call("at", self)  # type: ignore[no-any-return]

    @property
    def real(self) -> Node:
        """The array itself: nodes are real."""
        return self  # type: ignore[return-value]

    @property
    def imag(self) -> Node:
        """Zeros."""
        return _call("imag", self)  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self.dtype.itemsize  # type: ignore[attr-defined, no-any-return]

    @property
    def nbytes(self) -> Any:
        """The bytes of all elements, as an int or a `Dim`."""
        return self.size * self.itemsize  # type: ignore[attr-defined]

    def astype(self, dtype: Any) -> Node:
        """The values converted to `dtype`."""
        return _call("astype", self, dtype)  # type: ignore[no-any-return]

    def reshape(self, *shape: Any) -> Node:
        """As `reshape`; sizes as one tuple or as arguments."""
        return _call("reshape", self, shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)  # type: ignore[no-any-return]

    def transpose(self, *axes: Any) -> Node:
        """As `transpose`; axes as one tuple or as arguments."""
        listed = axes[0] if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))) else (axes or None)
        return _call("transpose", self, listed)  # type: ignore[no-any-return]

    def eval(self, givens: Any = None) -> Any:
        """The value, by the interpreter, with variables given as {node: array}."""
        return _call("eval", self, givens)

    # -- methods that are functions too: the signatures of `graphc.sum` and the others, which say what they do -----------
    def sum(
        self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True
    ) -> Node:
        """As `graphc.sum`."""
        return _call("sum", self, axis, dtype, keepdims=keepdims, initial=initial, where=where)  # type: ignore[no-any-return]

    def prod(
        self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True
    ) -> Node:
        """As `graphc.prod`."""
        return _call("prod", self, axis, dtype, keepdims=keepdims, initial=initial, where=where)  # type: ignore[no-any-return]

    def mean(self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
        """As `graphc.mean`."""
        return _call("mean", self, axis, dtype, keepdims=keepdims, where=where)  # type: ignore[no-any-return]

    def var(self, axis: Axis = None, dtype: object = None, *, ddof: float = 0, keepdims: bool = False, where: ArrayLike = True) -> Node:
        """As `graphc.var`."""
        return _call("var", self, axis, dtype, ddof=ddof, keepdims=keepdims, where=where)  # type: ignore[no-any-return]

    def std(self, axis: Axis = None, dtype: object = None, *, ddof: float = 0, keepdims: bool = False, where: ArrayLike = True) -> Node:
        """As `graphc.std`."""
        return _call("std", self, axis, dtype, ddof=ddof, keepdims=keepdims, where=where)  # type: ignore[no-any-return]

    def max(self, axis: Axis = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True) -> Node:
        """As `graphc.max`."""
        return _call("max", self, axis, keepdims=keepdims, initial=initial, where=where)  # type: ignore[no-any-return]

    def min(self, axis: Axis = None, *, keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True) -> Node:
        """As `graphc.min`."""
        return _call("min", self, axis, keepdims=keepdims, initial=initial, where=where)  # type: ignore[no-any-return]

    def argmax(self, axis: Axis = None, *, keepdims: bool = False) -> Node:
        """As `graphc.argmax`."""
        return _call("argmax", self, axis, keepdims=keepdims)  # type: ignore[no-any-return]

    def argmin(self, axis: Axis = None, *, keepdims: bool = False) -> Node:
        """As `graphc.argmin`."""
        return _call("argmin", self, axis, keepdims=keepdims)  # type: ignore[no-any-return]

    def any(self, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
        """As `graphc.any`."""
        return _call("any", self, axis, keepdims=keepdims, where=where)  # type: ignore[no-any-return]

    def all(self, axis: Axis = None, *, keepdims: bool = False, where: ArrayLike = True) -> Node:
        """As `graphc.all`."""
        return _call("all", self, axis, keepdims=keepdims, where=where)  # type: ignore[no-any-return]

    def cumsum(self, axis: int | None = None, dtype: object = None) -> Node:
        """As `graphc.cumsum`."""
        return _call("cumsum", self, axis, dtype)  # type: ignore[no-any-return]

    def cumprod(self, axis: int | None = None, dtype: object = None) -> Node:
        """As `graphc.cumprod`."""
        return _call("cumprod", self, axis, dtype)  # type: ignore[no-any-return]

    def conj(self) -> Node:
        """As `graphc.conj`."""
        return _call("conj", self)  # type: ignore[no-any-return]

    def conjugate(self) -> Node:
        """As `graphc.conjugate`."""
        return _call("conjugate", self)  # type: ignore[no-any-return]

    def copy(self, order: str = "K") -> Node:
        """As `graphc.copy`."""
        return _call("copy", self, order)  # type: ignore[no-any-return]

    def dot(self, other: ArrayLike) -> Node:
        """As `graphc.dot`."""
        return _call("dot", self, other)  # type: ignore[no-any-return]

    def ravel(self) -> Node:
        """As `graphc.ravel`."""
        return _call("ravel", self)  # type: ignore[no-any-return]

    def flatten(self) -> Node:
        """As `graphc.flatten`."""
        return _call("flatten", self)  # type: ignore[no-any-return]

    def squeeze(self, axis: Axis = None) -> Node:
        """As `graphc.squeeze`."""
        return _call("squeeze", self, axis)  # type: ignore[no-any-return]

    def swapaxes(self, axis1: int, axis2: int) -> Node:
        """As `graphc.swapaxes`."""
        return _call("swapaxes", self, axis1, axis2)  # type: ignore[no-any-return]

    def repeat(self, repeats: object, axis: int | None = None) -> Node:
        """As `graphc.repeat`."""
        return _call("repeat", self, repeats, axis)  # type: ignore[no-any-return]

    def take(self, indices: ArrayLike, axis: int | None = None, mode: str = "raise") -> Node:
        """As `graphc.take`."""
        return _call("take", self, indices, axis, mode)  # type: ignore[no-any-return]

    def clip(
        self,
        a_min: ArrayLike | None = None,
        a_max: ArrayLike | None = None,
        *,
        min: ArrayLike | None = None,
        max: ArrayLike | None = None,
    ) -> Node:
        """As `graphc.clip`."""
        return _call("clip", self, a_min, a_max, min=min, max=max)  # type: ignore[no-any-return]

    def round(self, decimals: int = 0) -> Node:
        """As `graphc.round`."""
        return _call("round", self, decimals)  # type: ignore[no-any-return]

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
        """As `graphc.diagonal`."""
        return _call("diagonal", self, offset, axis1, axis2)  # type: ignore[no-any-return]

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
        """As `graphc.trace`."""
        return _call("trace", self, offset, axis1, axis2)  # type: ignore[no-any-return]
