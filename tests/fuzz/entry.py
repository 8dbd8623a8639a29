"""Fuzz of the call path: python -m tests.fuzz.entry --calls N --seed S

Random calls of a few compiled functions: every dtype, layout, subclass, spelling, count, keyword and `out`, right and wrong. A call that is
right gives NumPy's answer and NumPy's new state; one that is wrong raises the typed error that fits, and state and `out` stay as they were.
Reference counts of everything passed are the same before and after, and memory does not grow.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import graphc as gx

DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "longdouble")
GROWTH = 24e6  # bytes of resident memory that a run of any length may add


@dataclass
class Param:
    """An argument: its sizes are ints, or names of sizes chosen for each call."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    limit: str | None = None  # an index: valid below this size


@dataclass
class Case:
    """A function with its meaning: run(*arrays, state) -> (outputs, new state)."""

    f: gx.Function
    params: list[Param]
    state: list[gx.Shared]
    run: Callable[..., tuple[Any, list[np.ndarray]]]
    defaults: dict[str, np.ndarray]


@dataclass
class Value:
    """What is passed, the array that it stands for, and the errors it deserves."""

    given: Any
    plain: np.ndarray | None
    errors: tuple[type[gx.GraphcError], ...] = ()


class Sub(np.ndarray):
    """A subclass of no meaning."""


class Wrapped:
    """Convertible, but no array."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value


# -- the functions ----------------------------------------------------------------------------------------------------
def cases(mode: str) -> list[Case]:
    """The functions that are called."""
    made = []

    x, w = gx.tensor("x", ("n", 3)), gx.tensor("w", ("n",), "float32")
    s = gx.shared(np.zeros(3), "s")
    f = gx.function([x, w], {"a": x * 2 + s, "b": (w, gx.sum(w * w)), "c": x[::-1]}, updates={s: s + 1}, mode=mode)

    def run(x: np.ndarray, w: np.ndarray, state: list[np.ndarray]) -> Any:
        return {"a": x * 2 + state[0], "b": (w, np.sum(w * w)), "c": x[::-1]}, [state[0] + 1]

    made.append(Case(f, [Param("x", "float64", ("n", 3)), Param("w", "float32", ("n",))], [s], run, {}))

    v, i = gx.tensor("v", ("m",)), gx.tensor("i", ("k",), "int64")
    t, u = gx.shared(np.arange(4.0), "t"), gx.shared(np.zeros((), "int64"), "u")
    f = gx.function([v, i], v[i] * 2, updates={t: t[::-1], u: u + 1}, mode=mode)

    def run(v: np.ndarray, i: np.ndarray, state: list[np.ndarray]) -> Any:
        return v[i] * 2, [state[0][::-1], state[1] + 1]

    made.append(Case(f, [Param("v", "float64", ("m",)), Param("i", "int64", ("k",), "m")], [t, u], run, {}))

    a, b, c = gx.scalar("a", "int32"), gx.scalar("b", "uint8"), gx.scalar("c", "bool")
    f = gx.function({"a": a, "b": b, "flag": c}, [gx.where(c, a + b, -a), b], defaults={"flag": True, "b": 3}, mode=mode)

    def run(a: np.ndarray, b: np.ndarray, c: np.ndarray, state: list[np.ndarray]) -> Any:
        return [np.where(c, a + b, -a), b], []

    params = [Param("a", "int32", ()), Param("b", "uint8", ()), Param("flag", "bool", ())]
    made.append(Case(f, params, [], run, {"flag": np.array(True), "b": np.array(3, "uint8")}))

    p, q = gx.tensor("p", ("n", "m"), "float32"), gx.tensor("q", ("m", "n"), "float32")
    r, o = gx.shared(np.zeros((2, 2), "float32"), "r"), gx.shared(np.ones((2, 2), "float32"), "o")
    f = gx.function([p, q], (p + q.T, p.reshape(gx.dim("n") * gx.dim("m"))), updates=((r, o), (o, r + 1)), mode=mode)

    def run(p: np.ndarray, q: np.ndarray, state: list[np.ndarray]) -> Any:
        return (p + q.T, p.ravel()), [state[1], state[0] + 1]

    made.append(Case(f, [Param("p", "float32", ("n", "m")), Param("q", "float32", ("m", "n"))], [r, o], run, {}))
    return made


# -- values -----------------------------------------------------------------------------------------------------------------
def layout(rng: random.Random, a: np.ndarray) -> np.ndarray:
    """The same values in some layout."""
    choice = rng.randrange(10)
    if choice == 0:
        return np.array(a, order="F")
    if choice == 1:
        base = np.zeros(tuple(2 * n for n in a.shape), a.dtype)[(*[slice(None, None, 2)] * a.ndim, ...)]
        base[...] = a
        return base
    if choice == 2:
        turned = (*[slice(None, None, -1)] * a.ndim, ...)
        return a[turned].copy()[turned]
    if choice == 3 and a.nbytes:
        raw = np.zeros(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        raw[...] = a
        return raw
    if choice == 4:
        return a.astype(a.dtype.newbyteorder())
    if choice == 5:
        frozen = a.copy()
        frozen.setflags(write=False)
        return frozen
    if choice == 6:
        return a.view(Sub)
    if choice == 7 and a.ndim == 2:
        return a.copy().view(np.matrix)
    return a


def numbers(rng: random.Random, dtype: str, shape: tuple[int, ...], limit: int | None) -> np.ndarray:
    """Small values that all dtypes hold; indices within the limit."""
    count = int(np.prod(shape))
    if limit is not None:
        values = [rng.randrange(-limit, limit) if limit else 0 for _ in range(count)]
        if np.dtype(dtype).kind in "ub":
            values = [abs(v) % max(limit, 1) for v in values]
    else:
        values = [rng.randrange(0, 2) if dtype == "bool" else rng.randrange(0, 100) for _ in range(count)]
    return np.array(values, "int64").astype(dtype).reshape(shape)


def right(rng: random.Random, param: Param, shape: tuple[int, ...], limit: int | None) -> Value:
    """A value that must be accepted, in a random spelling."""
    wanted = np.dtype(param.dtype)
    if param.limit is not None and limit == 0 and int(np.prod(shape)):
        return Value(np.zeros(shape, param.dtype), None, (gx.IndexOutOfRange,))
    choice = rng.randrange(8)
    if choice == 0:
        dtype = rng.choice([d for d in DTYPES if np.can_cast(d, wanted, "safe")])
        a = numbers(rng, dtype, shape, limit if np.dtype(dtype) != bool else None if limit is None else min(limit, 1))
        return Value(layout(rng, a), a.astype(wanted))
    a = numbers(rng, param.dtype, shape, limit)
    if choice == 1 and a.size:
        listed = a.tolist()
        return Value(tuple(listed) if rng.random() < 0.3 and a.ndim else listed, a)
    if choice == 2 and a.ndim:
        return Value([row for row in a] if a.shape[0] else a, a)
    if choice == 3:
        return Value(Wrapped(a), a)
    if choice == 4 and a.ndim == 0:
        return Value(a[()], a)  # a NumPy scalar
    return Value(layout(rng, a), a)


def wrong(rng: random.Random, param: Param, shape: tuple[int, ...], limit: int | None) -> Value:
    """A value that must be refused."""
    wanted = np.dtype(param.dtype)
    a = numbers(rng, param.dtype, shape, limit)
    junk = (
        None,
        "text",
        b"bytes",
        {"a": 1},
        {1},
        object(),
        len,
        (v for v in ()),
        [[1], [1, 2]],
        ["a"],
        [None],
        np.array([None]),
        np.array("text"),
        np.zeros(shape, "M8[s]"),
    )
    choice = rng.randrange(8)
    if choice == 0:
        return Value(rng.choice(junk), None, (gx.ArgumentError, gx.DTypeError, gx.ShapeError))
    if choice == 1:
        dtype = rng.choice([d for d in (*DTYPES, "complex64", "complex128") if not np.can_cast(d, wanted, "safe")])
        return Value(layout(rng, a.astype(dtype)), None, (gx.DTypeError,))
    if choice == 2:
        return Value(layout(rng, a[None]), None, (gx.ShapeError,))
    if choice == 3 and a.ndim:
        return Value(np.zeros(a.shape[1:], a.dtype), None, (gx.ShapeError,))
    if choice == 4 and any(isinstance(size, int) for size in param.shape):
        bigger = tuple(n + isinstance(size, int) for n, size in zip(shape, param.shape))
        return Value(layout(rng, np.zeros(bigger, a.dtype)), None, (gx.ShapeError,))
    if choice == 5 and limit is not None and a.size:
        a.flat[rng.randrange(a.size)] = rng.choice(
            (limit, -limit - 1, limit + rng.randrange(10**6), -limit - 2 - rng.randrange(10**6), 2**63 - 1, -(2**63))
        )
        return Value(a, None, (gx.IndexOutOfRange,))
    if choice == 6:
        return Value(np.ma.masked_array(a, mask=False), None, (gx.ArgumentError,))
    if wanted.kind in "iub":
        return Value(
            a.astype("float64").tolist() if a.size and a.ndim else 1.5 if not a.ndim else "none", None, (gx.DTypeError, gx.ArgumentError)
        )
    return Value(a.astype("complex128"), None, (gx.DTypeError,))


# -- one call -----------------------------------------------------------------------------------------------------------------
def make_out(rng: random.Random, outputs: Any) -> tuple[Any, bool]:
    """Arrays for the outputs, and whether they may be used."""
    leaves, structure = gx.tree.flatten(outputs)
    arrays = [
        layout(rng, np.full(np.shape(o), 77, np.asarray(o).dtype)) if rng.random() < 0.5 else np.empty(np.shape(o), np.asarray(o).dtype)
        for o in leaves
    ]
    arrays = [a if a.flags.writeable and a.dtype.isnative else np.zeros(a.shape, a.dtype.newbyteorder("=")) for a in arrays]
    fine = True
    if rng.random() < 0.5:
        fine = False
        k = rng.randrange(len(arrays))
        a = arrays[k]
        frozen = np.zeros(a.shape, a.dtype)
        frozen.setflags(write=False)
        other = "float64" if a.dtype != np.float64 else "float32"
        swapped = a.astype(a.dtype.newbyteorder("S")) if a.dtype.itemsize > 1 else frozen
        bad = [
            frozen,
            np.zeros(a.shape, other),
            np.zeros((*a.shape, 2), a.dtype),
            swapped,
            np.ma.zeros(a.shape),
            a.tolist() if a.ndim else 3.0,
        ]
        arrays[k] = rng.choice(bad)
        if len(arrays) == 1 and rng.random() < 0.3:
            return {"x": arrays[0]}, False
    return gx.tree.unflatten(structure, arrays), fine


def call(rng: random.Random, case: Case) -> str:
    """One random call, checked; what kind of call it was."""
    sizes = {name: rng.choice((0, 1, 2, 3, 5, 8)) for name in "nmk"}
    disagree = rng.random() < 0.15
    values: list[Value] = []
    first: dict[str, int] = {}
    errors: set[type[gx.GraphcError]] = set()
    broken = rng.randrange(len(case.params)) if rng.random() < 0.35 else -1
    for k, param in enumerate(case.params):
        here = {name: n + 1 if disagree and rng.random() < 0.5 else n for name, n in sizes.items()}
        shape = tuple([here[s] if isinstance(s, str) else s for s in param.shape])
        limit = None if param.limit is None else first.get(param.limit, 0)
        value = (wrong if k == broken else right)(rng, param, shape, limit)
        values.append(value)
        if value.plain is not None:
            for s, n in zip(param.shape, shape):
                if isinstance(s, str) and first.setdefault(s, n) != n:
                    errors.add(gx.ShapeError)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for param, value in zip(case.params, values):
        if kwargs or rng.random() < 0.3:
            kwargs[param.name] = value.given
        else:
            args.append(value.given)
    omitted = [p.name for p in case.params if p.name in case.defaults and p.name in kwargs and rng.random() < 0.5]
    for name in omitted:
        k = next(k for k, p in enumerate(case.params) if p.name == name)
        del kwargs[name]
        values[k] = Value(None, case.defaults[name])
    errors |= {e for v in values for e in v.errors}
    if disagree and any(v.plain is None for v in values):  # what is wrong may lie in any of the arguments
        errors.add(gx.ShapeError)
    mistake = rng.random()
    if mistake < 0.03:
        args.append(1.0) if len(args) == len(case.params) else kwargs.update(unknown=1)
        errors = {gx.ArgumentError}
    elif mistake < 0.06 and (args or kwargs) and not case.defaults:
        args.pop() if args and not kwargs else kwargs.popitem()
        errors = {gx.ArgumentError}
    old = [s.get_value() for s in case.state]
    want: Any = None
    if not errors:
        with np.errstate(all="ignore"):
            want, new = case.run(*[v.plain for v in values], old)
        if rng.random() < 0.25:
            out, fine = make_out(rng, want)
            kwargs["out"] = out
            if not fine:
                errors = {gx.ArgumentError, gx.DTypeError, gx.ShapeError}
    held = [*args, *kwargs.values()]
    held = [v for v in held if isinstance(v, np.ndarray)]  # other objects may be shared with anybody
    counts = [sys.getrefcount(v) for v in held]
    kept = [np.array(o) for o in gx.tree.leaves(kwargs.get("out")) if isinstance(o, np.ndarray)]
    result = failure = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = case.f(*args, **kwargs)
    except gx.GraphcError as error:
        failure = type(error)
        text = str(error)
    if errors:
        assert failure is not None, f"accepted: {args!r} {kwargs!r}; expected {errors}"
        assert failure in errors, f"{failure.__name__}: {text}; expected {errors} for {args!r} {kwargs!r}"
        for s, before in zip(case.state, old):
            np.testing.assert_array_equal(s.get_value(), before)
        np.testing.assert_equal([np.array(o) for o in gx.tree.leaves(kwargs.get("out")) if isinstance(o, np.ndarray)], kept)
    else:
        assert failure is None, f"refused: {args!r} {kwargs!r}: {text}"
        check(result, want, kwargs.get("out"), [v.given for v in values])
        for s, after in zip(case.state, new):
            np.testing.assert_array_equal(s.get_value(), after)
    result = None
    now = [sys.getrefcount(v) for v in held]
    assert now == counts, f"references to {held!r}: {counts} before, {now} after"
    return failure.__name__ if failure is not None else "right"


def check(result: Any, want: Any, out: Any, given: list[Any]) -> None:
    """The results have the structure, dtypes, shapes and values of NumPy's; fresh unless `out` was given."""
    got, structure = gx.tree.flatten(result)
    expected, wanted = gx.tree.flatten(want)
    assert structure == wanted, f"{structure} and {wanted}"
    targets = gx.tree.leaves(out) if out is not None else [None] * len(got)
    for a, b, target in zip(got, expected, targets):
        assert isinstance(a, np.ndarray) and a.dtype == np.asarray(b).dtype and a.shape == np.shape(b), (a, b)
        np.testing.assert_array_equal(np.asarray(a), b)
        if target is not None:
            assert a is target
        else:
            assert type(a) is np.ndarray and a.flags.writeable and a.flags.owndata
            assert not any(isinstance(g, np.ndarray) and np.may_share_memory(a, g) and np.shares_memory(a, g) for g in given)


# -- many calls -----------------------------------------------------------------------------------------------------------------
def resident() -> int:
    """Bytes of this process in memory; 0 where that cannot be read."""
    try:
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * 4096
    except OSError:
        return 0


def fuzz(calls: int, seed: int, modes: tuple[str, ...] = ("default",)) -> dict[str, int]:
    """`calls` random calls; how many there were of each kind. AssertionError names the seed of the call that failed."""
    found: dict[str, int] = {}
    listed = [case for mode in modes for case in cases(mode)]
    before = 0
    for k in range(calls):
        rng = random.Random(seed * 1_000_003 + k)
        case = listed[k % len(listed)]
        try:
            kind = call(rng, case)
        except Exception as error:
            raise AssertionError(f"call {k} of seed {seed}, function {k % len(listed)}: {type(error).__name__}: {error}") from error
        found[kind] = found.get(kind, 0) + 1
        if k == calls // 4:
            gc.collect()
            before = resident()
    gc.collect()
    grown = resident() - before
    assert grown < GROWTH, f"{grown / 1e6:.1f} MB more in memory after {calls - calls // 4} calls"
    return dict(sorted(found.items()))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.entry", description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    gx.cache.enabled = False  # random programs would push the user's own out
    print(fuzz(options.calls, options.seed, ("default", "none", "interpret")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
