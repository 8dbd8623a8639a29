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
from graphc.dims.naming import anonymous, axis, counter, dim, fresh, fresh_of
from graphc.dims.use import (
    MAX_INT64,
    affine,
    as_symbol,
    evaluate,
    fits_int64,
    format_shape,
    of_symbol,
    product,
    safe_up_to,
    solve,
    substitute,
)

__all__ = [
    "MAX_INT64", "Atom", "Call", "Dim", "Index", "Size", "Symbol", "Undecided", "affine", "anonymous", "as_symbol", "axis", "counter",
    "dim", "divide", "equal", "evaluate", "fits_int64", "floordiv", "format_shape", "fresh", "fresh_of", "less_equal", "lower_bound",
    "maximum", "minimum", "mod", "of_symbol", "product", "safe_up_to", "solve", "substitute", "symbols",
]  # fmt: skip
