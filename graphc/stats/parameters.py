"""The parameters of a distribution: their names and defaults, what they have to be, one dtype for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.dtypes import is_float, promote, to_float
from graphc.errors import ArgumentError, fail
from graphc.ir import Node
from graphc.ops.assuming import is_positive
from graphc.ops.compare import where
from graphc.ops.registry import CONSTANT, ArrayLike, asarray
from graphc.ops.rows import weak_dtype
from graphc.ops.spread import astype
from graphc.types import broadcast_shapes

Values = dict[str, ArrayLike]


@dataclass(frozen=True)
class Constraint:
    """What a parameter has to be: in words, and as a test of its elements."""

    text: str
    holds: Callable[[Any], Any]
    at_run_time: bool = True
    """False where a value that does not hold is nan, of which everything is nan by itself."""


REAL = Constraint("a number", lambda v: v == v, at_run_time=False)
POSITIVE = Constraint("> 0", lambda v: v > 0)
NOT_NEGATIVE = Constraint(">= 0", lambda v: v >= 0)
PROBABILITY = Constraint("between 0 and 1", lambda v: (v >= 0) & (v <= 1))
CHANCE = Constraint("above 0 and at most 1", lambda v: (v > 0) & (v <= 1))
COUNT = Constraint("a whole number >= 0", lambda v: (v >= 0) & (v % 1 == 0))


def bound(what: str, names: Sequence[str], defaults: Mapping[str, float], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Values:
    """The arguments of a call by the names of the parameters. Raises ArgumentError for one too many, one that is missing or unknown."""
    if len(args) > len(names):
        fail(ArgumentError, f"{what} takes the parameters {', '.join(names)}, got {len(args)} of them")
    given = dict(zip(names, args))
    for name, value in kwargs.items():
        if name not in names or name in given:
            known = "is given twice" if name in given else f"is none of {', '.join(names)}"
            fail(ArgumentError, f"{what}: the parameter {name!r} {known}")
        given[name] = value
    missing = [n for n in names if n not in given and n not in defaults]
    if missing:
        fail(ArgumentError, f"{what}: the parameter {missing[0]!r} is missing", hint=f"the parameters are {', '.join(names)}")
    return {n: given.get(n, defaults.get(n, math.nan)) for n in names}


def nodes(what: str, values: Sequence[ArrayLike], by_floats: bool = False) -> list[Node]:
    """The values in one float dtype, each in its own shape, which broadcast; Python numbers take the dtype of the others.

    by_floats: where one is a float, integers do not widen it: they are counts. Raises ShapeError, DTypeError.
    """
    found = of_one_dtype(what, values, by_floats)
    broadcast_shapes([n.shape for n in found], what, found)
    return found


def of_one_dtype(what: str, values: Sequence[ArrayLike], by_floats: bool = False) -> list[Node]:
    """As `nodes`, of any shapes."""
    seen = [weak_dtype(v, what) for v in values]
    decisive = [d for d in seen if isinstance(d, np.dtype) and is_float(d)] if by_floats else []
    dtype = to_float(promote(*(decisive or seen)))
    found = [v if isinstance(v, Node) and v.op is not CONSTANT else _constant(v, dtype) for v in values]
    return [astype(n, dtype) for n in found]


def _constant(value: ArrayLike, dtype: np.dtype) -> Node:
    """In its dtype at once, so that it stays a constant that can be looked at."""
    return asarray(value.attrs["value"].array if isinstance(value, Node) else value, dtype)


def checked(what: str, name: str, constraint: Constraint, value: Node) -> Node | None:
    """None where `value` is known to be as it has to be, else its test of a call. Raises ArgumentError where it is known not to be."""
    if value.op is CONSTANT:
        array = value.attrs["value"].array
        if not np.all(constraint.holds(array)):
            fail(ArgumentError, f"{what}: {name} must be {constraint.text}, got {array.tolist()!r:.60}")
        return None
    if not constraint.at_run_time or (constraint is POSITIVE and is_positive(value)):
        return None
    return constraint.holds(value)  # type: ignore[no-any-return]


def all_of(tests: Sequence[Node | None]) -> Node | None:
    """Where all tests hold; None without any."""
    result: Node | None = None
    for test in tests:
        if test is not None:
            result = test if result is None else result & test
    return result


def nan_unless(test: Node | None, value: ArrayLike) -> ArrayLike:
    """value, nan where a test does not hold."""
    return value if test is None else where(test, value, math.nan)
