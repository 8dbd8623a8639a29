"""Integer algebra of sizes in normal form: shapes, extents, strides, indices."""

from graphc.dims.algebra import (
    Atom,
    Call,
    Dim,
    Index,
    Size,
    Symbol,
    axis,
    counter,
    dim,
    divide,
    equal,
    floordiv,
    fresh,
    less_equal,
    lower_bound,
    maximum,
    minimum,
    mod,
    symbols,
)  # fmt: skip
from graphc.dims.use import affine, as_symbol, evaluate, format_shape, of_symbol, product, solve, substitute

__all__ = [
    "Atom", "Call", "Dim", "Index", "Size", "Symbol", "affine", "as_symbol", "axis", "counter", "dim",
    "divide", "equal", "evaluate", "floordiv",
    "format_shape", "fresh", "less_equal", "lower_bound", "maximum", "minimum", "mod", "of_symbol", "product", "solve", "substitute",
    "symbols",
]  # fmt: skip
