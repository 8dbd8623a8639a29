"""What of NumPy and SciPy has no symbolic form, and what to use instead: the one table that errors and tests read.

np.union1d(x, y)  ->  ArgumentError: np.union1d has no symbolic form; hint: its size depends on values: ...
"""

from __future__ import annotations

from graphc.refused_special import REFUSED_SPECIAL

_VALUES = "its size depends on values: take it of an array, by gx.callback, or outside of the graph"
_COMPLEX = "its results are complex: keep real and imaginary parts as two arrays"
_TEXT = "print(node) shows the expression, node.eval({...}) gives an array to print"
_FILES = "node.eval({...}) and compiled functions give arrays to save, and gx.save keeps trees of them; read arrays outside of the graph"
_STATE = "it sets or tells how NumPy itself works; a node is computed by compiled code"
_CALENDAR = "dates and text have no symbolic form: count days as integers"
_OBJECTS = "a Python object of NumPy's, no function of arrays: write the expression with nodes, gx.vmap or gx.scan"
_MEMORY = "a node has no memory of its own"
_DTYPES = "supported dtypes are bool, int8 .. int64, uint8 .. uint64, float32, float64"
_CLASSES = "x.dtype tells the dtype of a node; gx.result_type, gx.can_cast and gx.promote_types tell of several"

# what to use, and the names of numpy of which it is said
_NUMPY: tuple[tuple[str, str], ...] = (
    (_VALUES, "unique_all unique_counts unique_inverse unique_values union1d intersect1d setdiff1d setxor1d trim_zeros"),
    (_COMPLEX, "roots sort_complex"),
    (_TEXT, "array2string array_repr array_str base_repr binary_repr format_float_positional format_float_scientific info"),
    (
        _FILES,
        "load loadtxt genfromtxt fromfile fromregex fromstring frombuffer fromiter from_dlpack memmap save savetxt savez savez_compressed",
    ),
    (
        _STATE,
        "errstate geterr geterrcall seterr seterrcall getbufsize setbufsize get_printoptions set_printoptions printoptions get_include "
        "show_config show_runtime test",
    ),
    (
        _CALENDAR,
        "busday_count busday_offset busdaycalendar is_busday isnat datetime64 timedelta64 datetime_as_string datetime_data bytes_ str_ "
        "character",
    ),
    (
        _OBJECTS,
        "asmatrix bmat broadcast chararray flatiter frompyfunc iterable ndarray ndenumerate ndindex nditer nested_iters poly1d "
        "recarray record ufunc vectorize",
    ),
    (_MEMORY, "isfortran may_share_memory shares_memory require"),
    (
        _DTYPES,
        "cdouble clongdouble complex128 complex256 complex192 complex64 complexfloating csingle flexible float128 float16 float96 half "
        "longdouble object_ void",
    ),
    (_CLASSES, "common_type min_scalar_type mintypecode typename"),
)

_IN_PLACE = "fill_diagonal place put put_along_axis putmask"  # graphc's own give the changed array

REFUSED: dict[str, str] = {f"np.{name}": hint for hint, names in _NUMPY for name in names.split()} | {
    **{f"np.{name}": f"np.{name} changes its argument in place; gx.{name} gives the changed array" for name in _IN_PLACE.split()},
    "np.copyto": "np.copyto changes its argument in place; x.at[index].set(value) and gx.where(mask, value, x) give the changed array",
    "np.einsum_path": "gx.einsum finds the best order of its products by itself",
    "np.packbits": "gx.sum of bits times powers of 2 packs them",
    "np.unpackbits": "gx.right_shift(x[..., None], gx.arange(8)) & 1 are the bits of x",
    "np.asarray_chkfinite": "gx.all(gx.isfinite(x)) tells; a function compiled with checks raises",
    "np.mask_indices": "gx.tril_indices and gx.triu_indices give theirs, gx.nonzero those of a constant mask",
    "np.isscalar": "a node is an array: x.ndim == 0 tells a 0-d one",
    "np.linalg.eig": f"{_COMPLEX}; gx.linalg.eigh for symmetric matrices",
    "np.linalg.eigvals": f"{_COMPLEX}; gx.linalg.eigvalsh for symmetric matrices",
    "np.linalg.test": _STATE,
    "np.fft.test": _STATE,
    "np.fft.hfft": _COMPLEX,
    "np.fft.ihfft": _COMPLEX,
    **REFUSED_SPECIAL,
}


def hint_for(dotted: str) -> str:
    """What to use instead of a function of this full name: `hint_for("np.union1d")`."""
    return REFUSED.get(dotted, "see graphc's functions for what there is")
