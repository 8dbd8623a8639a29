"""Integer algebra of sizes in normal form: shapes, extents, strides, indices."""

from graphc.dims.algebra import (
    Atom,
    Call,
    Dim,
    Index,
    Size,
    Symbol,
    divide,
    equal,
    floordiv,
    less_equal,
    lower_bound,
    maximum,
    minimum,
    mod,
    symbols,
)  # fmt: skip
from graphc.dims.comparison import Undecided
from graphc.dims.naming import axis, counter, dim, fresh, fresh_of
from graphc.dims.use import affine, as_symbol, evaluate, format_shape, of_symbol, product, solve, substitute

__all__ = [
    "Atom", "Call", "Dim", "Index", "Size", "Symbol", "Undecided", "affine", "as_symbol", "axis", "counter", "dim", "divide", "equal",
    "evaluate", "floordiv", "format_shape", "fresh", "fresh_of", "less_equal", "lower_bound", "maximum", "minimum", "mod", "of_symbol",
    "product", "solve", "substitute", "symbols",
]  # fmt: skip
